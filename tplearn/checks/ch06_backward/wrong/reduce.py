"""Wrong answers to 06.3: g, which sums over a group."""

import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from tplearn.checks.ch06_backward.wires import Group, averaged, pair, same, summed, summed_in_place
from tplearn.checks.ch06_backward.wrong.copy import nothing, of, on_the_first, only_at_the_first, over_the_world
from tplearn.checks.exercise import Mutant


def _divided(x: Tensor, group: Group) -> Tensor:
    return x / dist.get_world_size(group)


class _NoneForgotten(Function):
    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:  # noqa: ANN001
        return summed(x, group)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> Tensor:  # noqa: ANN001
        return grad_output


MUTANTS = (
    Mutant(
        "both all-reduce",
        of(summed, summed),
        "You sum on both ways, so every gradient below is p times too large. The sum y is one tensor, and every rank "
        "has its whole gradient already: adding the copies up counts one loss p times.",
        "backward: return grad_output.",
    ),
    Mutant(
        "gradient times p",
        of(summed, lambda grad, group: grad * dist.get_world_size(group)),
        "Your gradients are p times too large: you multiplied by the number of ranks. The sum y is one tensor, and "
        "each partial enters it once.",
        "backward: return grad_output.",
    ),
    Mutant(
        "gradient divided by p",
        of(summed, _divided),
        "Your gradients are p times too small. y is the sum of the partials, not their mean: when a partial grows by "
        "1, y grows by 1, so each partial gets y's gradient undivided.",
        "the division in backward.",
    ),
    Mutant(
        "summed on one rank only",
        of(only_at_the_first, nothing),
        "Only the first rank of the group gets the sum; the others go on with their own partial. Every rank needs y.",
        "dist.all_reduce in place of dist.reduce.",
    ),
    Mutant(
        "summed on one rank, and what is left on the others",
        of(on_the_first, nothing),
        "Only the first rank of the group gets the sum: what dist.reduce leaves on the others means nothing. Every "
        "rank goes on with y.",
        "dist.all_reduce in place of dist.reduce.",
    ),
    Mutant(
        "group forgotten",
        of(over_the_world, nothing),
        "You sum over all ranks of the world. The partials of another group belong to another tensor. Where the group "
        "is the world, it cannot be seen.",
        "the group of the all_reduce in forward.",
    ),
    Mutant(
        "input changed in place",
        of(summed_in_place, nothing),
        "The sum is right, but your all_reduce wrote it into x itself. Whoever still needs the partial, the layer "
        "before for its own gradient or a residual, now finds the sum there.",
        "a copy in forward: total = x.clone().",
    ),
    Mutant(
        "plain all_reduce on a copy",
        summed,
        "The numbers are right, by luck. autograd does not know dist.all_reduce: it saw clone() and nothing else, and "
        "sends the gradient on as if no sum had happened. Here that is what is due. torch warns of it and announces "
        "that it will not stay so (pytorch/pytorch#121587).",
        "an autograd Function: the all_reduce inside its forward, the gradient's way in its backward.",
    ),
    Mutant(
        "plain all_reduce",
        summed_in_place,
        "You called dist.all_reduce on x itself. It overwrites x behind autograd's back: the gradient goes on as if no "
        "sum had happened, and an op that saved x (exp, for one) computes its gradient from the sum "
        "(pytorch/pytorch#121587).",
        "an autograd Function, and a copy in its forward.",
    ),
    Mutant(
        "mean for sum",
        of(averaged, nothing),
        "You divided the sum by the number of ranks. The ranks hold partials of one result, as row-parallel layers "
        "leave them, not copies of it.",
        "the division in forward.",
    ),
    Mutant(
        "averaged gradient",
        of(summed, averaged),
        "The numbers are right: the mean of equal gradients is the gradient. But you paid an all-reduce for it. Every "
        "rank holds it already.",
        "the ledger of the backward pass: it should be empty.",
    ),
    Mutant(
        "f and g swapped",
        of(nothing, summed),
        "You do nothing on the way forward and sum on the way back: that is f. g is its transpose: the sum forward, "
        "nothing back.",
        "which of the two methods holds the all-reduce.",
    ),
    Mutant(
        "nothing at all",
        of(nothing, nothing),
        "Your result is the rank's own partial. Nothing was summed.",
        "forward: the all-reduce.",
    ),
    Mutant(
        "no way back",
        lambda x, group: pair(lambda x: summed(x, group), lambda grad: grad * 0)(x),
        "The sum is right, and your backward returns zeros. Each partial enters the sum once, so it gets the sum's "
        "gradient as it is.",
        "backward: return grad_output.",
    ),
    Mutant(
        "gradient for the first rank only",
        of(summed, lambda grad, group: grad * (dist.get_rank(group) == 0)),
        "Only the first rank of the group gets the gradient; the others' partials get zeros. One loss is not counted p "
        "times when every partial gets its gradient: they are different tensors, and each enters the sum once.",
        "backward: return grad_output, on every rank.",
    ),
    Mutant(
        "no None for the group",
        lambda x, group: _NoneForgotten.apply(x, group),
        "backward returns one value for each argument of forward. forward has two, x and group; a group has no "
        "gradient, and None takes its place.",
        "return grad_output, None.",
    ),
    Mutant(
        "summed twice",
        lambda x, group: pair(lambda x: summed(summed(x, group), group), same)(x),
        "Your forward sums twice. The second all-reduce adds up p copies of a finished sum: p times too large.",
        "one all-reduce in forward.",
    ),
)
