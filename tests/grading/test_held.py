"""What an answer reads of a file is counted by the judge, whatever the answer does to the counter that it is given."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.checks.compare import first_difference
from tplearn.checks.exercise import Case
from tplearn.checks.registry import find_exercise
from tplearn.checks.run import observe_trusted
from tplearn.grading.court import observe_alone, observe_on_hub
from tplearn.grading.holdings import Holdings
from tplearn.grading.own_ranks import own_ranks
from tplearn.grading.sitting import Setup
from tplearn.jailed.forms import WireError

SECONDS = 60.0
TENSORS = {"a": torch.arange(12.0).view(3, 4), "b": torch.arange(5)}


def of_file(fn: Callable[..., Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    file = CountingFile(tensors)
    return {"forward": fn(file), "bytes read": {"all": file.bytes_read}}


def parts(file: CountingFile) -> list[Any]:
    a = file.get_slice("a")
    return [a[1:], a[:, 2:3], a[2], a[0, 1], file.get_tensor("b"), a.get_shape(), file.keys()]


def past_the_counter(file: CountingFile) -> list[Any]:
    return [file.tensors["a"][1:], file.get_slice("b")[:]]


def counter_set_back(file: CountingFile) -> Tensor:
    part = file.get_tensor("a")
    file.bytes_read = 0
    return part


def seen_of(answer: Callable[..., Any]) -> dict[str, Any]:
    return observe_alone([Case(1, (TENSORS,))], Setup(of_file, held=0), own_ranks(answer), SECONDS)[0]


def test_parts_come_as_from_the_tensors_themselves() -> None:
    assert first_difference(seen_of(parts), of_file(parts, TENSORS)) is None


@pytest.mark.parametrize("answer", [past_the_counter, counter_set_back])
def test_what_the_counter_has_not_seen_is_told(answer: Callable[..., Any]) -> None:
    counted = of_file(answer, TENSORS)["bytes read"]["all"]
    assert f"and its counter has seen {counted}." in seen_of(answer)["reads"]


def test_the_courses_own_readers_read_through_the_judge() -> None:
    exercise = find_exercise("read_shard")
    cases = exercise.cases(torch.Generator().manual_seed(7))
    (want,) = observe_trusted(exercise, [exercise.reference], cases)
    got = observe_on_hub(cases, Setup(exercise.observe, held=exercise.held), own_ranks(exercise.reference), SECONDS)
    assert all(first_difference(mine, due) is None for mine, due in zip(got, want, strict=True))


@pytest.mark.parametrize(
    "message",
    [["c", []], ["a", [0.5]], ["a", [[0, 1]]], ["a", [[0, 1, "2"]]], ["a", [7]], ["a", [0, 0, 0]], ["a"], [3, []]],
    ids=str,
)
def test_a_part_that_is_not_there_is_refused(message: list[Any]) -> None:
    with pytest.raises(WireError):
        Holdings(TENSORS).part(["slice", *message])
