"""Wrong answers to exercise 17.3: a pipeline's step, with other losses, other gradients and other orders."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

NO_BACKWARD = "last stage alone trains"


class _Stage:
    """A stage at work on its micro-batches, with one thing `wrong`."""

    def __init__(self, stage: nn.Module, shape: tuple[int, int], m: int, group: dist.ProcessGroup, wrong: str) -> None:
        self.stage, self.m, self.group, self.wrong = stage, m, group, wrong
        self.rows, self.width = shape[0] // m, shape[1]
        self.rank, self.last = dist.get_rank(group), dist.get_world_size(group) - 1
        self.buffer = torch.empty(self.rows, self.width)
        self.losses: list[Tensor] = []

    def send(self, x: Tensor, to: int) -> None:
        dist.send(x, **self.where("dst", to))

    def recv(self, source: int, buffer: Tensor | None = None) -> Tensor:
        buffer = torch.empty(self.rows, self.width) if buffer is None else buffer
        dist.recv(buffer, **self.where("src", source))
        return buffer

    def where(self, side: str, stage: int) -> dict[str, Any]:
        """How send and recv are told of another stage."""
        if self.wrong == "no group given":
            return {side: stage}
        return {side if self.wrong == "numbers of the world" else f"group_{side}": stage, "group": self.group}

    def forward(self, batch: Tensor | None, targets: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
        """(what it reads, what it writes: on the last stage the loss over m)."""
        number = 0 if self.wrong == "first micro-batch's input for all" else k
        if self.rank == 0:
            x = batch.chunk(self.m)[number].clone().requires_grad_()
        else:
            x = self.recv(self.rank - 1, self.buffer if self.wrong == "one buffer" else None).detach()
            x.requires_grad_(self.wrong != "no gradient asked for")
        y = self.stage(x)
        if self.rank < self.last:
            self.send(y.detach(), self.rank + 1)
            return x, y
        strided = self.wrong == "targets dealt out otherwise"
        own = targets[number :: self.m] if strided else targets.chunk(self.m)[number]
        loss = nn.functional.mse_loss(y, own)
        self.losses.append(loss.detach())
        if self.wrong in ("not divided by m", "nothing divided", "divided on the last stage alone"):
            return x, loss
        return x, loss / (self.last + 1 if self.wrong == "divided by p" else self.m)

    def backward(self, x: Tensor, y: Tensor) -> None:
        wrong, gradient = self.wrong, None
        if wrong == NO_BACKWARD and self.rank < self.last or wrong == "first stage left out" and not self.rank:
            return
        if self.rank < self.last:
            gradient = self.recv(self.rank + 1)
        if wrong == "last micro-batch alone":
            self.stage.zero_grad()
        if wrong == "middle stages left out" and 0 < self.rank < self.last:
            (x.grad,) = torch.autograd.grad(y, x, gradient)
        else:
            ones = wrong == "ones instead of what arrived" and self.rank < self.last
            y.backward(torch.ones_like(y) if ones else gradient)
        if self.rank == 0 or wrong in (NO_BACKWARD, "nobody sends back"):
            return
        if wrong == "first stage left out" and self.rank == 1:
            return
        back = x.grad
        if wrong == "zeros sent back":
            back = torch.zeros_like(x)
        elif wrong == "output's gradient passed on":
            back = gradient if gradient is not None else x.grad
        self.send(back, self.rank - 1)


def wrong_pipeline_step(
    stage: nn.Module,
    batch: Tensor | None,
    targets: Tensor | None,
    m: int,
    shape: tuple[int, int],
    group: dist.ProcessGroup,
    wrong: str,
) -> Tensor | None:
    """The loss on the last stage, and every stage's gradients, with one thing `wrong`."""
    pieces = 1 if wrong == "whole batch at once" else m
    own = _Stage(stage, shape, pieces, group, wrong)
    if wrong == "one after the other":
        for k in range(pieces):
            own.backward(*own.forward(batch, targets, k))
    else:
        graphs = [own.forward(batch, targets, k) for k in range(pieces)]
        other = wrong == "backwards in another order" and own.rank < own.last
        for graph in graphs[::-1] if other else graphs:
            own.backward(*graph)
    _afterwards(own, wrong)
    if own.rank < own.last:
        return None
    total = torch.stack(own.losses).sum()
    if wrong == "loss of the last micro-batch":
        return own.losses[-1]
    if wrong in ("losses summed", "nothing divided"):
        return total
    return total / pieces**2 if wrong == "loss divided twice" else total / pieces


def _afterwards(own: _Stage, wrong: str) -> None:
    """What is done to the gradients in the end, and with the loss."""
    gradients = [parameter.grad for parameter in own.stage.parameters() if parameter.grad is not None]
    if wrong == "divided on every stage" or (wrong == "divided on the last stage alone" and own.rank == own.last):
        for gradient in gradients:
            gradient /= own.m
    elif wrong in ("gradients summed over the pipeline", "gradients averaged over the pipeline"):
        for gradient in gradients:
            dist.all_reduce(gradient, group=own.group)
            gradient /= own.last + 1 if wrong.startswith("gradients averaged") else 1
    elif wrong == "loss sent to all":
        loss = torch.stack(own.losses).mean() if own.losses else torch.zeros(())
        dist.broadcast(loss, group_src=own.last, group=own.group)
