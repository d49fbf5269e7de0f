"""Exercise 04.1: the first half of a ring all-reduce, on a ring that runs the other way than the page's."""

from torch import Generator, Tensor

from tplearn.checks.ch04_collectives.drive import OnARing, for_reduce_scatter
from tplearn.checks.ch04_collectives.loops import (
    ON_A_RING,
    SIZES,
    reduce_scatter,
)
from tplearn.checks.ch04_collectives.wrong.reduce_scatter import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.simulated import Ring


def ring_reduce_scatter(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """tensors[r]: [n], rank r's partial, p divides n → rank r's chunk r of the sum, [n / p]."""
    return reduce_scatter(tensors, ring)


def _cases(generator: Generator) -> list[Case]:
    """One vector for each rank, of p chunks; chunks of 6 to 9 numbers."""
    return [Case(tp, (one_each(tp, generator, tp * pick(generator, 6, 9)),)) for tp in SIZES]


RING_REDUCE_SCATTER = Exercise(
    number="04.1",
    name="ring_reduce_scatter",
    points=15,
    difficulty=3,
    minutes=20,
    reference=ring_reduce_scatter,
    cases=_cases,
    observe=OnARing(for_reduce_scatter),
    sent=ON_A_RING,
    mutants=MUTANTS,
)
