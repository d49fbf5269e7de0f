"""Tensors that ranks hold in parts: an observer tells each rank's part, and whoever judges joins them.

So no observer has to send anything, and all that is sent is the answer's.
"""

from typing import Any

import torch
from torch import Tensor

CUT, OWN, SUMMAND = "cut along", "own", "summand"


def cut(own: Tensor, dim: int) -> dict[str, Any]:
    """A rank's part of a tensor that is cut along `dim`."""
    return {CUT: dim, OWN: own}


def summand(own: Tensor) -> dict[str, Any]:
    """A rank's part of a sum."""
    return {SUMMAND: own}


def in_full(by_rank: list[Any]) -> list[Any]:
    """What all ranks have told of one aspect, with parts joined: then each rank has the whole."""
    if not all(isinstance(told, dict) for told in by_rank) or len({tuple(told) for told in by_rank}) != 1:
        return by_rank
    if set(by_rank[0]) == {SUMMAND}:
        return _joined(by_rank, [told[SUMMAND] for told in by_rank], None)
    if set(by_rank[0]) == {CUT, OWN}:
        return _joined(by_rank, [told[OWN] for told in by_rank], by_rank[0][CUT])
    columns = {key: in_full([told[key] for told in by_rank]) for key in by_rank[0]}
    return [{key: column[rank] for key, column in columns.items()} for rank in range(len(by_rank))]


def _joined(by_rank: list[Any], parts: list[Any], dim: Any) -> list[Any]:
    """The whole on each rank; parts that fit together to none stay what they are."""
    if not all(isinstance(part, Tensor) for part in parts) or type(dim) not in (int, type(None)):
        return by_rank
    try:
        return [sum(parts) if dim is None else torch.cat(parts, dim)] * len(parts)
    except (RuntimeError, IndexError):
        return by_rank
