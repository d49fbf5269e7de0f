"""Optimizers in the middle of a run: what each keeps for a parameter, filled by hand."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

KEPT = {  # what has the shape of the parameter; AdamW counts its steps beside it
    "AdamW": ("exp_avg", "exp_avg_sq"),
    "AdamW with amsgrad": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "SGD with momentum": ("momentum_buffer",),
}
FIRST_RATE = 0.1


def make_optimizer(kind: str, model: nn.Module) -> Optimizer:
    """A fresh one, with a group for matrices and one for the rest, which does not decay."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    if kind == "SGD with momentum":
        return SGD(groups, lr=FIRST_RATE, momentum=0.9)
    return AdamW(groups, lr=FIRST_RATE, betas=(0.8, 0.9), amsgrad=kind == "AdamW with amsgrad")


def state_of(kind: str, kept: list[Tensor], steps: int) -> dict[str, Tensor]:
    """The state of a parameter from a tensor of its shape for each name in KEPT; second moments are squares."""
    state = {} if kind == "SGD with momentum" else {"step": torch.tensor(float(steps))}
    return state | {name: x.square() if name.endswith("_sq") else x for name, x in zip(KEPT[kind], kept, strict=True)}
