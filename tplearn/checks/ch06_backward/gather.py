"""Exercise 06.4: join the shards, for a tensor that all ranks use alike; the backward is a cut."""

from torch import Generator, Tensor

from tplearn.checks.ch06_backward.drive import ForwardAndBack
from tplearn.checks.ch06_backward.inputs import copies
from tplearn.checks.ch06_backward.wires import joined, own, pair
from tplearn.checks.ch06_backward.wrong.gather import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each
from tplearn.ranks import per_rank


def gather_from_group(x: Tensor, dim: int) -> Tensor:
    """x: [..., n, ...] → [..., p·n, ...], the ranks' x side by side along dim. Backward: your own shard."""
    return pair(lambda x: joined(x, dim), lambda grad: own(grad, dim))(x)


def _cases(generator: Generator) -> list[Case]:
    """A shard for each rank; the whole is used alike everywhere, so the same gradient arrives everywhere."""
    cases = []
    for tp in (2, 3, 4):
        for dim in (0, 1, -1):
            shape = [tp + 1, tp + 2, tp + 3]
            shards = [[shard] for shard in one_each(tp, generator, *shape)]
            shape[dim] *= tp
            upstream = per_rank(copies(tp, generator, *shape))
            cases.append(Case(tp, (per_rank(shards), upstream, (dim,)), label=f"dim {dim}"))
    return cases


GATHER_FROM_GROUP = Exercise(
    number="06.4",
    name="gather_from_group",
    points=10,
    difficulty=2,
    minutes=12,
    reference=gather_from_group,
    cases=_cases,
    observe=ForwardAndBack(),
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.parallel.collectives",),
)
