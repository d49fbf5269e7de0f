"""Collectives on simulated ranks: a list holds one tensor per rank, `shards[rank]`, and nobody shares memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tplearn.ranks.ledger import Ledger
from tplearn.sizes import require_dim, require_divisible


def split(x: Tensor, world_size: int, dim: int) -> list[Tensor]:
    """Cut `x` into `world_size` equal parts along `dim`: each rank's own copy, in rank order.

    x: [..., size, ...] → world_size tensors [..., size / world_size, ...]. Raises ValueError where it does not divide.
    """
    dim = require_dim(dim, x.ndim)
    size = require_divisible(f"size of dim {dim}", x.shape[dim], world_size)
    return [_own(x.narrow(dim, rank * size, size)) for rank in range(world_size)]


def all_reduce(parts: Sequence[Tensor], ledger: Ledger | None = None) -> list[Tensor]:
    """Every rank gets the sum. parts: p tensors [...] → p equal, separate tensors [...].

    Differentiable: every part receives the sum of all the ranks' output gradients, since every output holds every part.
    Raises ValueError when shapes or dtypes differ.
    """
    _require_alike("all_reduce", parts)
    _record(ledger, "all_reduce", parts, reduce_op="SUM")
    total = _sum(parts)
    return [total.clone() for _ in parts]


def all_gather(shards: Sequence[Tensor], dim: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Every rank gets all shards, joined along `dim`. p tensors [..., n, ...] → p equal tensors [..., p·n, ...]."""
    _require_alike("all_gather", shards)
    dim = require_dim(dim, shards[0].ndim)
    _record(ledger, "all_gather", shards)
    whole = torch.cat(list(shards), dim=dim)
    return [whole.clone() for _ in shards]


def reduce_scatter(parts: Sequence[Tensor], dim: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Rank r gets part r of the sum. p tensors [..., n, ...] → p tensors [..., n / p, ...], cut along `dim`."""
    _require_alike("reduce_scatter", parts)
    pieces = split(_sum(parts), len(parts), dim)
    _record(ledger, "reduce_scatter", parts, reduce_op="SUM")
    return pieces


def all_to_all(shards: Sequence[Tensor], split_dim: int, concat_dim: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Rank r cuts its shard along `split_dim`, sends piece q to rank q, and joins what it gets along `concat_dim`.

    p tensors [..., p·n, ..., m, ...] → p tensors [..., n, ..., p·m, ...]: the cut moves from one dimension to another.
    """
    _require_alike("all_to_all", shards)
    concat_dim = require_dim(concat_dim, shards[0].ndim)
    pieces = [split(shard, len(shards), split_dim) for shard in shards]  # pieces[source][target]
    _record(ledger, "all_to_all", shards)
    return [torch.cat([row[target] for row in pieces], dim=concat_dim) for target in range(len(shards))]


def broadcast(x: Tensor, world_size: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Every rank gets rank 0's tensor. x: [...] → world_size equal, separate tensors [...]."""
    require_divisible("size", 0, world_size)  # a world of no ranks is an error here too
    copies = [x.clone() for _ in range(world_size)]
    _record(ledger, "broadcast", copies, root=0)
    return copies


def _own(piece: Tensor) -> Tensor:
    """A copy with memory of its own (a shard on another machine is never a view), still part of the autograd graph."""
    return piece.clone(memory_format=torch.contiguous_format)


def _sum(parts: Sequence[Tensor]) -> Tensor:
    """The sum in rank order: the same rounding for every rank, on every machine."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _require_alike(op: str, tensors: Sequence[Tensor]) -> None:
    """Raises ValueError unless there is at least one rank, and every rank brings the same shape and dtype."""
    if not tensors:
        raise ValueError(f"{op} got an empty list; give one tensor per rank, at least 1")
    first = tensors[0]
    for rank, tensor in enumerate(tensors):
        if tensor.shape != first.shape or tensor.dtype != first.dtype:
            raise ValueError(
                f"{op} needs the same shape and dtype on every rank: rank 0 brings {_describe(first)}, "
                f"rank {rank} brings {_describe(tensor)}"
            )


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _record(
    ledger: Ledger | None, op: str, tensors: Sequence[Tensor], reduce_op: str | None = None, root: int | None = None
) -> None:
    """One row per rank: a collective is an appointment that everybody keeps."""
    if ledger is None:
        return
    group = tuple(range(len(tensors)))
    for rank, tensor in enumerate(tensors):
        ledger.record(rank, op, tensor, group=group, reduce_op=reduce_op, root=root)
