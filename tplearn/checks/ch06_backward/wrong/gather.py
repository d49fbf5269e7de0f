"""Wrong answers to 06.4: an all-gather whose backward is a cut."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from tplearn.checks.ch06_backward.wires import joined, own, pair, reduce_scattered, summed
from tplearn.checks.exercise import Mutant

Along = Callable[[Tensor, int], Tensor]


def _of(there: Along, back: Along) -> Along:
    return lambda x, dim: pair(lambda x: there(x, dim), lambda grad: back(grad, dim))(x)


def _placed_and_summed(x: Tensor, dim: int) -> Tensor:
    """The shard among zeros, and a sum over ranks: as many bytes again as an all-gather."""
    rank = dist.get_rank()
    return summed(torch.cat([x if k == rank else torch.zeros_like(x) for k in range(dist.get_world_size())], dim))


def _along(x: Tensor, dim: int, factor: float) -> list[int]:
    """x's shape with another size along dim."""
    return [int(size * factor) if k == dim % x.ndim else size for k, size in enumerate(x.shape)]


def _as_it_lies(x: Tensor, dim: int) -> Tensor:
    """The gathered memory, rank by rank, in the whole's shape."""
    return joined(x, 0).reshape(_along(x, dim, dist.get_world_size()))


def _memory_cut(grad: Tensor, dim: int) -> Tensor:
    """The gradient's memory in p blocks, in the shard's shape."""
    p = dist.get_world_size()
    return grad.reshape(p, -1)[dist.get_rank()].reshape(_along(grad, dim, 1 / p))


def _sliced(grad: Tensor, dim: int) -> Tensor:
    """By an index with as many full slices in front as dim says."""
    size = grad.shape[dim] // dist.get_world_size()
    start = dist.get_rank() * size
    return grad[(slice(None),) * dim + (slice(start, start + size),)].clone()


class _NoneForgotten(Function):
    @staticmethod
    def forward(ctx, x: Tensor, dim: int) -> Tensor:  # noqa: ANN001
        ctx.dim = dim
        return joined(x, dim)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> Tensor:  # noqa: ANN001
        return own(grad_output, ctx.dim)


MUTANTS = (
    Mutant(
        "plain all_gather cuts the graph",
        joined,
        "The whole is right, and no gradient comes back. all_gather wrote it into fresh tensors, which autograd does "
        "not connect with x. On real ranks a training run goes on like that, and the layers below never learn "
        "(pytorch/pytorch#121587).",
        "an autograd Function around the all_gather.",
    ),
    Mutant(
        "summed on the way back",
        _of(joined, reduce_scattered),
        "Your gradient is p times too large: you summed over ranks before you cut. The whole is used alike on every "
        "rank, so each has its whole gradient; p copies of it are not p gradients. Where ranks use the whole "
        "differently, your backward is the right one: see the next exercise.",
        "backward: it needs no message.",
    ),
    Mutant(
        "averaged on the way back",
        _of(joined, lambda grad, dim: reduce_scattered(grad, dim) / dist.get_world_size()),
        "The numbers are right: the mean of equal gradients is the gradient. But you paid a reduce-scatter for it. "
        "Each rank can cut its own shard alone.",
        "the ledger of the backward pass: it should be empty.",
    ),
    Mutant(
        "divided by p",
        _of(joined, lambda grad, dim: own(grad, dim) / dist.get_world_size()),
        "Your gradient is p times too small. All ranks use one whole, which counts once: its gradient is cut, not "
        "shared out.",
        "the division in backward.",
    ),
    Mutant(
        "multiplied by p",
        _of(joined, lambda grad, dim: own(grad, dim) * dist.get_world_size()),
        "Your gradient is p times too large: you multiplied by the number of ranks. The p copies of the whole count "
        "once.",
        "the factor in backward.",
    ),
    Mutant(
        "rank 0's shard for everybody",
        _of(joined, lambda grad, dim: own(grad, dim, 0)),
        "Every rank took the first shard of the gradient, which belongs to rank 0. Rank r's shard stands at place r of "
        "the whole, so its gradient does too.",
        "the index after chunk: dist.get_rank().",
    ),
    Mutant(
        "always along dim 0",
        _of(lambda x, dim: joined(x, 0), lambda grad, dim: own(grad, 0)),
        "The shards are put one below the other, whatever dim says. all_gather knows nothing of dimensions: it brings "
        "you p tensors. You say along which dimension they are joined, and cut again.",
        "torch.cat(shards, dim), and chunk(p, dim).",
    ),
    Mutant(
        "gradient cut along dim 0",
        _of(joined, lambda grad, dim: own(grad, 0) if grad.shape[0] % dist.get_world_size() == 0 else grad[:1]),
        "The whole is right. Its gradient you cut along dim 0, whatever dim was: chunk(p) without a dim takes the "
        "first.",
        "ctx.dim = dim in forward, chunk(p, ctx.dim) in backward.",
    ),
    Mutant(
        "gradient cut along dim 0, of another shape",
        _of(joined, lambda grad, dim: grad.chunk(dist.get_world_size())[dist.get_rank()].contiguous()),
        "The whole is right. Your backward cuts along dim 0, whatever dim was, so the gradient has another shape than "
        "x: chunk(p) without a dim takes the first.",
        "ctx.dim = dim in forward, chunk(p, ctx.dim) in backward.",
        alone=True,
    ),
    Mutant(
        "negative dim taken for 0",
        _of(joined, lambda grad, dim: _sliced(grad, dim)),
        "Your backward is right where dim is counted from the front. Where it is negative your gradient has another "
        "shape than x. An index of (slice(None),) * dim, for one, is empty then: the slice that follows cuts dim 0.",
        "dim % x.ndim, where backward begins.",
        alone=True,
    ),
    Mutant(
        "memory cut in blocks",
        _of(joined, _memory_cut),
        "The whole is right. Its gradient you cut into p equal blocks of memory, which are the shards only where dim "
        "is 0. Along another dim a shard is no block of memory, and a reshape gives it x's shape, not its numbers.",
        "chunk(p, dim) in backward.",
    ),
    Mutant(
        "joined as it lies",
        _of(_as_it_lies, own),
        "The whole has the right shape, and unless dim is 0 its numbers stand in wrong places. What was gathered lies "
        "rank by rank; a view or a reshape gives it another shape and moves nothing.",
        "torch.cat(shards, dim).",
    ),
    Mutant(
        "own shard p times",
        lambda x, dim: torch.cat([x] * dist.get_world_size(), dim),
        "Your whole is this rank's own shard, p times. Nothing has come from the other ranks.",
        "the all_gather, and the p tensors that it fills.",
    ),
    Mutant(
        "whole gradient",
        _of(joined, lambda grad, dim: grad),
        "You returned the gradient of the whole. x is only this rank's shard, and its gradient has the shard's shape.",
        "backward: cut the gradient along dim.",
    ),
    Mutant(
        "backwards",
        _of(lambda x, dim: torch.cat(joined(x, dim).chunk(dist.get_world_size(), dim)[::-1], dim), own),
        "The shards are joined with the last rank's first. Rank 0's comes first.",
        "the order in torch.cat.",
    ),
    Mutant(
        "a sum in place of a gather",
        _of(_placed_and_summed, own),
        "The numbers are right, and a gather would be cheaper: you put the shard among zeros and summed over ranks, "
        "which sends all the zeros too.",
        "the ledger of the forward pass: one all_gather of the shard.",
    ),
    Mutant(
        "no None for dim",
        lambda x, dim: _NoneForgotten.apply(x, dim),
        "backward returns one value for each argument of forward. forward has two, x and dim, and a number like dim "
        "has no gradient: its place is None.",
        "return ..., None.",
    ),
)
