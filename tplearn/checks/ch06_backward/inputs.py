"""What the exercises of chapter 06 share: random tensors for each rank, sums over ranks, and ready-made wrong pairs."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

Wire = Callable[[Tensor], Tensor]
SIZES = (2, 3, 4)  # tp; on one rank an answer may send to itself or not, and both are right


def same(x: Tensor) -> Tensor:
    """Nothing is sent."""
    return x.view_as(x)


def summed(x: Tensor) -> Tensor:
    """All-reduce on a copy."""
    total = x.clone()
    dist.all_reduce(total)
    return total


def summed_in_place(x: Tensor) -> Tensor:
    """All-reduce on the tensor itself, which belongs to somebody else."""
    dist.all_reduce(x)
    return x


def averaged(x: Tensor) -> Tensor:
    """The mean where a sum is due."""
    return summed(x) / dist.get_world_size()


def joined(x: Tensor, dim: int) -> Tensor:
    """All-gather: the ranks' x side by side along `dim`."""
    shards = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
    dist.all_gather(shards, x.contiguous())
    return torch.cat(shards, dim)


def own(x: Tensor, dim: int) -> Tensor:
    """This rank's part of x along `dim`."""
    return x.chunk(dist.get_world_size(), dim)[dist.get_rank()].contiguous()


def reduce_scattered(x: Tensor, dim: int) -> Tensor:
    """This rank's part along `dim` of the sum over the ranks."""
    parts = [part.contiguous() for part in x.chunk(dist.get_world_size(), dim)]  # part r is for rank r
    mine = torch.empty_like(parts[0])
    dist.reduce_scatter(mine, parts)
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
