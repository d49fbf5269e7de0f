"""Exercises: what each must have, and for some the way to the verdicts on a mutant and on a new mistake."""

import dataclasses

import pytest
import torch

from tests.checks.told import judged
from tests.checks.trial import each
from tplearn.checks import Exercise, exercises
from tplearn.checks.compare import first_difference
from tplearn.checks.observe import plain

ALL = exercises()
# Each exercise of one process, and one a chapter where all are judged in the same way and that takes long: on ranks,
# under JAX, and on the museum's fingerprints. The notebooks judge all solutions.
SOME = list({e.number[:2] if e.ranks or e.jax or e.number >= "18.3" else e.number: e for e in reversed(ALL)}.values())
some_exercises = each(SOME[::-1])
each_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


@some_exercises
def test_a_mutant_is_named_by_its_own_sentence_and_a_new_mistake_by_none(exercise: Exercise) -> None:
    """That no two mutants look alike is proved for all of them in test_answers; this walks the way to the sentence."""

    def new_way(*args: object, **kwargs: object) -> list[complex]:
        return [3 + 4j]

    mutant = exercise.mutants[-1]
    verdict = judged(exercise, mutant.answer)
    assert not verdict.passed and verdict.earned == 0
    assert verdict.misconception == mutant.name, str(verdict)
    assert verdict.explanation == " ".join(mutant.says.split())
    verdict = judged(exercise, new_way)
    assert not verdict.passed and verdict.explanation
    # Whoever returns numbers to 14.1 has applied no plan: that much is so.
    assert verdict.misconception == ("nothing applied" if exercise.name == "checked_plan" else None), str(verdict)
    assert all(len(line) <= 100 for line in str(verdict).splitlines()[1:]), str(verdict)


@each_exercise
def test_an_exercise_has_three_mutants_with_sentences_of_their_own(exercise: Exercise) -> None:
    assert len(exercise.mutants) >= 3
    for part in ("name", "says"):
        texts = [" ".join(getattr(mutant, part).split()) for mutant in exercise.mutants]
        assert len(set(texts)) == len(texts), f"two mutants share their {part}"
    assert all(mutant.says.rstrip().endswith((".", "!", "?", ".)")) for mutant in exercise.mutants)


@each([exercise for exercise in ALL if exercise.number < "18.3"])  # the others fingerprint layers, which takes long
def test_the_cases_come_from_the_seed_alone(exercise: Exercise) -> None:
    first, again, other = (exercise.cases(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert exercise.number < "02" or {case.tp for case in first} - {1}, "at tp = 1 most bugs cannot be seen"
    assert [str(case) for case in first] == [str(case) for case in other], "the verdict must not depend on the seed"
    assert first_difference(*(plain([dataclasses.asdict(case) for case in cases]) for cases in (first, again))) is None


def test_names_and_numbers_are_unique_and_in_order() -> None:
    assert [e.number for e in ALL] == sorted({e.number for e in ALL}) and len({e.name for e in ALL}) == len(ALL)
