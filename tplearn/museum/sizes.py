"""The sizes that all exhibits share, and the inputs that are drawn for them."""

from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = 3  # a word that every vocabulary here has on rank 0


@dataclass(frozen=True)
class Sizes:
    """The sizes of all exhibits: `seq`, `intermediate` and `heads` divide by the ranks, `hidden` by the heads.

    Every word of the vocabulary occurs in the input. Raises ValueError where there are not tokens enough for that.
    """

    batch: int = 4
    seq: int = 12
    hidden: int = 24
    intermediate: int = 36
    heads: int = 12
    vocab: int = 41

    def __post_init__(self) -> None:
        tokens = self.batch * self.seq
        if not 5 * PADDING <= self.vocab <= tokens:
            works = f"{5 * PADDING} to {tokens} work"
            raise ValueError(f"vocab = {self.vocab} words with batch · seq = {tokens} tokens; {works}")


def inputs_of(kind: str, sizes: Sizes, generator: torch.Generator) -> tuple[Tensor, ...]:
    """kind "x": numbers; "x and targets": numbers and words; "ids": words, of which all occur."""
    x = torch.randn(sizes.batch, sizes.seq, sizes.hidden, dtype=torch.float64, generator=generator)
    places = sizes.batch * sizes.seq
    ids = torch.cat([torch.randperm(sizes.vocab, generator=generator) for _ in range(places // sizes.vocab + 1)])
    ids = ids[:places].view(sizes.batch, sizes.seq)
    return {"x": (x,), "x and targets": (x, ids), "ids": (ids,)}[kind]
