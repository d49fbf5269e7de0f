"""Wrong answers to exercise 18.1: other scales, other ranks, ratios that are none, and copies that only look apart."""

import torch
from torch import Tensor


def wrong_reading(own: list[Tensor], right: Tensor, dim: int | None, wrong: str) -> dict:
    """A reading with one thing `wrong`."""
    p = len(own)
    exact = {"own precision": lambda x: x, "float32": lambda x: x.float()}.get(wrong, lambda x: x.double())
    rounded = right
    here, right = [exact(x) for x in own], exact(right)
    there = [right] * p if dim is None else list(right.chunk(p, 0 if wrong == "always rows" else dim))
    if wrong == "rank 0 alone":
        here, there = here[:1], there[:1]
    if any(x.shape != y.shape for x, y in zip(here, there, strict=True)):
        here = [x.reshape(y.shape) for x, y in zip(here, there, strict=True)]
    told = slice(1 if wrong == "rank 0's numbers" else p)
    a, b = (torch.cat([x.flatten() for x in side[told]]) for side in (here, there))
    largest, off = right.abs().max(), (a - b).abs()
    if wrong == "difference in own precision":
        parts = [rounded] * p if dim is None else list(rounded.chunk(p, dim))
        off = torch.cat([(x - y).abs().double().flatten() for x, y in zip(own, parts, strict=True)])
    if wrong == "each shard's own scale":
        off = torch.cat([(x - y).abs().flatten() * (largest / y.abs().max()) for x, y in zip(here, there, strict=True)])
    return {
        "error": float(_error(a, b, off, largest, wrong)),
        "factor": _factor(a, b, wrong),
        "agree": _agree(here, there, largest, dim, wrong),
    }


def _error(a: Tensor, b: Tensor, off: Tensor, largest: Tensor, wrong: str) -> Tensor:
    if wrong == "absolute":
        return off.max()
    if wrong == "mean":
        return off.mean() / b.abs().mean()
    if wrong == "each entry by itself":
        return (off / b.abs().clamp_min(1e-300)).max()
    if wrong == "scale of own":
        return off.max() / a.abs().max().clamp_min(1e-300)
    if wrong == "norms":
        return (a - b).norm() / b.norm()
    if wrong == "signed":
        return (a - b).max() / largest
    if wrong == "rounded":
        return torch.round(off.max() / largest, decimals=3)
    return off.max() / largest


def _factor(a: Tensor, b: Tensor, wrong: str) -> float | None:
    if wrong == "zeros left out":
        a, b = a[b != 0], b[b != 0]
    c = a @ b / (b @ b)
    if wrong == "no sign":
        c = c.abs()
    if wrong == "factor of the norms":
        return float(a.norm() / b.norm())
    if wrong == "factor not tested":
        return float(c)
    if wrong == "upside down":
        c = torch.where(c != 0, 1 / c, c)
        return float(c) if (c * a - b).abs().max() <= 1e-10 * b.abs().max() else None
    exact = wrong == "factor to the last bit"
    tolerance = 0.0 if exact else 1e-2 if wrong == "a percent is nothing" else 1e-10
    if wrong == "no factor where right" and (a - b).abs().max() <= 1e-10 * b.abs().max():
        return None
    if wrong == "rounded":
        tolerance, c = 1e-5, torch.round(c, decimals=6)
    return float(c) if (a - c * b).abs().max() <= tolerance * b.abs().max() * max(1.0, abs(c)) else None


def _agree(here: list[Tensor], there: list[Tensor], largest: Tensor, dim: int | None, wrong: str) -> bool:
    if wrong == "shards compared" and dim is not None:
        return all(x.shape == here[0].shape and bool((x - here[0]).abs().max() <= 1e-10 * largest) for x in here)
    if dim is not None:
        return True
    if wrong == "bit for bit":
        return all(torch.equal(x, here[0]) for x in here)
    if wrong == "agreement with the right one":
        return all(bool((x - y).abs().max() <= 1e-10 * largest) for x, y in zip(here, there, strict=True))
    return all(bool((x - here[0]).abs().max() <= 1e-10 * largest) for x in here)
