"""Trains a Llama on text, cut over tensor-parallel ranks: one gradient, one norm, one loss, as the dense model has."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tplearn.llama.model import Llama
from tplearn.parallel import clip_gradients, sync_gradients


@dataclass(frozen=True)
class Recipe:
    """How to train. Defaults: those of the checkpoint `tiny-llama` in this repository."""

    steps: int = 2400
    batch: int = 16
    length: int = 256
    peak_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; numbers from 1 work")

    def rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to a tenth of the peak (GPT-3's shape)."""
        if step < self.warmup:
            return self.peak_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def train(model: Llama, stream: Tensor, recipe: Recipe, report: Callable[[int, float], None]) -> None:
    """Steps of AdamW on random windows of `stream`, `report(step, loss)` after each.

    stream: [tokens], the same on every rank, on the model's device.
    All ranks draw the same windows. AdamW looks at each number by itself, so each rank updates its own part.
    """
    if len(stream) <= recipe.length:
        raise ValueError(f"a text of {len(stream)} tokens is too short; more than length = {recipe.length} work")
    generator = torch.Generator().manual_seed(recipe.seed)
    optimizer = make_optimizer(model, recipe)
    for step in range(recipe.steps):
        starts = torch.randint(len(stream) - recipe.length, (recipe.batch, 1), generator=generator)
        windows = stream[starts + torch.arange(recipe.length + 1)]  # [batch, length + 1]
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        loss = train_step(model, optimizer, windows, recipe.clip)
        report(step, loss.item())


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that decays matrices, not norms and biases."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.95))


def train_step(model: Llama, optimizer: torch.optim.Optimizer, windows: Tensor, clip: float) -> Tensor:
    """One step on windows [batch, length + 1]: every token predicts the next. Returns the loss before the step."""
    optimizer.zero_grad(set_to_none=True)
    loss = model.loss(windows[:, :-1], windows[:, 1:])
    loss.backward()
    sync_gradients(model)
    clip_gradients(model, clip)
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def bits_per_byte(model: Llama, streams: list[Tensor], bytes_of_text: int, length: int) -> float:
    """The bits that the model needs for each byte of texts, each given as tokens behind END.

    Windows of `length` tokens overlap by half, so that (but at the start) each token is predicted from at least half
    a window before it.
    """
    nats = 0.0
    for stream in streams:
        known = 1  # END is given
        for start in range(0, max(1, len(stream) - 1), length // 2):
            window = stream[start : start + length + 1]
            targets = window[1:].clone()
            targets[: known - start - 1] = -100
            known = start + len(window)
            if (targets != -100).any():
                counted = (targets != -100).sum().item()
                nats += model.loss(window[None, :-1], targets[None]).item() * counted
            if known >= len(stream):
                break
    return nats / math.log(2) / bytes_of_text
