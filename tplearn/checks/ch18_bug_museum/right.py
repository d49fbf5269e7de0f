"""Exercise 18.6: is a model right? Numbers, agreement, bytes and memory, on every size, in float64."""

from torch import Generator

from tplearn.checks.ch18_bug_museum.confused import accused
from tplearn.checks.ch18_bug_museum.fresh import READY, at_one_size, fresh_cases
from tplearn.checks.ch18_bug_museum.right_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise


def is_right(fingerprint: dict[int, dict]) -> bool:
    """Right numbers on all ranks, for no more than is due."""
    for seen in fingerprint.values():
        marks = [seen["forward"], *seen["gradients"].values()]
        if not all(mark["error"] < 1e-10 and mark["agree"] for mark in marks):
            return False
        if seen["wire"]["own"] > seen["wire"]["due"] or seen["held"]["own"] > seen["held"]["due"]:
            return False
    return True


def _cases(generator: Generator) -> list[Case]:
    return fresh_cases(generator, "ABCDEFGHIJKLMNOPQRST", again="CHRP", mended="JOS") + at_one_size(generator, "AKT")


IS_RIGHT = Exercise(
    number="18.6",
    name="is_right",
    points=10,
    difficulty=2,
    minutes=8,
    reference=is_right,
    cases=_cases,
    mutants=MUTANTS,
    ready=READY,
    confused=accused,
)
