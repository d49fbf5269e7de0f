"""Random inputs for cases, in float64: rounding stays near 1e-15 there, and a mistake does not."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def randn(generator: Generator, *shape: int) -> Tensor:
    """Normal float64 numbers of that shape; a scalar where there is none."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def one_each(tp: int, generator: Generator, *shape: int) -> list[Tensor]:
    """Another tensor for every rank."""
    return [randn(generator, *shape) for _ in range(tp)]


def pick(generator: Generator, low: int, high: int, step: int = 1) -> int:
    """A random multiple of `step` in [low · step, high · step]."""
    return step * int(torch.randint(low, high + 1, (), generator=generator))


def one_of(generator: Generator, choices: Sequence) -> object:
    """One of the choices."""
    return choices[int(torch.randint(len(choices), (), generator=generator))]
