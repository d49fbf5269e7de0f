"""One tensor on all ranks beside the right one: how far off it is, by which factor, and whether copies agree."""

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

TOLERANCE = 1e-10  # relative, in float64: rounding is near 1e-15, bugs near 1
Pairs = Sequence[tuple[Tensor, Tensor]]  # what is held somewhere, and what should be


class Mark(TypedDict):
    """What is seen of one tensor.

    error: the largest |own − right| of all ranks over the largest |right|, in float64; bfloat16: the same in that.
    factor: own / right, where that is one number for all entries on all ranks; else None. shift: own − right, likewise,
    of two entries or more. agree: whether ranks that hold the same entries have the same numbers there.
    """

    error: float
    bfloat16: float
    factor: float | None
    shift: float | None
    agree: bool


def error_of(pairs: Pairs) -> float:
    """The largest difference over the largest right number."""
    own, right = _flat(pairs)
    largest, off = (float(x.abs().max()) for x in (right, own - right))
    return off / largest if largest else off


def factor_of(pairs: Pairs) -> float | None:
    """The number c with own = c · right everywhere, to nine digits; or None."""
    own, right = _flat(pairs)
    if not right.any():
        return None
    c = float(own @ right / (right @ right))
    off = float((own - c * right).abs().max())
    return float(f"{c:.9g}") if off <= TOLERANCE * max(abs(c), 1.0) * float(right.abs().max()) else None


def shift_of(pairs: Pairs) -> float | None:
    """The number c with own = right + c everywhere, 0 where both are the same; or None."""
    own, right = _flat(pairs)
    if all(here.numel() < 2 for here, _ in pairs):
        return None
    scale = TOLERANCE * float(right.abs().max())
    c = float((own - right).mean())
    if float((own - right - c).abs().max()) > scale:
        return None
    return 0.0 if abs(c) <= scale else float(f"{c:.9g}")


def agree(copies: Sequence[Tensor]) -> bool:
    """Whether all are one tensor, but for rounding."""
    return all(error_of([(copy, copies[0])]) <= TOLERANCE for copy in copies[1:])


def _flat(pairs: Pairs) -> tuple[Tensor, Tensor]:
    own, right = (torch.cat([pair[side].double().flatten() for pair in pairs]) for side in (0, 1))
    return own, right
