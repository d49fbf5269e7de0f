"""The judge under torchrun: the same ledger, diagnosis and time limit, and every process ends."""

import os
import subprocess
import sys

import pytest

from tests.ranks.agent import ROOT, run_as_under_torchrun

# program: what the report says
SAYS = {
    "returns_early": ["Deadlock: no rank can make progress.", "rank 0  waits in all_reduce #1", 'return "early"'],
    "leaves_before_relu": ["Deadlock: no rank", "rank 0  waits in all_reduce #0", "torch.relu(partial)"],
    "different_op": ["different op", "rank 1  broadcast", "dist.broadcast(x, src=0)"],
    "different_shape": ["different shape", "rank 0  all_reduce (5 float32"],
    "different_reduce_op": ["different reduce op", "rank 1  all_reduce (4 float32, MAX)"],
    "different_root": ["different root", "rank 1  broadcast (4 float32, root 1)"],
    "recv_recv": [
        "Deadlock: no rank",
        "rank 0  waits in recv #0 (4 float32, from rank 1)",
        "dist.recv(x, src=1 - rank())",
    ],
    "killed": ["Rank 1 ended: its process is gone, last seen in all_reduce #0"],
    "hard_exit": ["Rank 1 left by os._exit(0)", "os._exit(0)"],
    "sleeps": ["Time limit: the run was stopped after 2 s.", "rank 1  is running", "time.sleep(1000)"],
    "raises": ["Rank 1 raised KeyError", 'raise KeyError("the rank'],
    "tags_that_never_meet": ["Deadlock", "tag 1; the other side has tag 2"],
    "async_waited": ["Deadlock: no rank", "rank 0  waits in all_reduce #0", "rank 1  returned after 0 collectives"],
}


@pytest.mark.parametrize("program", SAYS)
def test_a_fault_is_named_once_and_every_rank_ends(program: str) -> None:
    ranks = run_as_under_torchrun(program, 2)
    said = "".join(rank.output for rank in ranks)
    assert all(text in said for text in SAYS[program]), said
    assert said.count(SAYS[program][-1]) <= 2 and said.count("\n  rank 0  ") == 1, "one report, on one rank"
    assert all(rank.code not in (0, None) for rank in ranks) or program == "hard_exit", ranks


@pytest.mark.parametrize("program", ["returns_early", "killed", "sleeps"])
def test_four_ranks_on_two_nodes(program: str) -> None:
    """Two nodes of two ranks: the judge is reached at MASTER_ADDR."""
    said = "".join(rank.output for rank in run_as_under_torchrun(program, 4, nodes=2))
    assert all(text in said for text in SAYS[program]), said


def test_a_right_program_has_its_ledger() -> None:
    ranks = run_as_under_torchrun("add_up", 2)
    values = "[tensor([2., 2., 2., 2.]), tensor([2., 2., 2., 2.])]"
    assert [rank.output for rank in ranks] == [f"rank {r}: {values} 2 rows, 0 warnings\n" for r in range(2)]
    assert [rank.code for rank in ranks] == [0, 0]


@pytest.mark.slow
def test_torchrun_itself_ends_with_the_report() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tests.ranks.agent as a; a.script('returns_early')"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [*command, sys.executable, "-c", code], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.returncode != 0
    for text in SAYS["returns_early"]:
        assert done.stderr.count(text) == 1, done.stderr
