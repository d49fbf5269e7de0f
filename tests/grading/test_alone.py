"""Answers without ranks, each alone in a process: seen to do as beside the judge; what they forge is refused."""

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tplearn.checks.compare import first_difference
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import forward
from tplearn.checks.probe import probed, shifted, with_probes
from tplearn.checks.registry import exercises
from tplearn.checks.run import observe_trusted
from tplearn.grading.court import observe_alone
from tplearn.grading.own_ranks import own_ranks
from tplearn.grading.rows import read_rows
from tplearn.grading.sitting import Setup
from tplearn.jailed.forms import WireError
from tplearn.ranks.ledger import Row

SECONDS = 60.0
# Of the museum's exercises, which take long to make and are all seen in one way, the first stands for those after it.
ALONE = [exercise for exercise in exercises() if not exercise.ranks and not exercise.jax and exercise.number < "18.4"]


@pytest.mark.parametrize("exercise", ALONE, ids=lambda e: e.name)
def test_a_reference_is_seen_to_do_the_same_as_beside_the_judge(exercise: Exercise) -> None:
    seed = secrets.randbits(31)
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    cases = with_probes(cases, probed(exercise, cases))
    (want,) = observe_trusted(exercise, [exercise.reference], cases)
    setup = Setup(exercise.observe, shifted=shifted(exercise.observe))
    got = observe_alone(cases, setup, own_ranks(exercise.reference), SECONDS)
    for case, mine, due in zip(cases, got, want, strict=True):
        where = f"seed {seed}, {case}{', shifted' if case.shift else ''}"
        assert list(mine) == list(due), where
        assert first_difference(mine, due) is None, where
        assert mine.get("ledger") == due.get("ledger"), where


def seen_of(answer: Callable[..., Any], *cases: Case, timeout: float = SECONDS) -> list[dict[str, Any]]:
    return observe_alone(cases, Setup(forward, shifted=forward), own_ranks(answer), timeout)


def fails_on_two(tp: int) -> int:
    if tp == 2:
        raise LookupError("no two")
    return tp


def ends_on_two(tp: int) -> int:
    if tp == 2:
        import os

        os._exit(3)
    return tp


def loops_on_two(tp: int) -> int:
    while tp == 2:
        pass
    return tp


def test_an_error_is_of_its_case_and_an_end_of_all() -> None:
    cases = [Case(tp, (tp,)) for tp in (1, 2, 3)]
    one, two, three = seen_of(fails_on_two, *cases)
    assert (one["forward"], three["forward"]) == (1, 3)
    assert (two["error"].kind, two["error"].text) == ("LookupError", "no two")
    assert [seen["error"].kind for seen in seen_of(ends_on_two, *cases)] == ["RankDied"] * 3
    assert [seen["error"].kind for seen in seen_of(loops_on_two, *cases, timeout=1.0)] == ["RankTimeout"] * 3


def test_what_ends_a_shifted_case_spoils_only_those() -> None:
    cases = [Case(1, (1,)), Case(2, (2,), shift=True), Case(3, (3,), shift=True)]
    one, *others = seen_of(ends_on_two, *cases)
    assert one["forward"] == 1
    assert [seen["error"].kind for seen in others] == ["RankDied"] * 2


ROW = dataclasses.asdict(Row(0, 0, "all_reduce", (0, 1), (2, 3), "float64", "SUM", bytes=48))


def test_rows_are_read() -> None:
    assert read_rows(["value", {"forward": 1, "ledger": [ROW]}, []])[1]["ledger"][0].wire_bytes == 48
    assert read_rows(["value", {"forward": 1}, []]) == ["value", {"forward": 1}, []]


@pytest.mark.parametrize(
    "change",
    [
        {"rank": -1},
        {"rank": True},
        {"bytes": 1 << 60},
        {"bytes": 0.5},
        {"group": [0, 1]},
        {"group": (0, "1")},
        {"shape": (-1,)},
        {"shape": (1,) * 17},
        {"op": 7},
        {"dtype": 7},
        {"root": -2},
        {"more": 1},
    ],
    ids=str,
)
def test_what_can_be_no_row_is_refused(change: dict[str, Any]) -> None:
    for ledger in ([ROW | change], ["row"], 3, [ROW] * 5001, [{}]):
        with pytest.raises(WireError):
            read_rows(["value", {"ledger": ledger}, []])
