"""Exercise 06.3: Megatron's g, the sum over a group, whose backward is a copy."""

from torch import Generator, Tensor

from tplearn.checks.ch06_backward.drive import ForwardAndBack
from tplearn.checks.ch06_backward.inputs import LAYOUTS, alike
from tplearn.checks.ch06_backward.wires import Group, pair, same, summed
from tplearn.checks.ch06_backward.wrong.reduce import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.groups import named
from tplearn.checks.inputs import one_each, pick
from tplearn.ranks import per_rank


def reduce_from_group(x: Tensor, group: Group) -> Tensor:
    """x: any shape, this rank's partial → the sum over the group, on every rank of it. Backward: the gradient as is."""
    return pair(lambda x: summed(x, group), same)(x)


def _cases(generator: Generator) -> list[Case]:
    """A partial for each rank; a group's sum is one tensor, so the same gradient arrives at all its ranks."""
    cases = []
    for tp, layouts in LAYOUTS.items():
        for groups in layouts:
            shape = (3, pick(generator, 4, 6))
            xs = per_rank([[x] for x in one_each(tp, generator, *shape)])
            cases.append(Case(tp, (xs, per_rank(alike(groups, generator, *shape)), (), groups), label=named(groups)))
    return cases


REDUCE_FROM_GROUP = Exercise(
    number="06.3",
    name="reduce_from_group",
    points=10,
    difficulty=2,
    minutes=8,
    reference=reduce_from_group,
    cases=_cases,
    observe=ForwardAndBack(),
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.parallel.collectives",),
)
