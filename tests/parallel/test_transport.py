"""Which way a message takes: who agrees on shared memory, who stays with gloo, and what happens when a rank ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.parallel.test_shared_memory import agree
from tplearn import Deadlock, RankDied, run_ranks
from tplearn.parallel import reduce_from_group, transport
from tplearn.parallel.place import Place

SUM = "sum"


def in_and_out_of_inference_mode() -> list[float]:
    with torch.inference_mode():
        agree()
        first = transport.carry_all_reduce(torch.ones(2), SUM, Place.of())
    second = transport.carry_all_reduce(torch.ones(2), SUM, Place.of())
    with torch.inference_mode():
        third = transport.carry_all_reduce(second.clone(), SUM, Place.of())
    leaf = torch.ones(2, requires_grad=True)
    reduce_from_group(leaf).sum().backward()
    return [first[0].item(), second[0].item(), third[0].item(), leaf.grad[0].item()]


def test_a_model_that_has_generated_can_train() -> None:
    run = run_ranks(in_and_out_of_inference_mode, 2)
    assert run.values == [[2.0, 2.0, 4.0, 1.0]] * 2
    assert [row.transport for row in run.ledger.rows if row.rank == 0] == ["gloo"] * 2 + ["shared memory"] * 4


def early() -> None:
    agree()
    if dist.get_rank() == 0:
        return
    transport.carry_all_reduce(torch.ones(4), SUM, Place.of())


def test_a_hang_is_explained_as_with_gloo() -> None:
    start = time.monotonic()
    with pytest.raises(Deadlock, match=r"rank 1  waits in all_reduce #2 \(4 float32, SUM\)"):
        run_ranks(early, 2)
    assert time.monotonic() - start < 2.5


def killed() -> None:
    agree()
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    transport.carry_all_reduce(torch.ones(4), SUM, Place.of())


def test_a_killed_rank_is_told_by_run_ranks() -> None:
    with pytest.raises(RankDied, match="Rank 1 was killed by SIGKILL"):
        run_ranks(killed, 3)


# Without run_ranks: plain processes, as torchrun or a scheduler starts them.
ALONE = """
import ctypes, os, signal, sys, time, warnings
import torch, torch.distributed as dist
from tplearn.parallel import reduce_from_group, transport
from tplearn.parallel.place import Place
warnings.simplefilter("always")
rank, world, kill = int(sys.argv[1]), int(sys.argv[2]), sys.argv[4] == "kill"
if sys.argv[4] == "hide" and rank == 2:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: /proc shows others nothing of this process
dist.init_process_group("gloo", init_method="file://" + sys.argv[3], rank=rank, world_size=world)
for call in range(5):
    total = transport.carry_all_reduce(torch.ones(4), "sum", Place.of())
assert total.tolist() == [world] * 4
print("memory" if next(iter(transport._agreements.values())).memory else "gloo", flush=True)
if kill and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if kill:
    start = time.monotonic()
    try:
        transport.carry_all_reduce(torch.ones(4), "sum", Place.of())
    except Exception as error:
        print(type(error).__name__, error, round(time.monotonic() - start, 1), flush=True)
"""


def alone(folder: Path, world: int, mode: str, prefixes: dict[int, list[str]]) -> list[tuple[str, str]]:
    """(stdout, stderr) of each process; `prefixes`: commands that some are started under."""
    commands = [
        [*prefixes.get(rank, []), sys.executable, "-c", ALONE, str(rank), str(world), str(folder / "meet"), mode]
        for rank in range(world)
    ]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for command in commands]
    return [process.communicate(timeout=60) for process in processes]


def test_a_killed_peer_ends_the_wait_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(os.listdir("/dev/shm"))
    printed = alone(tmp_path, 3, "kill", {})
    for rank in (0, 2):
        memory, told = printed[rank][0].splitlines()
        name, *words, seconds = told.split()
        assert (memory, name) == ("memory", "RankDied") and float(seconds) < 1.5
        assert " ".join(words) == f"rank 1 ended while rank {rank} waited in a collective."
    assert set(os.listdir("/dev/shm")) <= before


def test_ranks_that_do_not_share_a_host_use_gloo_and_say_so_once(tmp_path: Path) -> None:
    elsewhere = ["unshare", "--pid", "--fork", "--mount-proc"]  # its own process numbers, as in another container
    if os.geteuid() != 0:
        elsewhere.insert(1, "--map-root-user")
    if shutil.which("unshare") and subprocess.run([*elsewhere, "true"], check=False).returncode == 0:
        printed = alone(tmp_path, 3, "live", {2: elsewhere})
    else:  # who may not make a namespace may not look into a process that hides, either
        printed = alone(tmp_path, 3, "hide", {})
    assert [out for out, _ in printed] == ["gloo\n"] * 3
    said = [line for _, errors in printed for line in errors.splitlines() if "travel by gloo" in line]
    assert len(said) == 1 and "cannot use the memory of rank" in said[0]


def on_another_machine() -> None:
    transport.platform.machine = lambda: "aarch64"
    for _ in range(4):
        transport.carry_all_reduce(torch.ones(1), SUM, Place.of())


def test_other_processors_use_gloo() -> None:
    run = run_ranks(on_another_machine, 2)
    assert {row.transport for row in run.ledger.rows} == {"gloo"}
    assert "linux on aarch64 is not Linux on x86-64" in "".join(run.output)
