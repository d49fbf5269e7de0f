"""Every known answer can be written as a cell of its own, which needs nothing of the checks and behaves like it."""

import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checks.answers import Alone, tables
from tests.checks.trial import each
from tests.grading.source_of import importable_for, source_of
from tplearn.checks import Exercise, exercises, find_exercise
from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.run import observe_trusted

ROOT = Path(__file__).parents[2]
LAZY, RIGHT = tables("LAZY"), tables("RIGHT")


def made(exercise: Exercise, answer: Any) -> Callable[..., Any]:
    """The answer that its cell defines, in a module where nothing else is."""
    (notebook,) = (ROOT / "solutions").glob(f"{exercise.number[:2]}_*.ipynb")
    importable = importable_for(exercise.name, notebook)
    cell = source_of(answer, exercise.name, importable)
    imported = [line for line in cell.splitlines() if line.startswith(("from tplearn", "import tplearn", "from tests"))]
    assert {line.split(" as ")[0] for line in imported} <= set(importable.values())
    module, before = types.ModuleType("__main__"), sys.modules["__main__"]
    sys.modules["__main__"] = module  # dataclasses look their module up
    try:
        exec(compile(cell, "cell [1]", "exec"), module.__dict__)
    finally:
        sys.modules["__main__"] = before
    return module.__dict__[exercise.name]


def known(exercise: Exercise) -> dict[tuple[str, str], Any]:
    """All answers that the course knows to it."""
    answers = {("reference", ""): exercise.reference}
    answers |= {("mutant", mutant.name): mutant.answer for mutant in exercise.mutants}
    for kind, table in (("lazy", LAZY), ("right", RIGHT)):
        answers |= {(kind, name): answer for name, answer in table[exercise.name].items()}
    return {key: answer.answer if isinstance(answer, Alone) else answer for key, answer in answers.items()}


def shape(answer: Any) -> Any:
    """Alike for mutants that are one function called with another word."""
    if isinstance(answer, partial) and all(isinstance(value, str) for value in answer.keywords.values()):
        return shape(answer.func), tuple(answer.keywords)
    return id(answer)


@each(exercises())
def test_every_answer_becomes_a_cell(exercise: Exercise) -> None:
    for answer in {shape(answer): answer for answer in known(exercise).values()}.values():
        assert callable(made(exercise, answer))


@pytest.mark.parametrize("name", ["linear_by_plan", "tp_swiglu", "redistribute", "words_of_rank", "mlp_ledger"])
def test_a_cell_does_what_the_answer_does(name: str) -> None:
    exercise = find_exercise(name)
    answers = list(known(exercise).values())
    cases = exercise.cases(torch.Generator().manual_seed(3))
    seen = observe_trusted(exercise, [*answers, *(made(exercise, answer) for answer in answers)], cases)
    for own, of_cell in zip(seen[: len(answers)], seen[len(answers) :], strict=True):
        for one, other in zip(own, of_cell, strict=True):
            assert ("error" in one) == ("error" in other)
            assert "error" in one or wrong_aspects(exercise, other, one) == []
