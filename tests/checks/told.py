"""What a reader is told of a wrong answer that no misconception is found in."""

from collections.abc import Callable

from tplearn.checks import Exercise, judge


def told(exercise: Exercise, answer: Callable) -> str:
    """The explanation, in one line."""
    verdict = judge(exercise, answer)
    assert not verdict.passed and verdict.misconception is None, str(verdict)
    return " ".join(verdict.explanation.split())
