"""How one tensor is related to another: a factor, the same numbers in another order, rounding, the part that agrees."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from tplearn.checks.compare import first_difference, wrong_entries

# "exactly … the right one"; functions of tp come first, because they explain more.
FACTORS: tuple[tuple[str, Callable[[int], float]], ...] = (
    ("tp times", lambda tp: tp),
    ("1/tp of", lambda tp: 1 / tp),
    ("tp² times", lambda tp: tp * tp),
    ("1/tp² of", lambda tp: 1 / tp**2),
    ("√tp times", lambda tp: tp**0.5),
    ("1/√tp of", lambda tp: tp**-0.5),
    ("tp − 1 times", lambda tp: tp - 1),
    ("1/(tp − 1) of", lambda tp: 1 / (tp - 1) if tp > 1 else 0.0),
    ("(tp − 1)/tp of", lambda tp: (tp - 1) / tp),
    ("tp/(tp − 1) times", lambda tp: tp / (tp - 1) if tp > 1 else 0.0),
    ("tp + 1 times", lambda tp: tp + 1),
    ("2 times", lambda tp: 2.0),
    ("half", lambda tp: 0.5),
    ("minus", lambda tp: -1.0),
    ("3 times", lambda tp: 3.0),
    ("4 times", lambda tp: 4.0),
    ("8 times", lambda tp: 8.0),
    ("a quarter of", lambda tp: 0.25),
    ("an eighth of", lambda tp: 0.125),
)
ORDER = "is the right one in another order along dim"
ELSEWHERE = "Yours holds the right numbers in other places."
FLOAT32 = 1e-5  # of the largest number: what is left after a few operations in float32


def factor_of(got: Tensor, want: Tensor) -> float | None:
    """c where got = c · want in every entry (c not 0 or 1), else None."""
    factor = multiple_of(got, want)
    return None if factor is None or abs(factor - 1) < 1e-9 else factor


def multiple_of(got: Tensor, want: Tensor) -> float | None:
    """c where got = c · want in every entry (c not 0), else None."""
    if got.shape != want.shape or not want.numel() or got.dtype == torch.bool or want.dtype == torch.bool:
        return None
    got, want = got.double(), want.double()
    if not (torch.isfinite(got).all() and torch.isfinite(want).all()) or not want.any():
        return None
    factor = float((got * want).sum() / want.square().sum())
    if abs(factor) < 1e-12 or first_difference(got, factor * want) is not None:
        return None
    return factor


def rearranged(got: Tensor, want: Tensor) -> str | None:
    """How the right numbers lie in other places: transposed, or in another order along one dim."""
    if got.dtype == torch.bool or want.numel() < 2 or got.numel() != want.numel():
        return None
    if want.ndim == 2 and got.shape == want.T.shape and first_difference(got, want.T.contiguous()) is None:
        return "Yours is the right one, transposed."
    if got.shape != want.shape:
        if first_difference(got.reshape(want.shape), want) is None:
            return "Yours holds the right numbers, in another shape."
        return None
    for dim in range(want.ndim):
        order = _order_along(got, want, dim)
        if order is not None:
            return f"Yours {ORDER} {dim}: {_in_runs(order)}."
    if first_difference(got.flatten().sort().values, want.flatten().sort().values) is None:
        return ELSEWHERE
    return None


def _order_along(got: Tensor, want: Tensor, dim: int) -> list[int] | None:
    """Which slice of `want` each slice of `got` along `dim` is, where that is a permutation."""
    order = []
    for slice_got in got.unbind(dim):
        match = [k for k, slice_want in enumerate(want.unbind(dim)) if first_difference(slice_got, slice_want) is None]
        if not match:
            return None
        order.append(match[0])
    return order if sorted(order) == list(range(want.shape[dim])) and order != sorted(order) else None


def _in_runs(order: list[int]) -> str:
    """ "0–5, 12–17, 6–11": numbers that follow one another as one run; the first twelve runs."""
    starts = [k for k, index in enumerate(order) if not k or index != order[k - 1] + 1]
    runs = [order[a:b] for a, b in itertools.pairwise([*starts, len(order)])]
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs[:12]]
    return ", ".join(shown) + ", …" * (len(runs) > 12)


def digits_shared(got: Tensor, want: Tensor) -> int | None:
    """How many digits agree, where it is about as many as a shorter float type keeps."""
    if got.shape != want.shape or not got.is_floating_point() or not want.is_floating_point():
        return None
    finite = torch.isfinite(want)
    if not torch.equal(torch.isfinite(got), finite) or not finite.any():
        return None
    scale = want[finite].abs().max().double()
    error = (got[finite].double() - want[finite].double()).abs().max() / scale
    if error >= FLOAT32:
        return None
    return int(-math.log10(error)) if error > 0 else 16


def place_of_right(got: Tensor, want: Tensor) -> tuple[str, int, int, int] | None:
    """Which slices along one dim are right, where the others are all wrong: ("first" or "last", how many, of how many,
    dim)."""
    if got.shape != want.shape or want.ndim < 1 or want.shape[0] < 2 or not want.numel():
        return None
    for dim in range(want.ndim):
        wrong = wrong_entries(got, want).movedim(dim, 0).reshape(want.shape[dim], -1).any(1)
        right = (~wrong).nonzero().flatten().tolist()
        size = want.shape[dim]
        if not right or len(right) == size:
            continue
        if right == list(range(len(right))):
            return "first", len(right), size, dim
        if right == list(range(size - len(right), size)):
            return "last", len(right), size, dim
    return None
