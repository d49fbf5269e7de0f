"""On GPUs, under torchrun and NCCL: the values of one process, the same ledger, and commands that do what they say.

CI has no GPU: run these where there is one, `python -m pytest tests/ranks/test_on_gpus.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tplearn.llama import TINY_LLAMA
from tplearn.ranks.torchrun import has_gpu_for_each_rank

ROOT = Path(__file__).parents[2]
GPUS = torch.cuda.device_count()
needs_gpu = pytest.mark.skipif(GPUS == 0, reason="this machine has no GPU")

ON_GPUS = """
import json, os, time
import torch, torch.distributed as dist
import torch.distributed._functional_collectives as functional
from torch import nn
from tplearn import run_ranks
from tplearn.parallel import ColumnParallelLinear, RowParallelLinear, assert_replicated, sync_gradients
from tplearn.parallel.partition import partitions

def every_way():
    p, device = dist.get_world_size(), torch.device("cuda", torch.cuda.current_device())
    x = torch.arange(4.0, device=device)
    dist.all_reduce(x)
    handle = dist.all_reduce(x, op=dist.ReduceOp.MAX, async_op=True)
    handle.wait()
    rows = torch.empty(4 * p, device=device)
    dist.all_gather_single(rows, x) if hasattr(dist, "all_gather_single") else dist.all_gather_into_tensor(rows, x)
    y = functional.all_reduce(x, "sum", dist.group.WORLD) + 0
    dist.broadcast(y, src=0)
    dist.barrier()
    return [x.tolist(), y.tolist(), rows.tolist(), dist.get_backend()]

def layers():
    device = torch.device("cuda", torch.cuda.current_device())
    torch.manual_seed(0)
    up, down = nn.Linear(8, 16, dtype=torch.float64), nn.Linear(16, 8, dtype=torch.float64)
    x = torch.randn(3, 8, dtype=torch.float64)
    due = down(up(x).relu())
    due.square().sum().backward()
    column = ColumnParallelLinear(8, 16).to(device, torch.float64)
    row = RowParallelLinear(16, 8).to(device, torch.float64)
    for layer, dense in ((column, up), (row, down)):
        for name, parameter, partition in partitions(layer):
            parameter.data.copy_(partition.shard(dense.get_parameter(name)) if partition else dense.get_parameter(name))
    y = row(column(x.to(device)).relu())
    y.square().sum().backward()
    sync_gradients(nn.ModuleList([column, row]))
    assert_replicated(y)
    torch.testing.assert_close(y.cpu(), due)
    torch.testing.assert_close(row.bias.grad.cpu(), down.bias.grad)
    return str(y.device)

def sleeps():
    time.sleep(1000)

def raises():
    if dist.get_rank() == 0:
        raise KeyError("plug")
    dist.all_reduce(torch.ones(1, device="cuda"))

def returns_early():
    if dist.get_rank() != 0:
        dist.all_reduce(torch.ones(1, device="cuda"))

p = int(os.environ["WORLD_SIZE"])
name = os.environ["PROGRAM"]
run = run_ranks(globals()[name], p, timeout=5 if name == "sleeps" else 60)
if os.environ["RANK"] == "0":
    ops = [[row.op, row.transport, row.bytes] for row in run.ledger.rows if row.rank == 0]
    print(json.dumps([run.values, ops]))
"""


def torchrun(ranks: int, *words: str, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", *words]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)


def program(tmp_path: Path, name: str) -> subprocess.CompletedProcess:
    script = tmp_path / "on_gpus.py"
    script.write_text(ON_GPUS)
    return torchrun(GPUS, str(script), PROGRAM=name)


@needs_gpu
def test_every_way_to_communicate_is_in_the_ledger(tmp_path: Path) -> None:
    done = program(tmp_path, "every_way")
    assert done.returncode == 0, done.stderr
    values, ops = json.loads(done.stdout)
    x = [float(GPUS * n) for n in range(4)]
    assert values == [[x, [GPUS * n for n in x], x * GPUS, "nccl"]] * GPUS
    assert [op for op, _, _ in ops] == ["all_reduce", "all_reduce", "all_gather", "all_reduce", "broadcast", "barrier"]
    assert {transport for _, transport, _ in ops} == {"nccl"} and [size for *_, size in ops][:5] == [16] * 5


@needs_gpu
def test_the_layers_are_those_of_one_process(tmp_path: Path) -> None:
    done = program(tmp_path, "layers")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0] == [f"cuda:{rank}" for rank in range(GPUS)]


@needs_gpu
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sleeps", "Time limit: the run was stopped after 5 s."),
        ("raises", "Rank 0 raised KeyError"),
        pytest.param("returns_early", "Deadlock: no rank", marks=pytest.mark.skipif(GPUS < 2, reason="needs two GPUs")),
    ],
)
def test_a_fault_is_named(tmp_path: Path, name: str, said: str) -> None:
    done = program(tmp_path, name)
    assert done.returncode != 0 and said in done.stderr, done.stderr


@needs_gpu
def test_a_model_is_trained_and_writes(tmp_path: Path) -> None:
    out, texts = tmp_path / "model", tmp_path / "texts"
    texts.mkdir()
    for name in ("recorder.py", "court.py", "supervise.py"):
        (texts / name).write_text((ROOT / "tplearn" / "ranks" / name).read_text())
    cli, on_gpus = ("-m", "tplearn.cli"), ("--device", "cuda")
    ranks = max(p for p in (1, 2, 4, 8) if p <= GPUS)
    small = ("--steps", "8", "--length", "32", "--batch", "4", "--data", str(texts))
    done = torchrun(ranks, *cli, "train", "--out", str(out), *small, *on_gpus)
    assert done.returncode == 0, done.stderr
    done = torchrun(ranks, *cli, "generate", "--model", str(out), "--tokens", "4", *on_gpus, "import")
    assert done.returncode == 0 and done.stdout.startswith("import"), done.stderr


@needs_gpu
def test_the_words_are_those_of_the_processor() -> None:
    cli, prompt = ("-m", "tplearn.cli"), "def main():"
    words = ("generate", "--model", str(TINY_LLAMA), "--tokens", "8", "--dtype", "float64", prompt)
    on_gpu, on_cpu = (torchrun(1, *cli, *words, "--device", device) for device in ("cuda", "cpu"))
    assert on_gpu.returncode == 0 and on_gpu.stdout == on_cpu.stdout, on_gpu.stderr + on_cpu.stderr


@needs_gpu
def test_more_ranks_than_gpus_are_refused() -> None:
    done = torchrun(GPUS + 1, "-m", "tplearn.cli", "generate", "--device", "cuda", "x")
    assert done.returncode != 0 and "--device cuda: needs torchrun and a GPU for each rank" in done.stderr


def test_a_gpu_for_each_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(GPUS + 1))
    assert not has_gpu_for_each_rank()
