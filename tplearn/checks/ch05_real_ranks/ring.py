"""Exercise 05.1: ring all-reduce in a group, with isend and irecv, within 2 (p − 1) sends of n / p."""

from torch import Generator, Tensor
from torch.distributed import ProcessGroup

from tplearn.checks.ch05_real_ranks.drive import InGroup
from tplearn.checks.ch05_real_ranks.rounds import add_round, chunks_of, gather_round, put_together
from tplearn.checks.ch05_real_ranks.wrong import ring_neighbours
from tplearn.checks.ch05_real_ranks.wrong.ring import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.groups import named
from tplearn.checks.inputs import one_each, pick
from tplearn.checks.traffic import Traffic
from tplearn.ranks import per_rank

LAYOUTS = {  # ranks → how they are put into groups: next to each other or not, and of different sizes
    1: ([[0]],),
    2: ([[0, 1]],),
    3: ([[0, 1, 2]], [[0, 2], [1]]),
    4: ([[0, 1, 2, 3]], [[0, 2], [1, 3]], [[0], [1, 2, 3]]),
}


def all_reduce_by_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    """x: any shape, x.numel() divisible by the group's size → the sum over the group, same shape."""
    chunks = chunks_of(x, group)
    add_round(chunks, group)
    gather_round(chunks, group)
    return put_together(chunks, x)


def _cases(generator: Generator) -> list[Case]:
    """Sizes that every group divides, in one to three dimensions."""
    cases = []
    for tp, layouts in LAYOUTS.items():
        for k, groups in enumerate(layouts):
            shape = ((3, 4, pick(generator, 2, 5)), (12 * pick(generator, 2, 5),), (2, 6 * pick(generator, 2, 5)))[k]
            cases.append(Case(tp, (per_rank(one_each(tp, generator, *shape)), groups), label=named(groups)))
    return cases


ALL_REDUCE_BY_RING = Exercise(
    number="05.1",
    name="all_reduce_by_ring",
    points=20,
    difficulty=3,
    minutes=20,
    reference=all_reduce_by_ring,
    cases=_cases,
    observe=InGroup(),
    ranks=True,
    sent=Traffic(bytes_only=True, ops=frozenset({"send", "recv"})),
    mutants=ring_neighbours.MUTANTS + MUTANTS,
)
