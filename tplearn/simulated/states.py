"""The three states of a tensor on many ranks (replicated, cut, partial) and what leads from one to another."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tplearn.ranks.ledger import Ledger
from tplearn.simulated.shards import all_gather, all_reduce, all_to_all, reduce_scatter, split
from tplearn.sizes import require_dim


@dataclass(frozen=True)
class Replicate:
    """Every rank holds the whole tensor. So named in `torch.distributed.tensor`."""


@dataclass(frozen=True)
class Shard:
    """Rank r holds part r, cut along `dim`: concatenate to get the whole. So named in `torch.distributed.tensor`."""

    dim: int


@dataclass(frozen=True)
class Partial:
    """Every rank holds a summand of the full shape: add to get the whole. So named in `torch.distributed.tensor`."""


State = Replicate | Shard | Partial


def unshard(shards: Sequence[Tensor], state: State) -> Tensor:
    """The one tensor that the ranks' `shards` stand for.

    Raises ValueError for an empty list, or when ranks that claim to be replicas hold different numbers.
    """
    _require_state(state)
    if not shards:
        raise ValueError("unshard got an empty list; give one tensor per rank, at least 1")
    if isinstance(state, Shard):
        return torch.cat(list(shards), dim=require_dim(state.dim, shards[0].ndim))
    if isinstance(state, Partial):
        return all_reduce(shards)[0]
    for rank, shard in enumerate(shards):
        if shard.shape != shards[0].shape or not _same_numbers(shard, shards[0]):
            raise ValueError(f"Replicate() promises the same tensor on every rank, but rank {rank} differs from rank 0")
    return shards[0]


def collective_between(source: State, target: State) -> str:
    """What turns `source` into `target`: the name of a collective, or of work that each rank does alone.

    | from \\ to  | Replicate  | Shard                      | Partial  |
    | Replicate   | none       | slice                      | keep_one |
    | Shard       | all_gather | none (other dim: all_to_all) | keep_one |
    | Partial     | all_reduce | reduce_scatter             | none     |

    "slice" and "keep_one" cost no bytes: a rank cuts out its part, or keeps the entries that are its own and puts zeros
    elsewhere, so that every number is held by one rank and the sum is right.
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


def convert(shards: Sequence[Tensor], source: State, target: State, ledger: Ledger | None = None) -> list[Tensor]:
    """The same tensor in another state: `unshard(convert(x, a, b), b)` equals `unshard(x, a)`, at the least cost.

    shards: one tensor per rank, in state `source` → one tensor per rank, in state `target`. `redistribute` in
    `torch.distributed.tensor`. Raises ValueError where a dimension does not exist or does not divide.
    """
    if not shards:
        raise ValueError("convert got an empty list; give one tensor per rank, at least 1")
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


def _same_numbers(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | ((a != a) & (b != b))).all())  # NaN counts as equal to NaN


def _require_state(state: State) -> None:
    if not isinstance(state, State):
        raise ValueError(f"state = {state!r} is not a state; states that work: Replicate(), Shard(dim), Partial()")
