"""Wrong answers to 06.2: f, whose backward sums over a group."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from tplearn.checks.ch06_backward.wires import Group, averaged, pair, same, summed, summed_in_place
from tplearn.checks.exercise import Mutant

GroupWire = Callable[[Tensor, Group], Tensor]


def of(there: GroupWire, back: GroupWire) -> GroupWire:
    """`there` forward and `back` on the way back, both in the group."""
    return lambda x, group: pair(lambda x: there(x, group), lambda grad: back(grad, group))(x)


def nothing(x: Tensor, group: Group) -> Tensor:
    """Nothing is sent."""
    return same(x)


def over_the_world(x: Tensor, group: Group) -> Tensor:
    """The sum over all ranks, whatever the group."""
    return summed(x)


def _from_first(x: Tensor, group: Group) -> Tensor:
    received = x.clone()
    dist.broadcast(received, group=group, group_src=0)
    return received


def only_at_the_first(x: Tensor, group: Group) -> Tensor:
    total = x.clone()
    dist.reduce(total, group=group, group_dst=0)
    return total if dist.get_rank(group) == 0 else x


def _gathered(x: Tensor, group: Group) -> Tensor:
    everybody = [torch.empty_like(x) for _ in range(dist.get_world_size(group))]
    dist.all_gather(everybody, x.contiguous(), group=group)
    return torch.stack(everybody)


def on_the_first(x: Tensor, group: Group) -> Tensor:
    """The sum on the first rank; on the others what gloo leaves there."""
    total = x.clone()
    dist.reduce(total, group=group, group_dst=0)
    return total


class _NoneForgotten(Function):
    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:  # noqa: ANN001
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> Tensor:  # noqa: ANN001
        return summed(grad_output, ctx.group)


class _OnTheClass(Function):
    group: Group = None

    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:  # noqa: ANN001
        _OnTheClass.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return summed(grad_output, _OnTheClass.group), None


MUTANTS = (
    Mutant(
        "group kept on the class",
        _OnTheClass.apply,
        "Your backward takes the group of the latest forward. A model runs many forwards before the first backward, "
        "and not all in one group. What backward needs belongs to its own call: that is what ctx is for.",
        "ctx.group = group in forward, group=ctx.group in backward.",
    ),
    Mutant(
        "f missing",
        of(nothing, nothing),
        "Nothing happens on the way back, so each rank keeps the gradient of its own use of x. One x went to all ranks "
        "of the group: its gradient is the sum over them. In a model the loss still falls, but every layer below "
        "learns from one rank's opinion.",
        "backward: it should hold the all-reduce.",
    ),
    Mutant(
        "group forgotten",
        of(nothing, over_the_world),
        "Your backward sums over all ranks of the world. Another group has another x, and its gradients have nothing "
        "to do with this one's. Where the group is the world, it cannot be seen.",
        "ctx.group = group in forward, group=ctx.group in backward.",
    ),
    Mutant(
        "both all-reduce",
        of(summed, summed),
        "You sum on both ways. On the way forward x is the same everywhere, so your result is p · x. Copying needs no "
        "message; only its transpose, the sum, does.",
        "forward: it should return x.",
    ),
    Mutant(
        "f and g swapped",
        of(summed, nothing),
        "You sum on the way forward and do nothing on the way back: that is g. f is its transpose: nothing forward, "
        "the sum back.",
        "which of the two methods holds the all-reduce.",
    ),
    Mutant(
        "mean for sum",
        of(nothing, averaged),
        "You averaged the gradients: yours are p times too small. The mean is for data-parallel copies of a model. "
        "Here each rank's gradient is a partial of one sum.",
        "the division by the number of ranks in backward.",
    ),
    Mutant(
        "p times the own gradient",
        of(nothing, lambda grad, group: grad * dist.get_world_size(group)),
        "You multiplied the own gradient by the number of ranks, as if all ranks had the same one. Each used x in its "
        "own way, so each has another.",
        "backward: the other ranks' gradients have to come from the other ranks.",
    ),
    Mutant(
        "gradient changed in place",
        of(nothing, summed_in_place),
        "The numbers are right, but your all_reduce wrote into grad_output. That tensor is not yours: after y = f(x) + "
        "z autograd may hand the same one on to z, which then gets the sum as well.",
        "a copy in backward: total = grad_output.clone().",
    ),
    Mutant(
        "one rank tells the others",
        of(_from_first, summed),
        "You broadcast x in forward. Every rank of the group has x already. Copying into the group is a matter of what "
        "happens on the way back; on the way forward nothing is sent.",
        "the ledger of the forward pass: it should be empty.",
    ),
    Mutant(
        "summed on one rank only",
        of(nothing, only_at_the_first),
        "Only the first rank of the group gets the sum; the others keep their own gradient. Every rank goes on with "
        "x's gradient, so every rank needs the whole of it.",
        "dist.all_reduce in place of dist.reduce.",
    ),
    Mutant(
        "summed on one rank, and what is left on the others",
        of(nothing, on_the_first),
        "Only the first rank of the group gets the sum: what dist.reduce leaves on the others means nothing. Every "
        "rank goes on with x's gradient, so every rank needs the whole of it.",
        "dist.all_reduce in place of dist.reduce.",
    ),
    Mutant(
        "gathered and added",
        of(nothing, lambda grad, group: _gathered(grad, group).sum(0)),
        "The numbers are right, and too many bytes paid for them: every rank got all gradients of the group and added "
        "them up itself. An all-reduce adds on the way.",
        "the ledger of the backward pass: one all_reduce.",
    ),
    Mutant(
        "summed twice",
        of(nothing, lambda grad, group: summed(summed(grad, group), group)),
        "Your backward sums twice. The second all-reduce adds up p copies of a finished sum: p times too large.",
        "one all-reduce in backward.",
    ),
    Mutant(
        "no None for the group",
        lambda x, group: _NoneForgotten.apply(x, group),
        "backward returns one value for each argument of forward. forward has two, x and group, and a group has no "
        "gradient: its place is None.",
        "return total, None.",
    ),
)
