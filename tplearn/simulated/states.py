"""The three states of a tensor on many ranks (replicated, cut, partial) and what leads from one to another."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from tplearn.ranks.ledger import Ledger
from tplearn.simulated.per_rank import require_alike, require_ledger, require_one_each
from tplearn.simulated.shards import all_gather, all_reduce, all_to_all, reduce_scatter, split
from tplearn.sizes import require_dim, require_whole, shown
from tplearn.tensors import described


@dataclass(frozen=True)
class Replicate:
    """Every rank holds the whole tensor. So named in `torch.distributed.tensor`."""


@dataclass(frozen=True)
class Shard:
    """Rank r holds shard r, cut along `dim`: concatenate to get the whole. So named in `torch.distributed.tensor`."""

    dim: int

    def __post_init__(self) -> None:
        require_whole("dim", self.dim, "dims that work: 0, 1, ..., and -1 for the last")


@dataclass(frozen=True)
class Partial:
    """Every rank holds a partial of the full shape: add to get the whole. So named in `torch.distributed.tensor`."""


State = Replicate | Shard | Partial


def unshard(shards: Iterable[Tensor], state: State) -> Tensor:
    """The one tensor that the ranks' `shards` stand for.

    Raises ValueError for an empty list, shards that do not fit side by side, or when ranks that claim to be replicas
    hold different numbers.
    """
    _require_state(state)
    shards = require_one_each("unshard", shards)
    if isinstance(state, Shard):
        dim = require_dim(state.dim, shards[0].ndim)
        for rank, shard in enumerate(shards):
            if _without(dim, shard) != _without(dim, shards[0]):
                raise ValueError(
                    f"unshard along dim {dim} needs the same dtype, device and other dims on every rank: rank 0 brings "
                    f"{described(shards[0])} ({shards[0].device}), rank {rank} {described(shard)} ({shard.device})"
                )
        return torch.cat(shards, dim=dim)
    if isinstance(state, Partial):
        return all_reduce(shards)[0]
    for rank, shard in enumerate(shards):
        if _without(-1, shard) != _without(-1, shards[0]) or not _same_numbers(shard, shards[0]):
            raise ValueError(f"Replicate() promises the same tensor on every rank, but rank {rank} differs from rank 0")
    return shards[0]


def collective_between(source: State, target: State) -> str:
    """What turns `source` into `target`: the name of a collective, or of work that each rank does alone.

    | from \\ to  | Replicate  | Shard                      | Partial  |
    | Replicate   | none       | slice                      | keep_one |
    | Shard       | all_gather | none (other dim: all_to_all) | keep_one |
    | Partial     | all_reduce | reduce_scatter             | none     |

    "slice" and "keep_one" cost no bytes: a rank cuts out its shard, or keeps the entries that are its own and puts
    zeros elsewhere, so that every number is held by one rank and the sum is right.
    """
    _require_state(source)
    _require_state(target)
    if source == target:
        return "none"
    if isinstance(target, Partial):
        return "keep_one"
    if isinstance(source, Partial):
        return "all_reduce" if isinstance(target, Replicate) else "reduce_scatter"
    if isinstance(source, Shard):
        return "all_gather" if isinstance(target, Replicate) else "all_to_all"
    return "slice"


def convert(shards: Iterable[Tensor], source: State, target: State, ledger: Ledger | None = None) -> list[Tensor]:
    """The same tensor in another state: `unshard(convert(x, a, b), b)` equals `unshard(x, a)`, at the least cost.

    shards: one tensor per rank, in state `source` → one tensor per rank, in state `target`. `redistribute` in
    `torch.distributed.tensor`. Raises ValueError where a dimension does not exist or does not divide.
    """
    require_ledger(ledger)
    shards = require_alike("convert", shards)
    source, target = (_from_the_front(state, shards[0].ndim) for state in (source, target))
    p = len(shards)
    match collective_between(source, target):
        case "all_reduce":
            return all_reduce(shards, ledger)
        case "all_gather":
            return all_gather(shards, source.dim, ledger)
        case "reduce_scatter":
            return reduce_scatter(shards, target.dim, ledger)
        case "all_to_all":
            return all_to_all(shards, target.dim, source.dim, ledger)
        case "slice":
            return [split(shard, p, target.dim)[rank] for rank, shard in enumerate(shards)]
        case "keep_one" if isinstance(source, Shard):
            return [_among_zeros(shard, rank, p, source.dim) for rank, shard in enumerate(shards)]
        case "keep_one":
            return [shard.clone() if rank == 0 else torch.zeros_like(shard) for rank, shard in enumerate(shards)]
        case _:
            return [shard.clone() for shard in shards]


def _among_zeros(shard: Tensor, rank: int, p: int, dim: int) -> Tensor:
    """[..., n, ...] -> [..., p·n, ...]: the shard in its place, zeros elsewhere."""
    return torch.cat([shard if owner == rank else torch.zeros_like(shard) for owner in range(p)], dim=dim)


def _from_the_front(state: State, ndim: int) -> State:
    """The state with its dim counted from the front, so that Shard(-1) and Shard(1) of a matrix are one state."""
    _require_state(state)
    return Shard(require_dim(state.dim, ndim)) if isinstance(state, Shard) else state


def _without(dim: int, shard: Tensor) -> tuple[object, ...]:
    """Device, dtype and sizes, but for that of `dim`: shards may be uneven there."""
    return shard.device, shard.dtype, shard.ndim, *(size for number, size in enumerate(shard.shape) if number != dim)


def _same_numbers(a: Tensor, b: Tensor) -> bool:
    return a.is_meta or bool(((a == b) | ((a != a) & (b != b))).all())  # NaN counts as equal to NaN


def _require_state(state: State) -> None:
    if not isinstance(state, State):
        raise ValueError(f"state = {shown(state)} is not a state; states that work: Replicate(), Shard(dim), Partial()")
