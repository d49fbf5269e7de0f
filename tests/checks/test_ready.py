"""An answer that calls the package's own function for what the exercise asks is told so, and is not run."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tplearn.planning
import tplearn.simulated
from tplearn.checks.check import judge
from tplearn.checks.exercise import Exercise
from tplearn.checks.ready import taken_ready
from tplearn.checks.registry import exercises, find_exercise
from tplearn.simulated import ring_all_reduce, split

RING = ("tplearn.simulated.ring.ring_all_reduce",)
theirs = ring_all_reduce


def by_global(tensors: list) -> list:
    return theirs(tensors)


def by_helper(tensors: list) -> list:
    return by_global(tensors)


def by_import(tensors: list) -> list:
    from tplearn.simulated import ring_all_reduce as theirs

    return theirs(tensors)


def by_module(tensors: list) -> list:
    return tplearn.simulated.ring_all_reduce(tensors)


def by_imported_module(tensors: list) -> list:
    import tplearn.simulated.ring as ring

    return ring.ring_all_reduce(tensors)


def in_a_comprehension(tensors: list) -> list:
    return [theirs(tensors)[k] for k in range(len(tensors))]


def closing_over(function: Callable) -> Callable:
    def answer(tensors: list) -> list:
        return function(tensors)

    return answer


def of_another_function(tensors: list) -> list:
    """It has the same name; and `split` is the course's, but no answer here."""
    ring_all_reduce = split
    return ring_all_reduce(tensors, 2)


@pytest.mark.parametrize(
    "answer",
    [
        by_global,
        by_helper,
        by_import,
        by_module,
        by_imported_module,
        in_a_comprehension,
        closing_over(ring_all_reduce),
        closing_over(by_global),
    ],
)
def test_found(answer: Callable) -> None:
    assert taken_ready(answer, RING) == RING[0]


@pytest.mark.parametrize("answer", [of_another_function, closing_over(split), split, print, judge])
def test_not_accused(answer: Callable) -> None:
    assert taken_ready(answer, RING) is None


def test_a_function_that_calls_itself_ends() -> None:
    def answer(tensors: list) -> Any:
        return answer(tensors)

    assert taken_ready(answer, RING) is None


def test_modules_that_are_not_loaded_stay_so() -> None:
    code = (
        "import sys\n"
        "def read_ledger(text):\n"
        "    from tplearn.gspmd.hlo import ledger_of\n"
        "    return ledger_of(text)\n"
        "from tplearn.checks.ready import taken_ready\n"
        "from tplearn.checks.registry import find_exercise\n"
        "print(taken_ready(read_ledger, find_exercise('read_ledger').ready), 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "tplearn.gspmd.hlo False\n"


def test_the_verdict() -> None:
    def parameter_count(*args: Any) -> int:
        return tplearn.planning.parameter_count(*args)

    assert str(judge(find_exercise("parameter_count"), parameter_count)) == (
        "parameter_count   ready-made      0/10\n"
        "  Your function uses tplearn.planning.memory.parameter_count, where this is done already.\n"
        "  Here, write it yourself."
    )


@pytest.mark.parametrize("name", sorted({name for exercise in exercises() for name in exercise.ready}))
def test_every_name_is_there(name: str) -> None:
    home, _, last = name.rpartition(".")
    spec = find_spec(home)
    is_module = spec.submodule_search_locations and find_spec(name)
    assert is_module or f"def {last}(" in Path(spec.origin).read_text()


@pytest.mark.parametrize("exercise", [exercise for exercise in exercises() if exercise.ready], ids=lambda one: one.name)
def test_no_mutant_is_taken_for_a_ready_made_answer(exercise: Exercise) -> None:
    for answer in (exercise.reference, *(mutant.answer for mutant in exercise.mutants)):
        assert taken_ready(answer, exercise.ready) is None
