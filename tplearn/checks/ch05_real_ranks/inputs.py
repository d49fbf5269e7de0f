"""Random inputs for real ranks: a different tensor for each."""

import torch
from torch import Tensor


def one_each(tp: int, generator: torch.Generator, *shape: int) -> list[Tensor]:
    """One float64 tensor per rank."""
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(tp)]
