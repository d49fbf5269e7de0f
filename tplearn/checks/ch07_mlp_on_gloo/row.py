"""Exercise 07.3: a linear layer with its inputs cut that takes the whole x; its bias enters once."""

from functools import partial

import torch
import torch.distributed as dist

from tplearn.checks.ch07_mlp_on_gloo import draws, steps
from tplearn.checks.ch07_mlp_on_gloo.drive import layer_in_group
from tplearn.checks.ch07_mlp_on_gloo.inputs import LAYOUTS, layer_case
from tplearn.checks.ch07_mlp_on_gloo.linear import RowLinear, RowOfTheWorld, RowWith, before_the_sum
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group, scatter_to_group


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
            before_the_sum(steps.keep),
            "Your result minus the truth is (tp − 1) · bias. Every rank added the bias before the sum, so it was "
            "counted once for each rank. At tp = 1 that cannot be seen, which is why one-rank tests pass.",
            "where the bias enters: after reduce_from_group.",
        ),
        Mutant(
            "bias / tp",
            before_the_sum(steps.shared),
            "The forward is right: tp times bias / tp is one bias. But the division is differentiated too, and g "
            "hands every rank the gradient as it is: the bias's gradient is the true one divided by tp. It trains, "
            "with a learning rate that shrinks as ranks are added.",
            "where the bias enters: whole, once, after reduce_from_group.",
        ),
        Mutant(
            "bias on rank 0 only",
            before_the_sum(steps.on_the_first),
            "The forward is right: one rank adds the bias before the sum. But only that rank's copy gets a gradient, "
            "the others get zero, and after one step the copies differ. Fine for serving, wrong for training.",
            "where the bias enters: on every rank, after reduce_from_group.",
        ),
        Mutant(
            "bias on rank 0 after the sum",
            partial(RowWith, after=steps.on_the_first),
            "Only one rank adds the bias, and it does so after the sum. What comes after the sum is done on every "
            "rank for itself: the other ranks return y without the bias.",
            "the ranks that add the bias after reduce_from_group: all of them.",
        ),
        Mutant(
            "bias / tp after the sum",
            partial(RowWith, after=steps.shared),
            "You divided the bias by the number of ranks and added it after the sum. After the sum nothing is added "
            "up any more: each rank's y lacks the rest of it.",
            "the division.",
        ),
        Mutant(
            "bias forgotten",
            partial(RowWith, after=steps.forgotten),
            "Your output lacks the bias.",
            "what is added to the sum.",
        ),
        Mutant(
            "cut without a way back",
            partial(RowWith, enter=steps.own_columns),
            "The forward is right. But a slice of x hands back a gradient that is zero in the columns it did not "
            "take: each rank has only its own columns of dx. x is whole on every rank, and so must dx be.",
            "scatter_to_group: its backward is an all-gather.",
        ),
        Mutant(
            "f before the cut",
            partial(RowWith, enter=lambda x, group: steps.own_columns(copy_to_group(x, group), group)),
            "The numbers are right. f before the slice sums, over the ranks, tensors of which each is zero outside "
            "its own columns: an all-reduce where an all-gather does, and twice the bytes.",
            "the backward pass of the cut: scatter_to_group gathers the shards of dx.",
        ),
        Mutant(
            "f and the cut",
            partial(RowWith, enter=lambda x, group: scatter_to_group(copy_to_group(x, group), -1, group)),
            "Your dx is p times too large: it is gathered on the way back through the cut, and then the whole dx, the "
            "same on every rank, is summed as well.",
            "what x passes through before the matmul: scatter_to_group alone.",
        ),
        Mutant(
            "columns dealt like cards",
            partial(RowWith, enter=steps.dealt_columns),
            "Rank r takes the columns r, r + p, r + 2p, … of x. Its weight has a run of the inputs: the first ones on "
            "rank 0, the next ones on rank 1.",
            "slices with a step, such as [..., rank::p].",
        ),
        Mutant(
            "gathered, not summed",
            partial(RowWith, leave=lambda y, group: gather_from_group(y, -1, group)),
            "You put the partials side by side. Each of them has the full shape already, and all ranks' together are "
            "p times as wide as y: they add up.",
            "what comes after the matmul: reduce_from_group.",
        ),
        Mutant(
            "summed on the way back too",
            partial(RowWith, leave=lambda y, group: copy_to_group(reduce_from_group(y, group), group)),
            "You sum on both ways. y is the same on every rank, and so is its gradient: summed once more it is p "
            "times too large, and with it the gradients of x and of the weight.",
            "the backward of g: the gradient as it is.",
        ),
        Mutant(
            "bias through f",
            partial(RowWith, after=copy_to_group),
            "The bias's gradient is p times too large: it is summed over the ranks. Every rank adds the whole bias to "
            "the whole y, so each finds its whole gradient alone.",
            "what the bias passes through: nothing.",
        ),
        Mutant(
            "no g",
            partial(RowWith, leave=steps.keep),
            "Each rank returns its own partial. A row layer's products have the full shape, but only their sum over "
            "the ranks is y.",
            "what comes after the matmul: reduce_from_group.",
        ),
        Mutant(
            "mean for sum",
            partial(RowWith, leave=lambda y, group: reduce_from_group(y, group) / dist.get_world_size(group)),
            "You averaged the partials. Each is the product of other columns of x with other columns of the weight: "
            "they add up to y, and their mean is y / p.",
            "the division.",
        ),
        Mutant(
            "plain all_reduce",
            partial(RowWith, leave=steps.plain_all_reduce),
            "The numbers are right, by luck: autograd does not know dist.all_reduce, and sends the gradient on as if "
            "no sum had happened. Here that is what is due. torch warns of it, and may change it "
            "(pytorch/pytorch#121587).",
            "reduce_from_group, which is an autograd Function.",
        ),
        Mutant(
            "g over the world",
            partial(RowWith, leave=steps.over_the_world(reduce_from_group)),
            "Your g sums over all ranks of the world, so the partials of other groups, which have another x, come "
            "into y too. With one group alone that cannot be seen.",
            "reduce_from_group(…, group).",
        ),
        Mutant(
            "group ignored",
            RowOfTheWorld,
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
        Mutant(
            "same-seed shards",
            partial(RowLinear, draw=draws.same_seed),
            "Every rank drew a layer of the shard's size, from the state that all ranks share: all hold the same "
            "numbers. And they are about √p times too large, for their bound came from in/p inputs.",
            "the first values: this rank's columns of the dense nn.Linear(in_features, out_features).",
        ),
    ),
)
