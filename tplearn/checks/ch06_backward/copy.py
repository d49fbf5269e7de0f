"""Exercise 06.2: Megatron's f, the copy, whose backward is a sum over a group."""

from torch import Generator, Tensor

from tplearn.checks.ch06_backward.drive import ForwardAndBack
from tplearn.checks.ch06_backward.inputs import LAYOUTS, alike
from tplearn.checks.ch06_backward.wires import Group, pair, same, summed
from tplearn.checks.ch06_backward.wrong.copy import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.groups import named
from tplearn.checks.inputs import one_each, pick
from tplearn.ranks import per_rank


def copy_to_group(x: Tensor, group: Group) -> Tensor:
    """x: any shape, the same on every rank of the group → x. Backward: the sum over the group of the gradients."""
    return pair(same, lambda grad: summed(grad, group))(x)


def _cases(generator: Generator) -> list[Case]:
    """One x for a group; every rank uses it in its own way, so a different gradient arrives at each."""
    cases = []
    for tp, layouts in LAYOUTS.items():
        for groups in layouts:
            shape = (3, pick(generator, 4, 6))
            xs = per_rank([[x] for x in alike(groups, generator, *shape)])
            upstream = per_rank(one_each(tp, generator, *shape))
            cases.append(Case(tp, (xs, upstream, (), groups), label=named(groups)))
    return cases


COPY_TO_GROUP = Exercise(
    number="06.2",
    name="copy_to_group",
    points=10,
    difficulty=2,
    minutes=12,
    reference=copy_to_group,
    cases=_cases,
    observe=ForwardAndBack(),
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.parallel.collectives",),
)
