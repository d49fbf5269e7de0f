"""What a reader is told of a wrong answer; a worker of pytest makes the cases of an exercise once, for many answers."""

import secrets
from collections.abc import Callable
from functools import lru_cache

from tplearn.checks import Exercise, find_exercise
from tplearn.checks.check import judge_on
from tplearn.checks.trial import Trial
from tplearn.checks.verdict import Verdict


def judged(exercise: Exercise, answer: Callable, seed: int | None = None) -> Verdict:
    """As `judge` does it, but on the cases of the answers before: the reference and each mutant run once for all."""
    assert exercise == find_exercise(exercise.name), "a changed exercise has cases of its own: use `judge`"
    return judge_on(_trial(exercise.name, seed), answer)


@lru_cache(maxsize=8)  # tests of one exercise follow each other
def _trial(name: str, seed: int | None) -> Trial:
    return Trial(find_exercise(name), secrets.randbelow(2**31) if seed is None else seed)


def told(exercise: Exercise, answer: Callable) -> str:
    """The explanation, in one line."""
    verdict = judged(exercise, answer)
    assert not verdict.passed and verdict.misconception is None, str(verdict)
    return " ".join(verdict.explanation.split())
