"""A tensor's digest: one whole number, in which another number, another place or another order shows."""

import torch
from torch import Tensor

BLOCK = 1 << 20  # numbers at a time: a digest needs eight bytes for each, several times over
WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes a number
# The mixing of SplitMix64 (Steele, Lea and Flood 2014): each bit of a number and of its place changes half the bits.
STEP, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def digest(x: Tensor) -> Tensor:
    """x: any shape and dtype → one int64, on x's device, made of the bits of its numbers and where they stand.

    Equal bits give equal digests. Equal numbers with other bits (0.0 and −0.0, two kinds of NaN) do not. Unequal ones
    give the same digest once in 2⁶⁴ times. Nothing waits for a GPU.
    """
    flat = x.detach().contiguous().flatten()
    flat = torch.view_as_real(flat).flatten() if flat.is_complex() else flat
    total = torch.zeros((), dtype=torch.int64, device=x.device)
    for number, block in enumerate(flat.view(WHOLE[flat.element_size()]).split(BLOCK)):
        place = torch.arange(1, len(block) + 1, device=x.device) + number * BLOCK
        total += _mixed(block.to(torch.int64) + place * STEP).sum()
    return total


def _mixed(z: Tensor) -> Tensor:
    z = (z ^ (z >> 30)) * FIRST
    z = (z ^ (z >> 27)) * SECOND
    return z ^ (z >> 31)
