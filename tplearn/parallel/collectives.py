"""The collectives of tensor parallelism and their backward passes: no other file of the layers communicates.

Every function takes `group` (None: the default group) and sends nothing where the group has one rank. No argument and
no `grad_output` is changed. p is the number of ranks. What is no tensor, a dimension that does not exist or does not
divide, and a group that is none raise ValueError.
"""

import torch
from torch import Tensor
from torch.autograd import Function

from tplearn.parallel import transport
from tplearn.parallel.place import Group, Place
from tplearn.sizes import require_dim, require_divisible
from tplearn.tensors import require_summable, require_tensor


def copy_to_group(x: Tensor, group: Group = None) -> Tensor:
    """Megatron's f: the same x goes into every rank's own computation. Backward: all-reduce, the sum over its uses."""
    x, place = require_tensor("x", x), Place.of(group)
    if place.world_size == 1:
        return x
    return _CopyReduce.apply(x, place, False) if _wants_gradient(x) else x


def reduce_from_group(x: Tensor, group: Group = None) -> Tensor:
    """Megatron's g: all-reduce, the sum of the ranks' partials. Backward: each partial gets the gradient as it is."""
    x, place = require_summable("x", x), Place.of(group)
    if place.world_size == 1:
        return x
    return _CopyReduce.apply(x, place, True) if _wants_gradient(x) else plain_all_reduce(x, place)


def gather_from_group(x: Tensor, dim: int = -1, group: Group = None) -> Tensor:
    """[..., n, ...] → [..., p·n, ...] on every rank: the shards side by side along `dim`. Backward: your own shard.

    The gathered tensor must then be used alike on every rank, as a loss is: its gradient is the same everywhere.
    """
    x, place = require_tensor("x", x), Place.of(group)
    dim = require_dim(dim, x.ndim)
    if place.world_size == 1:
        return x
    return _GatherScatter.apply(x, place, dim, True) if _wants_gradient(x) else plain_all_gather(x, dim, place)


def scatter_to_group(x: Tensor, dim: int = -1, group: Group = None) -> Tensor:
    """[..., n, ...], the same on every rank → [..., n/p, ...], rank r's shard along `dim`. Backward: all-gather."""
    x, place = require_tensor("x", x), Place.of(group)
    dim = require_dim(dim, x.ndim)
    require_divisible(f"size of dim {dim}", x.shape[dim], place.world_size)
    if place.world_size == 1:
        return x
    return _GatherScatter.apply(x, place, dim, False) if _wants_gradient(x) else own_shard(x, dim, place)


def gather_sequence(x: Tensor, dim: int = 1, group: Group = None) -> Tensor:
    """[batch, sequence/p, ...] → [batch, sequence, ...]: all-gather along `dim`. Backward: reduce-scatter.

    Unlike `gather_from_group`, each rank goes on to do something different with the whole (its columns, its heads),
    so the gradients are partials.
    """
    x, place = require_tensor("x", x), Place.of(group)
    dim = require_dim(dim, x.ndim)
    if place.world_size == 1:
        return x
    return _SequenceGatherScatter.apply(x, place, dim, True) if _wants_gradient(x) else plain_all_gather(x, dim, place)


def reduce_scatter_sequence(x: Tensor, dim: int = 1, group: Group = None) -> Tensor:
    """[batch, sequence, ...], a partial → [batch, sequence/p, ...], shard r of the sum. Backward: all-gather."""
    x, place = require_summable("x", x), Place.of(group)
    dim = require_dim(dim, x.ndim)
    require_divisible(f"size of dim {dim} (sequence)", x.shape[dim], place.world_size)
    if place.world_size == 1:
        return x
    if _wants_gradient(x):
        return _SequenceGatherScatter.apply(x, place, dim, False)
    return plain_reduce_scatter(x, dim, place)


def _wants_gradient(x: Tensor) -> bool:
    """Whether a backward pass can follow. Where none can, the collective goes around autograd, which takes time."""
    return torch.is_grad_enabled() and x.requires_grad


class _CopyReduce(Function):
    """f and g, each the backward of the other (Megatron-LM, Shoeybi et al. 2019, section 3).

    | function          | forward    | backward   | state in → out      |
    | copy_to_group     | x          | all-reduce | Replicate → Replicate, which each rank uses in its own way |
    | reduce_from_group | all-reduce | gradient   | Partial → Replicate |
    """

    @staticmethod
    def forward(ctx, x: Tensor, place: Place, reduce: bool) -> Tensor:  # noqa: ANN001
        ctx.place, ctx.reduce = place, reduce
        return plain_all_reduce(x, place) if reduce else x

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        return _CopyReduce.apply(grad_output, ctx.place, not ctx.reduce), None, None


class _GatherScatter(Function):
    """All-gather and slice, each the backward of the other, for tensors that are used alike on all ranks.

    | function          | forward     | backward    | state in → out         |
    | gather_from_group | all-gather  | own slice   | Shard(dim) → Replicate |
    | scatter_to_group  | own slice   | all-gather  | Replicate → Shard(dim) |
    """

    @staticmethod
    def forward(ctx, x: Tensor, place: Place, dim: int, gather: bool) -> Tensor:  # noqa: ANN001
        ctx.place, ctx.dim, ctx.gather = place, dim, gather
        return plain_all_gather(x, dim, place) if gather else own_shard(x, dim, place)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        return _GatherScatter.apply(grad_output, ctx.place, ctx.dim, not ctx.gather), None, None, None


class _SequenceGatherScatter(Function):
    """All-gather and reduce-scatter, each the backward of the other (Korthikanti et al. 2022, section 4.2.2: g and ḡ).

    | function                | forward        | backward       | state in → out         |
    | gather_sequence         | all-gather     | reduce-scatter | Shard(dim) → Replicate, used as after f |
    | reduce_scatter_sequence | reduce-scatter | all-gather     | Partial → Shard(dim)   |
    """

    @staticmethod
    def forward(ctx, x: Tensor, place: Place, dim: int, gather: bool) -> Tensor:  # noqa: ANN001
        ctx.place, ctx.dim, ctx.gather = place, dim, gather
        return plain_all_gather(x, dim, place) if gather else plain_reduce_scatter(x, dim, place)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        return _SequenceGatherScatter.apply(grad_output, ctx.place, ctx.dim, not ctx.gather), None, None, None


def plain_all_reduce(x: Tensor, place: Place, reduce_op: str = "sum") -> Tensor:
    """A new tensor: x combined over the ranks, "sum" or "max". No gradient."""
    return x if place.world_size == 1 else transport.carry_all_reduce(x, reduce_op, place)


def plain_all_gather(x: Tensor, dim: int, place: Place) -> Tensor:
    """A new tensor: the ranks' x side by side along `dim`, in rank order. No gradient."""
    shards = transport.carry_all_gather(x, place)
    return shards.movedim(0, dim).flatten(dim, dim + 1)  # [p, ..., n, ...] → [..., p, n, ...] → [..., p·n, ...]


def plain_reduce_scatter(x: Tensor, dim: int, place: Place) -> Tensor:
    """A new tensor: this rank's shard along `dim` of the sum over the ranks. No gradient."""
    by_rank = x.unflatten(dim, (place.world_size, -1)).movedim(dim, 0)  # [..., p·n, ...] → [p, ..., n, ...]
    return transport.carry_reduce_scatter(by_rank.contiguous().flatten(0, 1), place)


def plain_shift(x: Tensor, place: Place) -> Tensor:
    """A new tensor: x of the rank before, while the rank after gets this rank's; rank 0 is after the last. No gradient.

    No collective: each rank sends to one and receives from one, so a shape or a number of calls that differs hangs.
    """
    return x if place.world_size == 1 else transport.carry_shift(x, place)


def own_shard(x: Tensor, dim: int, place: Place) -> Tensor:
    """A new tensor: this rank's shard of x along `dim`."""
    return x.chunk(place.world_size, dim)[place.rank].contiguous()
