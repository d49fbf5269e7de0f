"""Lazy answers fail, right ones pass however they are written, and every reference equals the unsharded computation."""

import pytest

from tests.checks.answers import tables
from tests.checks.trial import faults, fresh_cases, observations
from tplearn.checks import Exercise, exercises
from tplearn.checks.compare import Failure, first_difference

ALL = exercises()
LAZY, RIGHT, ORACLES = (tables(kind) for kind in ("LAZY", "RIGHT", "ORACLES"))
each_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


@each_exercise
def test_lazy_answers_fail_and_right_ones_pass(exercise: Exercise) -> None:
    lazy, right = LAZY[exercise.name], RIGHT[exercise.name]
    assert lazy and len(right) >= 3 and not lazy.keys() & right.keys()
    seed, cases = fresh_cases(exercise)
    found = faults(exercise, lazy | right, cases)
    assert not [name for name in lazy if not found[name]], f"lazy answers that pass with seed {seed}"
    assert not {name: found[name] for name in right if found[name]}, f"right answers refused with seed {seed}"


@each_exercise
def test_the_reference_is_the_unsharded_computation(exercise: Exercise) -> None:
    seed, cases = fresh_cases(exercise)
    (seen,) = observations(exercise, {"reference": exercise.reference}, cases).values()
    for case, of_reference in zip(cases, seen, strict=True):
        due = ORACLES[exercise.name](case)
        assert due, "an oracle says something"
        for aspect, value in due.items():
            seen = of_reference.get(aspect)
            seen = seen.kind if isinstance(seen, Failure) else seen
            assert first_difference(seen, value) is None, f"{aspect} on {case}, seed {seed}"


def test_the_tables_are_of_exercises_that_there_are() -> None:
    names = {exercise.name for exercise in ALL}
    assert LAZY.keys() == RIGHT.keys() == ORACLES.keys() == names
