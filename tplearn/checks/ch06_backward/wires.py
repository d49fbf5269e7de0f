"""What crosses the wires in chapter 06, on the way there or back, and functions made of any two of these."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.distributed import ProcessGroup

Wire = Callable[[Tensor], Tensor]
Group = ProcessGroup | None


def same(x: Tensor) -> Tensor:
    """Nothing is sent."""
    return x.view_as(x)


def summed(x: Tensor, group: Group = None) -> Tensor:
    """All-reduce on a copy."""
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


def summed_in_place(x: Tensor, group: Group = None) -> Tensor:
    """All-reduce on the tensor itself, which belongs to somebody else."""
    dist.all_reduce(x, group=group)
    return x


def averaged(x: Tensor, group: Group = None) -> Tensor:
    """The mean where a sum is due."""
    return summed(x, group) / dist.get_world_size(group)


def joined(x: Tensor, dim: int) -> Tensor:
    """All-gather: the ranks' x side by side along `dim`."""
    shards = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
    dist.all_gather(shards, x.contiguous())
    return torch.cat(shards, dim)


def own(x: Tensor, dim: int, rank: int | None = None) -> Tensor:
    """This rank's shard of x along `dim`, or that of `rank`."""
    return x.chunk(dist.get_world_size(), dim)[dist.get_rank() if rank is None else rank].contiguous()


def reduce_scattered(x: Tensor, dim: int) -> Tensor:
    """This rank's shard along `dim` of the sum over the ranks."""
    shards = [shard.contiguous() for shard in x.chunk(dist.get_world_size(), dim)]  # shard r is for rank r
    mine = torch.empty_like(shards[0])
    dist.reduce_scatter(mine, shards)
    return mine


def pair(there: Wire, back: Wire) -> Wire:
    """A function that runs `there` on the way forward and `back` on the way back, whether they fit or not."""

    class Pair(Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001
            return there(x)

        @staticmethod
        def backward(ctx, grad_output: Tensor) -> Tensor:  # noqa: ANN001
            return back(grad_output)

    return lambda x: Pair.apply(x)
