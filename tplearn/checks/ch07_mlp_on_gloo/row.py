"""Exercise 07.3: a linear layer with its inputs cut that takes the whole x; its bias enters once."""

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import linear

from tplearn.checks.ch07_mlp_on_gloo import draws, steps
from tplearn.checks.ch07_mlp_on_gloo.drive import layer_in_group
from tplearn.checks.ch07_mlp_on_gloo.first_values import init_shard
from tplearn.checks.ch07_mlp_on_gloo.inputs import LAYOUTS, Group, Shard, layer_case
from tplearn.checks.ch07_mlp_on_gloo.steps import Step
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick
from tplearn.parallel import copy_to_group, reduce_from_group, scatter_to_group


class RowLinear(nn.Module):
    """y = x Aᵀ + b with the inputs cut: this rank's columns of x, the shard's matmul, g, then the bias."""

    def __init__(
        self, in_features: int, out_features: int, group: Group, draw: Callable[..., Shard] = init_shard
    ) -> None:
        super().__init__()
        weight, bias = draw(in_features, out_features, "inputs", group)
        self.weight, self.bias, self.group = nn.Parameter(weight), nn.Parameter(bias), group

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in], the same on every rank of the group → [..., out], the same on every rank of the group."""
        x_shard = scatter_to_group(x, -1, self.group)
        return reduce_from_group(linear(x_shard, self.weight), self.group) + self.bias


class _With(RowLinear):
    """The layer with one of its steps replaced. `before` of the bias is added before the sum, `after` of it after."""

    def __init__(
        self,
        *sizes: int | Group,
        enter: Step = lambda x, group: scatter_to_group(x, -1, group),
        leave: Step = reduce_from_group,
        before: Step = steps.forgotten,
        after: Step = steps.keep,
        **how: Callable,
    ) -> None:
        super().__init__(*sizes, **how)
        self.enter, self.leave, self.before, self.after = enter, leave, before, after

    def forward(self, x: Tensor) -> Tensor:
        before, after = (step(self.bias, self.group) for step in (self.before, self.after))
        return self.leave(linear(self.enter(x, self.group), self.weight, before), self.group) + after


def _before(step: Step) -> Callable[..., nn.Module]:
    return partial(_With, before=step, after=steps.forgotten)


class _GroupIgnored(RowLinear):
    def __init__(self, in_features: int, out_features: int, group: Group) -> None:
        super().__init__(in_features, out_features, None)


def _cases(generator: torch.Generator) -> list[Case]:
    """The inputs come out even: there are 12, 24 or 36."""
    return [
        layer_case(generator, tp, groups, (pick(generator, 1, 3, 12), outputs), outputs)
        for tp, groups in LAYOUTS
        for outputs in [pick(generator, 5, 8)]
    ]


ROW_LINEAR = Exercise(
    number="07.3",
    name="RowLinear",
    points=10,
    difficulty=2,
    minutes=12,
    reference=RowLinear,
    cases=_cases,
    observe=layer_in_group,
    ranks=True,
    mutants=(
        Mutant(
            "bias on every rank",
            _before(steps.keep),
            "Your result minus the truth is (tp − 1) · bias. Every rank added the bias before the sum, so it was "
            "counted once for each rank. At tp = 1 that cannot be seen, which is why one-rank tests pass.",
            "where the bias enters: after reduce_from_group.",
        ),
        Mutant(
            "bias / tp",
            _before(steps.shared),
            "The forward is right: tp times bias / tp is one bias. But the division is differentiated too, and g "
            "hands every rank the gradient as it is: the bias's gradient is the true one divided by tp. It trains, "
            "with a learning rate that shrinks as ranks are added.",
            "where the bias enters: whole, once, after reduce_from_group.",
        ),
        Mutant(
            "bias on rank 0 only",
            _before(steps.on_the_first),
            "The forward is right: one rank adds the bias before the sum. But only that rank's copy gets a gradient, "
            "the others get zero, and after one step the copies differ. Fine for serving, wrong for training.",
            "where the bias enters: on every rank, after reduce_from_group.",
        ),
        Mutant(
            "bias on rank 0 after the sum",
            partial(_With, after=steps.on_the_first),
            "Only one rank adds the bias, and it does so after the sum. What comes after the sum is done on every "
            "rank for itself: the other ranks return y without the bias.",
            "the ranks that add the bias after reduce_from_group: all of them.",
        ),
        Mutant(
            "bias / tp after the sum",
            partial(_With, after=steps.shared),
            "You divided the bias by the number of ranks and added it after the sum. After the sum nothing is added "
            "up any more: each rank's y lacks the rest of it.",
            "the division.",
        ),
        Mutant(
            "bias forgotten",
            partial(_With, after=steps.forgotten),
            "Your output lacks the bias.",
            "what is added to the sum.",
        ),
        Mutant(
            "cut without a way back",
            partial(_With, enter=steps.own_columns),
            "The forward is right. But a slice of x hands back a gradient that is zero in the columns it did not "
            "take: each rank has only its own columns of dx. x is whole on every rank, and so must dx be.",
            "scatter_to_group: its backward is an all-gather.",
        ),
        Mutant(
            "f before the cut",
            partial(_With, enter=lambda x, group: steps.own_columns(copy_to_group(x, group), group)),
            "The numbers are right. f before the slice sums, over the ranks, tensors of which each is zero outside "
            "its own columns: an all-reduce where an all-gather does, and twice the bytes.",
            "the backward pass of the cut: scatter_to_group gathers the shards of dx.",
        ),
        Mutant(
            "no g",
            partial(_With, leave=steps.keep),
            "Each rank returns its own partial. A row layer's products have the full shape, but only their sum over "
            "the ranks is y.",
            "what comes after the matmul: reduce_from_group.",
        ),
        Mutant(
            "mean for sum",
            partial(_With, leave=lambda y, group: reduce_from_group(y, group) / dist.get_world_size(group)),
            "You averaged the partials. Each is the product of other columns of x with other columns of the weight: "
            "they add up to y, and their mean is y / p.",
            "the division.",
        ),
        Mutant(
            "plain all_reduce",
            partial(_With, leave=steps.plain_all_reduce),
            "The numbers are right, by luck: autograd does not know dist.all_reduce, and sends the gradient on as if "
            "no sum had happened. Here that is what is due. torch warns of it, and may change it "
            "(pytorch/pytorch#121587).",
            "reduce_from_group, which is an autograd Function.",
        ),
        Mutant(
            "g over the world",
            partial(_With, leave=steps.over_the_world(reduce_from_group)),
            "Your g sums over all ranks of the world, so the partials of other groups, which have another x, come "
            "into y too. With one group alone that cannot be seen.",
            "reduce_from_group(…, group).",
        ),
        Mutant(
            "group ignored",
            _GroupIgnored,
            "You never used the group: the layer is cut over all ranks, and summed over all of them. In a world of "
            "two groups each rank then holds too small a shard, and adds up partials of different inputs.",
            "group, in init_shard, scatter_to_group and reduce_from_group.",
        ),
        Mutant(
            "bound of the shard",
            partial(RowLinear, draw=draws.wide),
            "Your first values are √p times too large: their bound came from the shard's in/p inputs. The sum over "
            "ranks runs over all in_features, so the fan-in is in_features.",
            "the bound of the draw, 1/√in_features.",
        ),
    ),
)
