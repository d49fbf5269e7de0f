"""The same small distributed tests four ways: the pytest plugin, torch's MultiProcessTestCase, mp.spawn, torchrun.

Each way runs the same functions on the same number of ranks, as one command that starts with nothing loaded. Then 5 of
them hang: the plugin diagnoses that by itself; the peers are given a time limit, since without one they wait for half
an hour. None pays for what else is installed here: pytest loads no plugin but this one, and each way has run one test
before, so that what it reads is in memory. Prints seconds, ratios, and which of the hanging tests each way names;
asserts nothing.

    python benchmarks/testing.py [--only plugin] [--tests 30] [--hanging 5] [--limit 20]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

RANKS = 2
TESTS = '''
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor


def all_reduce(n):
    x = torch.full((n,), dist.get_rank() + 1.0)
    dist.all_reduce(x)
    assert x.tolist() == [3.0] * n


def all_gather(n):
    parts = [torch.empty(n) for _ in range(2)]
    dist.all_gather(parts, torch.full((n,), float(dist.get_rank())))
    assert torch.cat(parts).tolist() == [0.0] * n + [1.0] * n


def broadcast(n):
    x = torch.full((n,), float(dist.get_rank()))
    dist.broadcast(x, src=1)
    assert x.tolist() == [1.0] * n


def ddp_step(n):
    torch.manual_seed(0)
    model, x = torch.nn.Linear(n, 2), torch.randn(4, n)
    model(x).square().mean().backward()
    expected = model.weight.grad.clone()
    model.zero_grad()
    parallel = DistributedDataParallel(model)
    parallel(x.chunk(2)[dist.get_rank()]).square().mean().backward()
    torch.testing.assert_close(model.weight.grad, expected)


def tensor_parallel_linear(n):
    torch.manual_seed(0)
    weight, x = torch.randn(2 * n, n), torch.randn(3, n)
    shard = weight.chunk(2, dim=1)[dist.get_rank()]
    y = x.chunk(2, dim=1)[dist.get_rank()] @ shard.T
    dist.all_reduce(y)
    torch.testing.assert_close(y, x @ weight.T)


def dtensor(n):
    torch.manual_seed(0)
    full = torch.randn(2 * n, 3)
    sharded = distribute_tensor(full, init_device_mesh("cpu", (2,)), [Shard(0)])
    assert sharded.to_local().shape == (n, 3)
    torch.testing.assert_close(sharded.full_tensor(), full)


def hang(n):
    if dist.get_rank() == 0:
        dist.all_reduce(torch.ones(n))


KINDS = (all_reduce, all_gather, broadcast, ddp_step, tensor_parallel_linear, dtensor)


def run(number):
    """Test `number` of the chosen ones: HANGING hangs, the others take turns."""
    import os

    hanging, tests = int(os.environ["HANGING"]), int(os.environ["TESTS"])
    if number >= tests - hanging:
        return hang(4)
    return KINDS[number % len(KINDS)](4 + 2 * (number // len(KINDS)))
'''
PLUGIN = """
import os, pytest, shared

@pytest.mark.ranks(2)
@pytest.mark.parametrize("number", range(int(os.environ["TESTS"])))
def test_it(number):
    shared.run(number)
"""
MULTI_PROCESS = """
import os, torch.distributed as dist, shared
from torch.testing._internal.common_distributed import MultiProcessTestCase, TIMEOUT_OVERRIDE
from torch.testing._internal.common_utils import run_tests

class Test(MultiProcessTestCase):
    world_size = 2

    def setUp(self):
        super().setUp()
        self._spawn_processes()

def test(number):
    def run(self):
        store = dist.FileStore(self.file_name, 2)
        dist.init_process_group("gloo", store=store, rank=self.rank, world_size=2)
        shared.run(number)
        dist.destroy_process_group()
    return run

for number in range(int(os.environ["TESTS"])):
    name = f"test_it_{number}"
    TIMEOUT_OVERRIDE[name] = int(os.environ["LIMIT"])
    setattr(Test, name, test(number))
    getattr(Test, name).__name__ = name

if __name__ == "__main__":
    run_tests()
"""
SPAWN = """
import os, pytest, tempfile, time, torch.distributed as dist, torch.multiprocessing as mp, shared

def worker(rank, store, number):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    shared.run(number)
    dist.destroy_process_group()

@pytest.fixture
def spawn(tmp_path):
    def call(number):
        context = mp.spawn(worker, (tmp_path / "store", number), nprocs=2, join=False)
        deadline = time.monotonic() + int(os.environ["LIMIT"])
        try:
            while not context.join(timeout=1):
                assert time.monotonic() < deadline, "a distributed worker hung"
        finally:
            for process in context.processes:
                process.kill()
    return call

@pytest.mark.parametrize("number", range(int(os.environ["TESTS"])))
def test_it(spawn, number):
    spawn(number)
"""
TORCHRUN = """
import os, pytest, signal, subprocess, sys

@pytest.mark.parametrize("number", range(int(os.environ["TESTS"])))
def test_it(number):
    code = f"import torch.distributed as d, shared; d.init_process_group('gloo'); shared.run({number})"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    command += [sys.executable, "-c", code + "; d.destroy_process_group()"]
    run = subprocess.Popen(command, start_new_session=True)
    try:
        assert run.wait(timeout=int(os.environ["LIMIT"])) == 0
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGTERM)
            run.wait()
"""
NAMED = re.compile(r"^(?:FAILED \S+::test_it\[(\d+)\]|(?:FAIL|ERROR): test_it_(\d+) )", re.M)


@dataclass(frozen=True)
class Took:
    """What one command took, and which tests it reports as failed."""

    seconds: float
    failed: set[int]
    output: str


def take(name: str, tests: int, hanging: int, limit: int) -> Took:
    """Run a way as a command of its own. Raises RuntimeError where it does not come to its tests."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "test_it.py"]
    source, command = {
        "plugin": (PLUGIN, [*pytest, "-p", "tplearn"]),
        "MultiProcessTestCase": (MULTI_PROCESS, [sys.executable, "test_it.py"]),
        "mp.spawn": (SPAWN, pytest),
        "torchrun": (TORCHRUN, pytest),
    }[name]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"TESTS": str(tests), "HANGING": str(hanging), "LIMIT": str(limit), "OMP_NUM_THREADS": "1"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "shared.py").write_text(TESTS)
        Path(folder, "test_it.py").write_text(source)
        Path(folder, "pytest.ini").write_text("[pytest]\npythonpath = .\n")
        start = time.perf_counter()
        environment["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    said = done.stdout + done.stderr
    failed = {int(one or other) for one, other in NAMED.findall(said)}
    if done.returncode and not failed:
        raise RuntimeError(f"{name} has not run its tests:\n{said[-3000:]}")
    return Took(seconds, failed, said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ways = ("plugin", "MultiProcessTestCase", "mp.spawn", "torchrun")
    parser.add_argument("--only", choices=ways, nargs="+", default=ways)
    parser.add_argument("--tests", type=int, default=30)
    parser.add_argument("--hanging", type=int, default=5)
    parser.add_argument("--limit", type=int, default=20, help="seconds after which a peer's test is given up")
    options = parser.parse_args()
    console, found = Console(stderr=True), {}
    for name in track(options.only, description="four ways, twice", console=console):
        take(name, 1, 0, options.limit)
        for hanging in (0, options.hanging):
            found[name, hanging] = took = take(name, options.tests, hanging, options.limit)
            expected = set(range(options.tests - hanging, options.tests))
            if took.failed - expected or (name == "plugin" and took.failed != expected):
                console.print(
                    f"{name} fails {sorted(took.failed)} where {sorted(expected)} hang:\n{took.output[-3000:]}",
                    markup=False,
                )
    table = Table(
        "", f"{options.tests} tests [s]", "/ plugin", f"{options.hanging} of them hang [s]", "/ plugin", "named"
    )
    for name in options.only:
        well, ill = found[name, 0], found[name, options.hanging]
        ratios = [
            f"{took.seconds / found['plugin', hanging].seconds:.1f}×" if ("plugin", hanging) in found else ""
            for took, hanging in ((well, 0), (ill, options.hanging))
        ]
        row = (f"{well.seconds:.1f}", ratios[0], f"{ill.seconds:.1f}", ratios[1])
        table.add_row(name, *row, f"{len(ill.failed)} of {options.hanging}")
    Console(width=120).print(table)
    print(f"{RANKS} ranks a test, {os.cpu_count()} cores; a peer's hanging test is given up after {options.limit} s")


if __name__ == "__main__":
    main()
