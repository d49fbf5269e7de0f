"""Exercise 04.4: the bytes that one rank sends, as a formula."""

from torch import Generator

from tplearn.checks.ch04_collectives.formulas import COSTS
from tplearn.checks.ch04_collectives.wrong.cost import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def bytes_per_rank(op: str, n_bytes: int, p: int) -> float:
    """Bytes that one of p ranks sends. n_bytes: the size of the whole tensor, for every op."""
    return COSTS[op](n_bytes, p)


def _cases(generator: Generator) -> list[Case]:
    """Every op at p from 1 to 64, with a size that p does not divide."""
    cases = []
    for p in (1, 2, 3, 4, 8, 64):
        n_bytes = 2 * p * pick(generator, 50, 500) + 1
        cases += [Case(p, (op, n_bytes, p), label=f'op = "{op}"') for op in COSTS]
    return cases


BYTES_PER_RANK = Exercise(
    number="04.4",
    name="bytes_per_rank",
    points=5,
    difficulty=1,
    minutes=7,
    reference=bytes_per_rank,
    cases=_cases,
    mutants=MUTANTS,
)
