"""Exercise 04.2: the second half of a ring all-reduce, on a ring that runs to the left, with chunks of any length."""

from torch import Generator, Tensor

from tplearn.checks.ch04_collectives.drive import OnARing, for_all_gather
from tplearn.checks.ch04_collectives.loops import ON_A_RING, SIZES, all_gather
from tplearn.checks.ch04_collectives.wrong import all_gather_cost
from tplearn.checks.ch04_collectives.wrong.all_gather import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.simulated import Ring


def ring_all_gather(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """chunks[r]: [any length], rank r's chunk → all chunks on every rank, one after another, in the order of ranks."""
    return all_gather(chunks, ring)


def _cases(generator: Generator) -> list[Case]:
    """Chunks of one length, of different lengths, and with one rank that has no numbers at all."""
    cases = []
    for tp in SIZES:
        first = pick(generator, 2, 4)
        empty = pick(generator, 0, tp - 1)
        lengths = {
            "equal chunks": [first] * tp,
            "unequal chunks": [first + (rank * 2) % 5 for rank in range(tp)],
            "one chunk empty": [0 if rank == empty else first + rank for rank in range(tp)],
        }
        if tp == 1:
            del lengths["one chunk empty"], lengths["unequal chunks"]
        cases += [Case(tp, ([randn(generator, n) for n in own],), label=label) for label, own in lengths.items()]
    return cases


RING_ALL_GATHER = Exercise(
    number="04.2",
    name="ring_all_gather",
    points=10,
    difficulty=2,
    minutes=12,
    reference=ring_all_gather,
    cases=_cases,
    observe=OnARing(for_all_gather),
    sent=ON_A_RING,
    mutants=MUTANTS + all_gather_cost.MUTANTS,
)
