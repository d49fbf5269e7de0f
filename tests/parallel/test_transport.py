"""Collectives through shared memory: the right sums, the same bits on every rank, and what happens when a rank ends."""

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tplearn import Deadlock, RankDied, RankFailed, run_ranks
from tplearn.parallel import reduce_from_group, transport
from tplearn.parallel.place import Place
from tplearn.parallel.shared_memory import BUFFER

SUM, MAX = dist.ReduceOp.SUM, dist.ReduceOp.MAX
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8]


def agree() -> None:
    """Two collectives by gloo, and then the memory is agreed."""
    for _ in range(2):
        transport.all_reduce(torch.ones(1), SUM, Place.of())


def own(sizes: list[int], dtype: torch.dtype, rank: int) -> list[torch.Tensor]:
    """Numbers of one rank, of very different sizes, so that the order of a sum shows in its last bits."""
    generator = torch.Generator().manual_seed(rank)
    xs = [torch.randn(size, generator=generator, dtype=torch.float64) * 10.0 ** (rank % 3) for size in sizes]
    return [x.abs().clamp(max=9).to(dtype) if not dtype.is_signed else x.to(dtype) for x in xs]


def turned(x: torch.Tensor) -> torch.Tensor:
    """[n] → [p, n]: another part for each rank."""
    return torch.stack([x.roll(rank) for rank in range(dist.get_world_size())])


def exchanged(sizes: list[int], dtype: torch.dtype) -> list[list[torch.Tensor]]:
    agree()
    xs = own(sizes, dtype, dist.get_rank())
    before = [x.clone() for x in xs]
    results = [
        [transport.all_reduce(x, SUM, Place.of()) for x in xs],
        [transport.all_reduce(x, MAX, Place.of()) for x in xs],
        [transport.all_gather(x, Place.of()) for x in xs],
        [transport.reduce_scatter(turned(x), Place.of())[0] for x in xs],
    ]
    assert all(torch.equal(x, old) for x, old in zip(xs, before, strict=True))
    return results


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ranks=st.integers(2, 8),
    dtype=st.sampled_from(DTYPES),
    sizes=st.lists(st.integers(0, BUFFER) | st.integers(0, 40), min_size=1, max_size=4),
)
def test_every_rank_has_the_same_bits(ranks: int, dtype: torch.dtype, sizes: list[int]) -> None:
    sizes = [min(size, int((transport.LIMIT / ranks**2) / dtype.itemsize)) for size in sizes]
    run = run_ranks(exchanged, ranks, sizes, dtype)
    assert {row.transport for row in run.ledger.rows if row.index >= 2} == {"shared memory"}
    xs = [own(sizes, dtype, rank) for rank in range(ranks)]
    for rank, values in enumerate(run.values):
        for number in range(len(sizes)):
            stacked = torch.stack([x[number] for x in xs])
            wide = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
            total = stacked[0].to(wide)
            for x in stacked[1:]:  # in rank order: to the last bit
                total = total + x
            assert torch.equal(values[0][number], total.to(dtype))
            assert torch.equal(values[1][number], stacked.amax(0) if sizes[number] else stacked[0])
            assert torch.equal(values[2][number], stacked)
            assert torch.equal(values[3][number], total.to(dtype).roll(rank))


def in_and_out_of_inference_mode() -> list[float]:
    with torch.inference_mode():
        agree()
        first = transport.all_reduce(torch.ones(2), SUM, Place.of())
    second = transport.all_reduce(torch.ones(2), SUM, Place.of())
    with torch.inference_mode():
        third = transport.all_reduce(second.clone(), SUM, Place.of())
    leaf = torch.ones(2, requires_grad=True)
    reduce_from_group(leaf).sum().backward()
    return [first[0].item(), second[0].item(), third[0].item(), leaf.grad[0].item()]


def test_a_model_that_has_generated_can_train() -> None:
    run = run_ranks(in_and_out_of_inference_mode, 2)
    assert run.values == [[2.0, 2.0, 4.0, 1.0]] * 2
    assert [row.transport for row in run.ledger.rows if row.rank == 0] == ["gloo"] * 2 + ["shared memory"] * 4


def many(calls: int) -> bool:
    agree()
    torch.set_num_threads(1)
    rank, x = dist.get_rank(), torch.empty(16)
    return all(
        bool((transport.all_reduce(x.fill_(call % 1000 + rank), SUM, Place.of()) == 2 * (call % 1000) + 1).all())
        for call in range(calls)
    )


@pytest.mark.slow
def test_a_hundred_thousand_in_a_row() -> None:
    assert run_ranks(many, 2, 100_000, record=False, timeout=300).values == [True, True]


def uneven() -> None:
    agree()
    transport.all_reduce(torch.ones(3 + dist.get_rank()), SUM, Place.of())


def test_unequal_sizes_are_refused_on_every_rank() -> None:
    with pytest.raises(RankFailed, match=r"exchanges (12|16) bytes and rank \d (12|16)") as caught:
        run_ranks(uneven, 2, record=False)
    assert len(caught.value.tracebacks) >= 1


def early() -> None:
    agree()
    if dist.get_rank() == 0:
        return
    transport.all_reduce(torch.ones(4), SUM, Place.of())


def test_a_hang_is_explained_as_with_gloo() -> None:
    start = time.monotonic()
    with pytest.raises(Deadlock, match=r"rank 1  waits in all_reduce #2 \(4 float32, SUM\)"):
        run_ranks(early, 2)
    assert time.monotonic() - start < 2.5


def killed() -> None:
    agree()
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    transport.all_reduce(torch.ones(4), SUM, Place.of())


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
    total = transport.all_reduce(torch.ones(4), dist.ReduceOp.SUM, Place.of())
assert total.tolist() == [world] * 4
print("memory" if next(iter(transport._agreements.values())).memory else "gloo", flush=True)
if kill and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if kill:
    start = time.monotonic()
    try:
        transport.all_reduce(torch.ones(4), dist.ReduceOp.SUM, Place.of())
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
        transport.all_reduce(torch.ones(1), SUM, Place.of())


def test_other_processors_use_gloo() -> None:
    run = run_ranks(on_another_machine, 2)
    assert {row.transport for row in run.ledger.rows} == {"gloo"}
    assert "linux on aarch64 is not Linux on x86-64" in "".join(run.output)
