"""Every exercise: its reference passes, its stub is not attempted, each mutant is named by its own sentence."""

import dataclasses
import itertools

import pytest
import torch

from tplearn.checks import Exercise, Mutant, exercises, judge
from tplearn.checks.compare import first_difference
from tplearn.checks.run import observe_answers
from tplearn.checks.verdict import NOT_ATTEMPTED

ALL = exercises()
ONE_PROCESS = [(exercise, mutant) for exercise in ALL if not exercise.ranks for mutant in exercise.mutants]
ONE_A_CHAPTER = list({exercise.number[:2]: exercise for exercise in reversed(ALL) if exercise.ranks}.values())
each_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


@each_exercise
def test_the_reference_passes_and_its_verdict_is_stable(exercise: Exercise) -> None:
    verdicts = [judge(exercise, exercise.reference) for _ in range(1 if exercise.ranks else 2)]
    assert verdicts[0].passed and verdicts[0].earned == exercise.points, str(verdicts[0])
    assert str(verdicts[0]) == str(verdicts[-1]), "nbval compares this text: it must not depend on the inputs"
    assert "\n" not in str(verdicts[0]) and str(verdicts[0]).endswith(f" {exercise.points}/{exercise.points}")


@each_exercise
def test_the_untouched_stub_is_not_attempted(exercise: Exercise) -> None:
    def stub(*args: object, **kwargs: object) -> None:
        raise NotImplementedError(f"{NOT_ATTEMPTED}: {exercise.name}")

    verdict = judge(exercise, stub)
    assert verdict.status == "not attempted" and verdict.earned == 0
    assert f"{exercise.name}   not attempted      0/{exercise.points}" in str(verdict)


@pytest.mark.parametrize(
    ("exercise", "mutant"), ONE_PROCESS, ids=[f"{e.name}-{m.name.replace(' ', '_')}" for e, m in ONE_PROCESS]
)
def test_a_mutant_fails_and_is_named_by_its_own_sentence(exercise: Exercise, mutant: Mutant) -> None:
    verdict = judge(exercise, mutant.answer)
    assert not verdict.passed and verdict.earned == 0
    assert verdict.misconception == mutant.name, str(verdict)
    assert verdict.explanation == " ".join(mutant.says.split())


@pytest.mark.parametrize("exercise", [e for e in ALL if e.ranks], ids=lambda exercise: exercise.name)
def test_mutants_on_real_ranks_differ_from_the_reference_and_from_each_other(exercise: Exercise) -> None:
    cases = exercise.cases(torch.Generator().manual_seed(torch.seed() % 2**31))
    answers = {"the reference": exercise.reference} | {mutant.name: mutant.answer for mutant in exercise.mutants}
    alike = list(itertools.combinations(answers, 2))
    for case in sorted(cases, key=lambda case: case.tp == 1):  # one rank shows least, so it comes last
        seen = {name: observe_answers(exercise, [answer], [case])[0][0] for name, answer in answers.items()}
        alike = [(one, other) for one, other in alike if not first_difference(seen[one], seen[other])]
        if not alike:
            break
    assert not alike, f"cannot be told apart on any case: {alike}"


@pytest.mark.parametrize("exercise", ONE_A_CHAPTER, ids=lambda exercise: exercise.name)
def test_a_mutant_on_real_ranks_is_named(exercise: Exercise) -> None:
    """Naming takes the same way for all exercises; that each mutant can be named is the test above."""
    mutant = exercise.mutants[0]
    assert judge(exercise, mutant.answer).misconception == mutant.name


@each_exercise
def test_an_exercise_has_three_mutants_with_sentences_of_their_own(exercise: Exercise) -> None:
    assert len(exercise.mutants) >= 3
    for part in ("name", "says"):
        texts = [" ".join(getattr(mutant, part).split()) for mutant in exercise.mutants]
        assert len(set(texts)) == len(texts), f"two mutants share their {part}"
    assert all(mutant.says.rstrip().endswith((".", "!", "?")) for mutant in exercise.mutants)


@each_exercise
def test_an_answer_that_is_wrong_in_a_new_way_gets_the_generic_explanation(exercise: Exercise) -> None:
    def new_way(*args: object, **kwargs: object) -> list[complex]:
        return [3 + 4j]

    one_case = dataclasses.replace(exercise, cases=lambda generator: exercise.cases(generator)[-1:])
    verdict = judge(one_case if exercise.ranks else exercise, new_way)
    assert not verdict.passed and verdict.misconception is None and verdict.explanation
    assert all(len(line) <= 100 for line in str(verdict).splitlines()), str(verdict)


@each_exercise
def test_the_cases_come_from_the_seed_alone(exercise: Exercise) -> None:
    first, again, other = (exercise.cases(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert exercise.number < "02" or {case.tp for case in first} - {1}, "at tp = 1 most bugs cannot be seen"
    assert [case.tp for case in first] == [case.tp for case in other], "the verdict's line must not depend on the seed"
    assert first_difference(*(_plain_cases(cases) for cases in (first, again))) is None


def test_names_and_numbers_are_unique_and_in_order() -> None:
    assert [e.number for e in ALL] == sorted({e.number for e in ALL}) and len({e.name for e in ALL}) == len(ALL)


def _plain_cases(cases: list) -> object:
    from tplearn.checks.observe import plain

    return plain([dataclasses.asdict(case) for case in cases])
