"""The hub against gloo: every reference on ranks is seen to do the same, and has the same books, shifted or not."""

import ast
import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from tplearn.checks.compare import first_difference
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import Observation, forward
from tplearn.checks.probe import probed, shift, with_probes
from tplearn.checks.registry import exercises
from tplearn.checks.run import observe_trusted
from tplearn.grading.court import observe_on_hub
from tplearn.grading.own_ranks import own_ranks
from tplearn.grading.sitting import Setup
from tplearn.ranks import per_rank
from tplearn.ranks.ledger import Row

SECONDS = 120.0
ON_RANKS = [exercise for exercise in exercises() if exercise.ranks]


@pytest.mark.parametrize("exercise", ON_RANKS, ids=lambda e: e.name)
def test_a_reference_is_seen_to_do_the_same_as_on_gloo(exercise: Exercise) -> None:
    seed = secrets.randbits(32)
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    cases = with_probes(cases, probed(exercise, cases))
    want = observe_trusted(exercise, [exercise.reference], cases)[0]
    got = observe_on_hub(cases, Setup(exercise.observe), own_ranks(exercise.reference), SECONDS, shift=shift)
    for case, mine, due in zip(cases, got, want, strict=True):
        where = f"seed {seed}, {case}{', shifted' if case.shift else ''}"
        assert list(mine) == list(due), where
        assert first_difference(without_ledger(mine), without_ledger(due)) is None, where
        rows = mine.get("ledger", [])
        assert list(map(form, rows)) == list(map(form, due.get("ledger", []))), where


def without_ledger(seen: Observation) -> Observation:
    return {aspect: value for aspect, value in seen.items() if aspect != "ledger"}


def form(row: Row) -> tuple:
    """All that a row says, but the place in the source and the transport."""
    what = row.op, row.shape, row.dtype, row.bytes, row.wire_bytes, row.reduce_op
    return (row.rank, row.group, *what, row.root, row.peer, row.tag)


@dataclass(frozen=True)
class Spawned:
    """A rank that is a program of its own, with its pipes at 3 and 4 as in a jail."""

    process: subprocess.Popen
    read_fd: int
    write_fd: int

    def how_it_ended(self, seconds: float) -> str:
        return f"ended with exit code {self.process.wait(seconds)}"


MAIN = "import os; os.dup2({}, 3); os.dup2({}, 4); from tplearn.jailed.rank import main; main(3, 4)"


@contextlib.contextmanager
def spawned(size: int) -> Iterator[list[Spawned]]:
    ranks = []
    for _ in range(size):
        ends = [*os.pipe(), *os.pipe()]
        (reads, told), (heard, writes) = ends[:2], ends[2:]
        process = subprocess.Popen([sys.executable, "-c", MAIN.format(reads, writes)], pass_fds=[reads, writes])
        os.close(reads)
        os.close(writes)
        ranks.append(Spawned(process, heard, told))
    yield ranks
    for rank in ranks:
        os.close(rank.write_fd)  # the judge is gone, and so is the rank
    assert [rank.process.wait(SECONDS) for rank in ranks] == [0] * size
    for rank in ranks:
        os.close(rank.read_fd)


def test_a_rank_needs_two_descriptors_and_ends_with_its_judge() -> None:
    cell = "import torch.distributed as dist\ndef f(x):\n    dist.all_reduce(x)\n    return x"
    cases = [Case(2, (per_rank([torch.full((2,), 1.5), torch.full((2,), 2.0)]),))]
    (seen,) = observe_on_hub(cases, Setup(forward, (("cell [1]", cell),), "f"), spawned, SECONDS)
    assert [value.tolist() for value in seen["forward"]] == [[3.5, 3.5]] * 2
    assert [(row.op, row.wire_bytes) for row in seen["ledger"]] == [("all_reduce", 8)] * 2


def test_what_is_jailed_imports_nothing_else_of_the_package() -> None:
    code = "import sys, tplearn.jailed.rank; print([n for n in sys.modules if n.startswith('tplearn')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {name.split(".")[1] for name in ast.literal_eval(told) if "." in name} == {"jailed"}


def test_an_answer_given_as_cells_runs_like_a_function() -> None:
    exercise = next(exercise for exercise in ON_RANKS if exercise.name == "reduce_from_group")
    cell = "import torch\nimport torch.distributed as dist\n"
    source = cell + "".join(
        [
            "class F(torch.autograd.Function):\n",
            "    @staticmethod\n    def forward(ctx, x, group):\n",
            "        x = x.clone()\n        dist.all_reduce(x, group=group)\n        return x\n",
            "    @staticmethod\n    def backward(ctx, g):\n        return g, None\n",
            "def reduce_from_group(x, group=None):\n    return F.apply(x, group)\n",
        ]
    )
    cases = exercise.cases(torch.Generator().manual_seed(secrets.randbits(32)))
    setup = Setup(exercise.observe, (("cell [7]", source),), exercise.name)
    got = observe_on_hub(cases, setup, own_ranks(), SECONDS)
    want = observe_trusted(exercise, [exercise.reference], cases)[0]
    for mine, due in zip(got, want, strict=True):
        assert first_difference(without_ledger(mine), without_ledger(due)) is None
        assert list(map(form, mine["ledger"])) == list(map(form, due["ledger"]))
        assert {row.source for row in mine["ledger"]} <= {"cell [7] line 7"}
        assert {row.code for row in mine["ledger"]} <= {"dist.all_reduce(x, group=group)"}
