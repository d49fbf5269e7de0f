"""Exercise 04.3: ring all-reduce of tensors of any shape, within 2 (p − 1) chunks sent by each rank."""

from torch import Generator, Tensor

from tplearn.checks.ch04_collectives.drive import OnARing, for_all_reduce
from tplearn.checks.ch04_collectives.loops import (
    ON_A_RING,
    SIZES,
    all_reduce,
    in_shape,
)
from tplearn.checks.ch04_collectives.wrong import padding
from tplearn.checks.ch04_collectives.wrong.all_reduce import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.simulated import Ring


def ring_all_reduce(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """p tensors of any one shape → p equal tensors of that shape, the sum. Pads with zeros to a multiple of p."""
    return in_shape(all_reduce)(tensors, ring)


def _cases(generator: Generator) -> list[Case]:
    """Sizes that p divides, that it does not, and with which an even cut in ceil(n / p) leaves a rank nothing."""
    cases = []
    for tp in SIZES:
        shapes = {
            "p divides the size": (2 * tp, pick(generator, 3, 6)),
            "a remainder of 1": (tp * pick(generator, 2, 4) + 1, 1),
            "a remainder of p − 1": (tp * pick(generator, 3, 6) - 1,),
            "fewer numbers than ranks": (1, max(tp - 1, 1), 1),
            "a single number": (),
        }
        if tp == 1:
            shapes = {label: shapes[label] for label in ("p divides the size", "a single number")}
        cases += [Case(tp, (one_each(tp, generator, *shape),), label=label) for label, shape in shapes.items()]
    return cases


RING_ALL_REDUCE = Exercise(
    number="04.3",
    name="ring_all_reduce",
    points=10,
    difficulty=2,
    minutes=12,
    reference=ring_all_reduce,
    cases=_cases,
    observe=OnARing(for_all_reduce),
    sent=ON_A_RING,
    mutants=MUTANTS + padding.MUTANTS,
)
