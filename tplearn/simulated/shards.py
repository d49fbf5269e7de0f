"""Collectives on simulated ranks: a list holds one tensor per rank, `shards[rank]`, and nobody shares memory."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from tplearn.ranks.ledger import Ledger
from tplearn.simulated.per_rank import delivered, record, require_alike
from tplearn.sizes import require_dim, require_divisible, require_size
from tplearn.tensors import require_summable, require_tensor


def split(x: Tensor, world_size: int, dim: int) -> list[Tensor]:
    """Cut `x` into `world_size` equal shards along `dim`: each rank's own copy, in rank order.

    x: [..., size, ...] → world_size tensors [..., size / world_size, ...]. Raises ValueError where it does not divide.
    """
    dim = require_dim(dim, require_tensor("x", x).ndim)
    size = require_divisible(f"size of dim {dim}", x.shape[dim], world_size)
    return [_own(x.narrow(dim, rank * size, size)) for rank in range(world_size)]


def all_reduce(partials: Iterable[Tensor], ledger: Ledger | None = None) -> list[Tensor]:
    """Every rank gets the sum. partials: p tensors [...] → p equal, separate tensors [...].

    Differentiable: every partial receives the sum of all the ranks' output gradients, since every output holds every
    partial. Raises ValueError when shapes, dtypes or devices differ, for masks, and for anything but a tensor per rank.
    """
    partials = require_alike("all_reduce", partials)
    total = _sum("all_reduce", partials)
    record(ledger, "all_reduce", partials, reduce_op="SUM")
    return delivered(ledger, [total.clone() for _ in partials])


def all_gather(shards: Iterable[Tensor], dim: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Every rank gets all shards, joined along `dim`. p tensors [..., n, ...] → p equal tensors [..., p·n, ...].

    Raises ValueError when shapes, dtypes or devices differ, and for a dim that does not exist.
    """
    shards = require_alike("all_gather", shards)
    dim = require_dim(dim, shards[0].ndim)
    record(ledger, "all_gather", shards)
    whole = torch.cat(shards, dim=dim)
    return delivered(ledger, [whole.clone() for _ in shards])


def reduce_scatter(partials: Iterable[Tensor], dim: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Rank r gets shard r of the sum. p tensors [..., n, ...] → p tensors [..., n / p, ...], cut along `dim`.

    Raises ValueError as all_reduce does, and where n does not divide by p.
    """
    partials = require_alike("reduce_scatter", partials)
    shards = split(_sum("reduce_scatter", partials), len(partials), dim)
    record(ledger, "reduce_scatter", partials, reduce_op="SUM")
    return delivered(ledger, shards)


def all_to_all(shards: Iterable[Tensor], split_dim: int, concat_dim: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Rank r cuts its shard along `split_dim`, sends chunk q to rank q, and joins what it gets along `concat_dim`.

    p tensors [..., p·n, ..., m, ...] → p tensors [..., n, ..., p·m, ...]: the cut moves from one dimension to another.
    Raises ValueError as all_gather does, and where p·n does not divide by p.
    """
    shards = require_alike("all_to_all", shards)
    concat_dim = require_dim(concat_dim, shards[0].ndim, "concat_dim")
    split_dim = require_dim(split_dim, shards[0].ndim, "split_dim")
    chunks = [split(shard, len(shards), split_dim) for shard in shards]  # chunks[source][target]
    record(ledger, "all_to_all", shards)
    joined = [torch.cat([row[target] for row in chunks], dim=concat_dim) for target in range(len(shards))]
    return delivered(ledger, joined)


def broadcast(x: Tensor, world_size: int, ledger: Ledger | None = None) -> list[Tensor]:
    """Every rank gets rank 0's tensor. x: [...] → world_size equal, separate tensors [...]."""
    require_tensor("x", x)
    require_size("world_size", world_size, noun="a number of ranks")
    copies = [x.clone() for _ in range(world_size)]
    record(ledger, "broadcast", copies, root=0)
    return delivered(ledger, copies)


def _own(shard: Tensor) -> Tensor:
    """A copy with memory of its own (a shard on another machine is never a view), still part of the autograd graph."""
    return shard.clone(memory_format=torch.contiguous_format)


def _sum(op: str, partials: Sequence[Tensor]) -> Tensor:
    """The sum in rank order: the same rounding for every rank, on every machine."""
    total = require_summable(f"{op}: tensors[0]", partials[0])
    for partial in partials[1:]:
        total = total + partial
    return total
