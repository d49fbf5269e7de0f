"""How well two models' logits agree: by number, by direction, by rank."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Agreement:
    """Of logits [..., vocab] with the due ones."""

    max_difference: float
    """largest |logit − due|"""
    pcc: float
    """Pearson correlation of all logits: 1 for the same up to scale and shift"""
    top_1: float
    """share of tokens whose likeliest word is the same"""
    top_100: float
    """mean share of the 100 likeliest words (of all, where there are fewer) that both have"""

    @property
    def close(self) -> bool:
        """What rounding in float32 leaves, and no mistake does."""
        return self.pcc > 0.999999 and self.top_1 == 1 and self.top_100 > 0.99


def agreement(logits: Tensor, due: Tensor) -> Agreement:
    """Raises ValueError where the shapes differ."""
    if logits.shape != due.shape:
        raise ValueError(f"logits of shape {tuple(logits.shape)}; shape that works: {tuple(due.shape)}")
    own, other = logits.double().flatten(0, -2), due.double().flatten(0, -2)  # [tokens, vocab]
    words = min(100, own.shape[-1])
    marks = [torch.zeros_like(t, dtype=torch.bool).scatter_(-1, t.topk(words).indices, True) for t in (own, other)]
    return Agreement(
        max_difference=(own - other).abs().max().item(),
        pcc=torch.corrcoef(torch.stack([own.flatten(), other.flatten()]))[0, 1].item(),
        top_1=(own.argmax(-1) == other.argmax(-1)).double().mean().item(),
        top_100=((marks[0] & marks[1]).sum(-1) / words).double().mean().item(),
    )
