"""Exercise 07.2: a linear layer with its outputs cut, as a module in a tensor-parallel group."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tplearn.checks.ch07_mlp_on_gloo import draws
from tplearn.checks.ch07_mlp_on_gloo.drive import layer_in_group
from tplearn.checks.ch07_mlp_on_gloo.first_values import init_shard
from tplearn.checks.ch07_mlp_on_gloo.inputs import LAYOUTS, Group, Shard, layer_case
from tplearn.checks.ch07_mlp_on_gloo.steps import Step, keep, mean_gradient, over_the_world, twice
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group


class ColumnLinear(nn.Module):
    """y = x Aᵀ + b with the outputs cut: f, then the shard's matmul and bias."""

    def __init__(
        self, in_features: int, out_features: int, group: Group, draw: Callable[..., Shard] = init_shard
    ) -> None:
        super().__init__()
        weight, bias = draw(in_features, out_features, "outputs", group)
        self.weight, self.bias, self.group = nn.Parameter(weight), nn.Parameter(bias), group

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in], the same on every rank of the group → this rank's columns of y."""
        return linear(copy_to_group(x, self.group), self.weight, self.bias)


class _With(ColumnLinear):
    """The layer with one of its steps replaced."""

    def __init__(
        self, *sizes: int | Group, enter: Step = copy_to_group, leave: Step = keep, bias: bool = True, **how: Callable
    ) -> None:
        super().__init__(*sizes, **how)
        self.enter, self.leave, self.adds_bias = enter, leave, bias

    def forward(self, x: Tensor) -> Tensor:
        y_shard = linear(self.enter(x, self.group), self.weight, self.bias if self.adds_bias else None)
        return self.leave(y_shard, self.group)


class _GroupIgnored(ColumnLinear):
    def __init__(self, in_features: int, out_features: int, group: Group) -> None:
        super().__init__(in_features, out_features, None)


class _NoParameters(ColumnLinear):
    def __init__(self, in_features: int, out_features: int, group: Group) -> None:
        super().__init__(in_features, out_features, group)
        weight, bias = self.weight.detach(), self.bias.detach()
        del self.weight, self.bias
        self.weight, self.bias = weight, bias


def _cases(generator: torch.Generator) -> list[Case]:
    """The outputs come out even for no group but that of one rank."""
    cases = []
    for tp, groups in LAYOUTS:
        p = max(map(len, groups)) if groups else tp
        outputs = p * pick(generator, 1, 3) + 1
        cases.append(layer_case(generator, tp, groups, (pick(generator, 5, 8), outputs), outputs, cut=True))
    return cases


COLUMN_LINEAR = Exercise(
    number="07.2",
    name="ColumnLinear",
    points=10,
    difficulty=2,
    minutes=10,
    reference=ColumnLinear,
    cases=_cases,
    observe=layer_in_group,
    ranks=True,
    mutants=(
        Mutant(
            "no f",
            partial(_With, enter=keep),
            "The forward is right, and so are the gradients of weight and bias. But x went to every rank, each rank "
            "has only what its own columns say about dx, and nobody adds that up. Everything below this layer would "
            "train on a partial, another one on each rank.",
            "what x passes through before the matmul: copy_to_group, whose backward is the all-reduce.",
        ),
        Mutant(
            "g for f",
            partial(_With, enter=reduce_from_group),
            "x is the same on every rank, and you summed it over the ranks: the matmul sees p · x. And in the "
            "backward pass, where a sum is due, there is none. f and g are each other's backward: copy_to_group "
            "belongs here.",
            "which of the two stands before a column layer.",
        ),
        Mutant(
            "f over the world",
            partial(_With, enter=over_the_world(copy_to_group)),
            "Your f sums dx over all ranks of the world. Another group has another x, and its gradients have nothing "
            "to do with this one's: the sum runs over this layer's group. With one group alone the two are the same.",
            "copy_to_group(x, group).",
        ),
        Mutant(
            "group ignored",
            _GroupIgnored,
            "You never used the group: the layer is cut over all ranks, and dx is summed over all of them. In a world "
            "of two groups each rank then holds too small a shard, and hears from ranks that have another x.",
            "group, in init_shard and in copy_to_group.",
        ),
        Mutant(
            "drawn over the world",
            partial(ColumnLinear, draw=partial(draws.drawn, own=draws.of_the_world)),
            "Your shard is that of a cut over all ranks. In a group of two in a world of four a rank holds half of "
            "the outputs, not a quarter.",
            "the group that init_shard is given.",
        ),
        Mutant(
            "f after the matmul",
            partial(_With, leave=copy_to_group, enter=keep),
            "Your f stands after the matmul. There it sums the gradients of different columns, of which each belongs "
            "to one rank, and with shards of different sizes that cannot even run. What needs the sum is the gradient "
            "of x, so f stands before.",
            "the place of copy_to_group: on x, not on y.",
            alone=True,
        ),
        Mutant(
            "mean for sum",
            partial(_With, enter=mean_gradient),
            "Your dx is divided by p. The ranks' gradients of x are no estimates of one thing, of which a mean would "
            "be taken: each comes through other columns, and they add up.",
            "the division in the backward pass of f.",
        ),
        Mutant(
            "f twice",
            partial(_With, enter=twice(copy_to_group)),
            "x passes through f twice. The second all-reduce of the backward pass adds up p equal sums: dx is p times "
            "too large.",
            "how often copy_to_group is called for one x: once.",
        ),
        Mutant(
            "bias forgotten",
            partial(_With, bias=False),
            "Your output lacks the bias.",
            "the third argument of linear.",
        ),
        Mutant(
            "same-seed shards",
            partial(ColumnLinear, draw=draws.same_seed),
            "Every rank drew a shard of its own size from the state that all ranks share, so all hold the same rows: "
            "p ranks compute the same outputs p times.",
            "the first values: this rank's rows of the dense nn.Linear(in_features, out_features).",
        ),
        Mutant(
            "first shard on every rank",
            partial(ColumnLinear, draw=partial(draws.drawn, own=draws.first_shard)),
            "Every rank took the first rows of the dense layer. They belong to the group's first rank.",
            "which rows a rank keeps.",
        ),
        Mutant(
            "plain tensors",
            _NoParameters,
            "Your weight and bias are plain tensors. A module knows its parameters by nn.Parameter: what is none is "
            "found by no optimizer, moved by no .to(...) and saved in no checkpoint.",
            "nn.Parameter(...), in __init__.",
        ),
        Mutant(
            "output gathered",
            partial(_With, leave=lambda y, group: gather_from_group(y, -1, group)),
            "You gathered the outputs. The row layer that comes next wants its input cut, so y stays as it is, and "
            "nothing is sent forward. And shards of different sizes cannot be gathered just like that.",
            "what forward returns: this rank's columns.",
            alone=True,
        ),
    ),
)
