"""How exercise 13.6 is watched: a run in the middle of its steps, and what its twin on another mesh has of it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tplearn.checks.ch13_train_on_a_mesh.optimizers import KEPT, make_optimizer, state_of
from tplearn.checks.ch13_train_on_a_mesh.small import Mesh, dense_numbers, shard_of, small_model
from tplearn.checks.compare import first_difference
from tplearn.checks.observe import plain
from tplearn.parallel import partitions

NO_STATE_YET = "score.bias"


def moved_run(
    fn: Callable[..., Any], old_mesh: Mesh, kind: str, steps: int, rate: float, new_mesh: Mesh, seed: int
) -> dict[str, Any]:
    """What fn(old, its optimizer, new, its optimizer) has made of the new run: numbers, and those one step later.

    The old run must be as it was, also after the new one's step.
    """
    old, new = small_model(old_mesh), small_model(new_mesh)
    old_optimizer, new_optimizer = make_optimizer(kind, old), make_optimizer(kind, new)
    _fill(old, old_optimizer, kind, steps, rate, seed)
    _set(new, dense_numbers(seed + 9))
    before = _seen(old, old_optimizer)
    fn(old, old_optimizer, new, new_optimizer)
    seen = _seen(new, new_optimizer)
    seen["a step later"] = _one_step(new, new_optimizer, dense_numbers(seed + 8))
    if first_difference(_seen(old, old_optimizer), before) is not None:
        seen["old run"] = "the old run has changed: it shares memory with the new one, or was written to."
    return seen


def _set(model: nn.Module, numbers: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter, partition in partitions(model):
            parameter.copy_(shard_of(numbers[name], partition))


def _fill(model: nn.Module, optimizer: Optimizer, kind: str, steps: int, rate: float, seed: int) -> None:
    """As after so many steps, at another learning rate; one parameter has not had a gradient yet."""
    _set(model, dense_numbers(seed))
    kept = [dense_numbers(seed + 1 + k) for k in range(len(KEPT[kind]))]
    for name, parameter, partition in partitions(model):
        if name != NO_STATE_YET:
            shards = [shard_of(numbers[name], partition) for numbers in kept]
            optimizer.state[parameter] = state_of(kind, shards, steps)
    for number, group in enumerate(optimizer.param_groups):
        group["lr"] = rate / (1 + number)


def _seen(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    named = dict(model.named_parameters())
    return {
        "weights": plain(named),
        "state": {name: plain(optimizer.state.get(p, {})) for name, p in named.items()},
        "rates": [group["lr"] for group in optimizer.param_groups],
    }


def _one_step(model: nn.Module, optimizer: Optimizer, gradients: dict[str, Tensor]) -> Any:
    """The weights after one more step; a sentence where the state does not fit, and no step can be made."""
    try:
        for name, parameter, partition in partitions(model):
            parameter.grad = shard_of(gradients[name], partition)
        optimizer.step()
    except (RuntimeError, KeyError):
        return "no step can be made: something has another shape, or is not there"
    return plain(dict(model.named_parameters()))
