"""Steps of a layer that mutants put in the place of f, of g or of the bias; each takes a tensor and the group."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from tplearn.checks.ch07_mlp_on_gloo.inputs import Group
from tplearn.parallel import copy_to_group, reduce_from_group, scatter_to_group

Step = Callable[[Tensor, Group], Tensor]


def keep(x: Tensor, group: Group) -> Tensor:
    """Nothing is done."""
    return x


def over_the_world(step: Step) -> Step:
    """The same step among all ranks, whatever the group."""
    return lambda x, group: step(x)


def twice(step: Step) -> Step:
    """The step, and the step again."""
    return lambda x, group: step(step(x, group), group)


def mean_gradient(x: Tensor, group: Group) -> Tensor:
    """f, with the mean of the gradients in place of their sum."""
    x = copy_to_group(x, group)
    share = x / dist.get_world_size(group)
    return share + (x - share).detach()


def summed_both_ways(x: Tensor, group: Group) -> Tensor:
    """A sum forward, and the sum of the gradients backward."""
    return reduce_from_group(copy_to_group(x, group), group)


def largest_gradient(x: Tensor, group: Group) -> Tensor:
    """f, with the largest of the gradients in place of their sum."""
    return _Largest.apply(x, group)


class _Largest(Function):
    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:  # noqa: ANN001
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient, op=dist.ReduceOp.MAX, group=ctx.group)
        return gradient, None


def plain_all_reduce(x: Tensor, group: Group) -> Tensor:
    """dist.all_reduce on a copy, which autograd takes for nothing."""
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


def own_columns(x: Tensor, group: Group) -> Tensor:
    """A slice: what comes back through it is zero in the other ranks' columns."""
    return x.chunk(dist.get_world_size(group), dim=-1)[dist.get_rank(group)]


def whole_output(y: Tensor, group: Group) -> Tensor:
    """All ranks' columns side by side, however uneven: each in a place of its own, and summed."""
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    sizes = torch.zeros(p, dtype=torch.long)
    sizes[rank] = y.shape[-1]
    dist.all_reduce(sizes, group=group)
    return reduce_from_group(F.pad(y, (int(sizes[:rank].sum()), int(sizes[rank + 1 :].sum()))), group)


def dealt_columns(x: Tensor, group: Group) -> Tensor:
    """Every p-th column, with a way back that is right for it."""
    p = dist.get_world_size(group)
    order = torch.arange(x.shape[-1]).view(-1, p).T.flatten()  # 0, p, 2p, …, 1, p + 1, …
    return scatter_to_group(x[..., order], -1, group)


def on_the_first(x: Tensor, group: Group) -> Tensor:
    """x on the group's first rank, and zeros, with a gradient of zero, on the others."""
    return x if dist.get_rank(group) == 0 else 0 * x


def shared(x: Tensor, group: Group) -> Tensor:
    """x / p."""
    return x / dist.get_world_size(group)


def forgotten(x: Tensor, group: Group) -> Tensor:
    """Zeros, with a gradient of zero."""
    return 0 * x
