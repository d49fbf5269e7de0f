"""What the exercises of chapter 02 share: sizes, random layers, and the product that each rank computes."""

import torch
from torch import Generator, Tensor

SIZES = (1, 2, 4)  # tp


def two_sizes(generator: Generator) -> tuple[int, int]:
    """(out_features, in_features): different, so that a wrong dimension shows in the shape, and multiples of 4."""
    first, step = torch.randint(1, 4, (2,), generator=generator).tolist()
    return 8 * first, 8 * first + 4 * step


def pieces(x: Tensor, weight_shards: list[Tensor], bias_shards: list[Tensor]) -> list[Tensor]:
    """Cut by outputs. x: [batch, in]; weight_shards[r]: [out/p, in]; bias_shards[r]: [out/p] → p of [batch, out/p]."""
    return [x @ weight.T + bias for weight, bias in zip(weight_shards, bias_shards, strict=True)]


def products(x_shards: list[Tensor], weight_shards: list[Tensor]) -> list[Tensor]:
    """Cut by inputs. x_shards[r]: [batch, in/p]; weight_shards[r]: [out, in/p] → p of [batch, out], to be summed."""
    return [x @ weight.T for x, weight in zip(x_shards, weight_shards, strict=True)]


def each(y: Tensor, shards: list[Tensor]) -> list[Tensor]:
    """y on every rank: as many copies as there are shards."""
    return [y.clone() for _ in shards]
