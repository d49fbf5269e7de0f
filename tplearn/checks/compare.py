"""Where two observed values first differ, and a sentence that says how."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NOT_ATTEMPTED = "your turn"  # how every stub's NotImplementedError begins
RTOL = 1e-10  # float64 sums in another order differ by about 1e-15; any true bug is far above this


@dataclass(frozen=True)
class Opaque:
    """Stands for a value that is no tensor, number, string, list or dict: only its type is kept."""

    type_name: str


@dataclass(frozen=True)
class Failure:
    """An error as an observation: two answers fail alike when type and first line are equal."""

    kind: str
    text: str
    detail: str = ""

    @property
    def is_stub(self) -> bool:
        """Whether an exercise's stub raised it: the answer's own, or one that the answer calls."""
        return self.kind == NotImplementedError.__name__ and (not self.text or self.text.startswith(NOT_ATTEMPTED))

    @property
    def stub(self) -> str:
        """The exercise whose stub raised it, "" where that does not say."""
        return self.text.removeprefix(NOT_ATTEMPTED).removeprefix(": ") if self.is_stub else ""

    def __eq__(self, other: object) -> bool:
        """Where it was raised (`detail`) does not count."""
        return isinstance(other, Failure) and (self.kind, self.text) == (other.kind, other.text)

    def __hash__(self) -> int:
        """Consistent with __eq__."""
        return hash((self.kind, self.text))


def first_line(text: str) -> str:
    """Of an error's message, where it has one."""
    return text.strip().splitlines()[0] if text.strip() else ""


@dataclass(frozen=True)
class Difference:
    """`path` leads to the place, as in (1, "bias"); `how` continues the sentence "your result[1] ..."."""

    path: tuple[int | str, ...]
    how: str


def first_difference(got: Any, want: Any) -> Difference | None:
    """The first place where `got` is not `want`, or None when they are equal within the tolerance."""
    if isinstance(want, Tensor) and isinstance(got, Tensor):
        how = _tensors(got, want)
        return Difference((), how) if how else None
    if isinstance(want, list) and isinstance(got, list):
        if len(got) != len(want):
            return Difference((), f"is {describe(got)}, where {describe(want)} is due")
        return _inside(got, want, range(len(want)))
    if isinstance(want, dict) and isinstance(got, dict):
        if got.keys() != want.keys():
            return Difference((), f"has the keys {sorted(got, key=str)}, where {sorted(want, key=str)} are due")
        return _inside(got, want, want)
    if _equal_numbers(got, want):
        return None
    if _is_number(got) and _is_number(want) and got != want:
        return Difference((), "is {}, where {} is due".format(*_numbers(got, want)))
    if type(got) is type(want) and got == want:
        return None
    return Difference((), f"is {describe(got)}, where {describe(want)} is due")


def describe(value: Any) -> str:
    """A value's kind in a few words: "a list of 4", "a float64 tensor of shape (4, 8)", "None"."""
    if isinstance(value, Tensor):
        return f"a {_dtype(value)} tensor of shape {tuple(value.shape)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a dict with the keys {sorted(value, key=str)}"
    if isinstance(value, Opaque):
        return f"of type {value.type_name} (not a tensor, number, string, list or dict)"
    if isinstance(value, Failure):
        return f"{value.kind}: {value.text}"
    return f"the {type(value).__name__} {value!r}" if _is_number(value) else _shortened(repr(value))


def _inside(got: Any, want: Any, keys: Any) -> Difference | None:
    for key in keys:
        inner = first_difference(got[key], want[key])
        if inner:
            return Difference((key, *inner.path), inner.how)
    return None


def _tensors(got: Tensor, want: Tensor) -> str | None:
    """How two tensors differ: shape first, then non-finite values, dtype and values."""
    if got.shape != want.shape:
        return f"has shape {tuple(got.shape)}, where {tuple(want.shape)} is due"
    if want.is_floating_point() and not got.is_floating_point() and not got.is_complex():
        return f"holds {_dtype(got)}, where {_dtype(want)} is due: the fractions are lost"
    if want.is_floating_point() and got.dtype != want.dtype:
        return (
            f"is {_dtype(got)}, where {_dtype(want)} is due: the inputs are {_dtype(want)}, so something "
            "converted them on the way (a .float(), or a new tensor made without dtype)"
        )
    if got.dtype != want.dtype:
        return f"is {_dtype(got)}, where {_dtype(want)} is due"
    if torch.equal(got, want):  # the common case, in one operation
        return None
    wrong = wrong_entries(got, want)
    if not wrong.any():
        return None
    strange = wrong & ~torch.isfinite(got)
    where = tuple((strange if strange.any() else wrong).nonzero()[0].tolist())
    place = f" at {list(where)}" if where else ""
    if strange.any():
        return f"is not finite{place}: yours is {got[where].item()}, right is {want[where].item():.6g}"
    count = f" ({int(wrong.sum())} of {wrong.numel()} values differ)" if wrong.numel() > 1 else ""
    yours, right = _numbers(got[where].item(), want[where].item())
    return f"first differs{place}: yours is {yours}, right is {right}{count}"


def wrong_entries(got: Tensor, want: Tensor) -> Tensor:
    """A mask of the entries that differ; float tolerance is relative to the largest finite entry."""
    if not want.is_floating_point():
        return got != want
    size = want[torch.isfinite(want)].abs()
    scale = float(size.max()) if size.numel() and float(size.max()) > 0 else 1.0
    return ~((got == want) | (got.isnan() & want.isnan()) | ((got - want).abs() <= RTOL * scale))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _equal_numbers(got: Any, want: Any) -> bool:
    """6 and 6.0 are the same number, but True is not 1."""
    if not _is_number(want) or not _is_number(got):
        return False
    if type(got) is type(want) is int:
        return got == want
    return (math.isnan(got) and math.isnan(want)) or math.isclose(got, want, rel_tol=RTOL)


def _numbers(got: float | int | bool, want: float | int | bool) -> tuple[str, str]:
    """Both as text, with more digits where six would make them look equal, or a fraction look whole."""
    short = tuple(f"{value:.6g}" if isinstance(value, float) else str(value) for value in (got, want))
    pairs = zip((got, want), short, strict=True)
    rounded = any(isinstance(value, float) and value % 1 and text.lstrip("-").isdigit() for value, text in pairs)
    return (repr(got), repr(want)) if rounded or short[0] == short[1] else (short[0], short[1])


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
