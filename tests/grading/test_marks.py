"""From real verdicts to what a student reads: a reason, a misconception, a hint, and none of the hidden inputs."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tplearn.checks import Verdict, exercises, find_exercise, judge
from tplearn.grading.marks import mark_of
from tplearn.grading.results import Mark

EXERCISES = {exercise.number: exercise for exercise in exercises()}


def marked(number: str, answer: Callable[..., Any]) -> Mark:
    """The mark of an answer, by its own verdict. No argument that a check has told stands in what a student reads."""
    verdict = judge(EXERCISES[number], answer, seed=3)
    mark = mark_of(verdict, verdict.status, ("A note.",), "From the grader.")
    assert "called with" not in mark.says() and mark.says().endswith("A note.")
    assert mark.points == EXERCISES[number].points and mark.detail.startswith("From the grader.")
    return mark


def test_numbers_that_an_exercise_was_called_with_are_for_the_teacher() -> None:
    mark = marked("01.1", lambda shape: 7 * shape.hidden_size)
    assert mark.status == "wrong" and mark.reason.startswith("On tp = 1 (") and "is due." in mark.reason
    assert "hidden_size=" not in mark.says()
    assert "It was called with shape = ModelShape(hidden_size=" in mark.detail


def test_a_mutants_sentence_name_and_hint_come_whole() -> None:
    mutant = next(one for one in EXERCISES["02.4"].mutants if one.name == "bias × tp")
    mark = marked("02.4", mutant.answer)
    assert (mark.status, mark.misconception) == ("wrong", "bias × tp")
    assert mark.reason == " ".join(mutant.says.split()) and mark.hint == " ".join(mutant.look_at.split())
    assert mark.detail == "From the grader."


def test_what_an_answer_printed_is_for_the_teacher() -> None:
    def row_parallel(xs: list, weights: list, biases: list, ledger: object) -> list:
        print("secret", xs[0].sum())
        return [x @ weight.T for x, weight in zip(xs, weights, strict=True)]

    mark = marked("02.4", row_parallel)
    assert "ran no collective" in mark.reason and "secret" not in mark.says()
    assert "It printed:\nsecret" in mark.detail


def test_a_line_that_raised_is_kept_from_the_reason_and_shown_to_the_teacher() -> None:
    def row_parallel(xs: list, weights: list, biases: list, ledger: object) -> list:
        return xs[len(xs)]

    mark = marked("02.4", row_parallel)
    assert mark.status == "error" and "raised IndexError: list index out of range" in mark.reason
    assert "xs[len(xs)]" in mark.detail and "xs[len(xs)]" not in mark.reason


def test_a_refusal_that_is_missing_does_not_tell_the_sizes() -> None:
    mark = marked("02.1", lambda weight, world_size: [weight] * world_size)
    assert mark.status == "wrong"
    explanation = "On tp = 3 your function returned a result, where a ValueError is due:\n  out = 7 does not divide"
    kept = mark_of(Verdict(EXERCISES["02.1"], "wrong", explanation=explanation), "wrong")
    assert kept.reason == "On tp = 3 your function returned a result, where a ValueError is due."
    assert "out = 7 does not divide" in kept.detail
    explanation = "On tp = 3 your function raised KeyError: 'x', where a ValueError is due (out = 7 does not divide)"
    other = mark_of(Verdict(EXERCISES["02.1"], "error", explanation=explanation), "error")
    assert other.reason == "On tp = 3 your function raised KeyError: 'x', where a ValueError is due."
    assert "out = 7" in other.detail


def test_ranks_that_wait_for_each_other_are_told_with_their_lines() -> None:
    class RowLinear(EXERCISES["07.3"].reference):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if dist.get_rank() == 0 else super().forward(x)

    mark = marked("07.3", RowLinear)
    lines = mark.reason.split("\n")
    assert mark.status == "error" and lines[:2] == ["On tp = 2:", "Deadlock: no rank can make progress."]
    assert "rank 0  returned after 0 collectives" in mark.reason and "rank 1  waits in all_reduce" in mark.reason


def test_an_exit_and_a_stub_are_told_in_a_sentence() -> None:
    assert "called sys.exit(3)" in marked("02.1", lambda weight, world_size: sys.exit(3)).reason
    stub = NotImplementedError("your turn: split_columns")

    def split_columns(weight: torch.Tensor, world_size: int) -> list:
        raise stub

    mark = marked("02.1", split_columns)
    assert mark.status == "not attempted" and mark.reason.startswith("split_columns still raises the stub's")


def test_an_answer_that_passes_needs_no_reason() -> None:
    mark = marked("02.1", EXERCISES["02.1"].reference)
    assert (mark.passed, mark.earned, mark.says()) == (True, 5, "passed\nA note.")


def test_points_are_those_of_the_judged_exercise_and_statuses_those_of_results() -> None:
    exercise = replace(find_exercise("row_parallel"), points=20)
    assert mark_of(Verdict(exercise, "passed"), "passed").earned == 20
    verdict = Verdict(exercise, "time limit", explanation="It did not finish.\n  rank 0  computes")
    assert mark_of(verdict, "wrong").reason == "It did not finish."
    for status in ("time limit", "memory limit", "exited"):
        assert mark_of(verdict, status).reason == "It did not finish.\nrank 0  computes"
    with pytest.raises(ValueError, match="status = 'not checked'"):
        mark_of(Verdict(exercise, "not checked"), "not checked")
