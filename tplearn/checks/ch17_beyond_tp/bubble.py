"""Exercise 17.1: the part of a pipeline's time in which a rank stands idle."""

from torch import Generator

from tplearn.checks.ch17_beyond_tp.bubble_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def bubble(p: int, m: int, v: int = 1) -> float:
    """(p − 1) / v idle slots of m + (p − 1) / v: Narayanan et al. 2021, section 2.2, there over the ideal m."""
    return (p - 1) / (v * m + p - 1)


INTERLEAVED, ONE = "interleaved", "one micro-batch"


def _cases(generator: Generator) -> list[Case]:
    """More micro-batches than ranks, as is usual; one micro-batch; several chunks, whose number is neither's."""
    cases = [Case(p, (p, pick(generator, p + 1, 4 * p))) for p in (1, 2, 4, 8, 16)]
    cases += [Case(p, (p, 1), label=ONE) for p in (2, 4)]
    cases += [Case(p, (p, p * pick(generator, 3, 7), pick(generator, 2, 6)), label=INTERLEAVED) for p in (2, 4, 8, 16)]
    return cases


BUBBLE = Exercise(
    number="17.1",
    name="bubble",
    points=10,
    difficulty=1,
    minutes=7,
    reference=bubble,
    cases=_cases,
    mutants=MUTANTS,
    ready=("tplearn.pipeline",),
)
