"""Exercise 17.2: the order of a stage's forwards and backwards in 1F1B."""

from torch import Generator

from tplearn.checks.ch17_beyond_tp.drive import orders
from tplearn.checks.ch17_beyond_tp.order_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def one_f_one_b(rank: int, p: int, m: int) -> list[str]:
    """PipeDream-Flush: Narayanan et al. 2021, section 2.2, figure 4; `Schedule1F1B` in torch."""
    warmup = min(p - rank - 1, m)
    order = [f"F{k}" for k in range(warmup)]
    for k in range(m - warmup):
        order += [f"F{warmup + k}", f"B{k}"]
    return order + [f"B{k}" for k in range(m - warmup, m)]


FEW, EQUAL = "fewer micro-batches than stages", "as many micro-batches as stages"


def _cases(generator: Generator) -> list[Case]:
    """(p, m): more micro-batches than stages, as many, and fewer: then some stages have only forwards to begin with."""
    cases = [Case(p, (p, pick(generator, 2 * p + 1, 3 * p + 2))) for p in (1, 2, 3, 4, 6)]
    cases += [Case(p, (p, p), label=EQUAL) for p in (3, 4)]
    return cases + [Case(p, (p, m), label=FEW) for p, m in ((2, 1), (4, 2), (6, pick(generator, 2, 4)))]


ONE_F_ONE_B = Exercise(
    number="17.2",
    name="one_f_one_b",
    points=15,
    difficulty=3,
    minutes=15,
    reference=one_f_one_b,
    cases=_cases,
    observe=orders,
    items="for rank {}".format,
    mutants=MUTANTS,
    ready=("tplearn.pipeline",),
)
