"""The same file under python and under torchrun: the same sums, and a clean end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LEAVES = """
import atexit, glob, sys, torch.distributed as dist
from tplearn import run_ranks
def at_the_end():
    threads = [open(path).read().strip() for path in glob.glob("/proc/self/task/*/comm")]
    line = f"in the group: {dist.is_initialized()}, threads of gloo: {[name for name in threads if 'gloo' in name]}"
    sys.stdout.write(line + "\\n")  # in one piece: both ranks print
atexit.register(at_the_end)  # the first is the last
run_ranks(dist.barrier, 2)
"""
SUMS = """
import sys, torch, torch.distributed as dist
from tplearn import run_ranks
def sums() -> list:
    x = torch.ones(2)
    dist.all_reduce(x)
    early = "torch._dynamo" in sys.modules
    y = torch.compile(lambda x: x * 2, backend="eager")(x)
    dist.all_reduce(y)
    return [early, y.tolist()]
run = run_ranks(sums, 1)
print(run.values, run.ledger.count())
"""
SCRIPT = Path(__file__).parents[2] / "chapters" / "05_ring.py"
SUM = str([float(6 * 100 + 4 * n) for n in range(8)])  # four ranks bring n + 100 · rank


def environment() -> dict[str, str]:
    """The environment without what torchrun would have set in it."""
    return {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}


def sums_by_rank(command: list[str]) -> dict[int, str]:
    """Run the file and read the line that each rank prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return {int(rank): values for rank, values in re.findall(r"rank (\d) of 4: (\[[^\]]*\])", done.stdout)}


def printed(program: str, ranks: int, folder: Path) -> str:
    """What so many ranks of a program print under torchrun."""
    script = folder / "program.py"
    script.write_text(program)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_started_by_python() -> None:
    assert sums_by_rank([sys.executable, str(SCRIPT)]) == dict.fromkeys(range(4), SUM)


@pytest.mark.slow
def test_torchrun_gives_the_same_values() -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4"]
    assert sums_by_rank([*torchrun, str(SCRIPT)]) == sums_by_rank([sys.executable, str(SCRIPT)])


@pytest.mark.slow
def test_the_group_is_left_before_the_interpreter_ends(tmp_path: Path) -> None:
    assert printed(LEAVES, 2, tmp_path).splitlines() == ["in the group: False, threads of gloo: []"] * 2


@pytest.mark.slow
def test_no_rank_waits_for_the_compiler_unless_it_is_used(tmp_path: Path) -> None:
    assert printed(SUMS, 1, tmp_path) == "[[False, [2.0, 2.0]]] 2\n"
