"""How a pipeline's step is watched on a stage: its loss, its gradients, and how many micro-batches were under way."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tplearn.checks.groups import Groups, own_group
from tplearn.checks.observe import changed_inputs, plain

WEIGHTS = "the weights have changed. Only the gradients are to be written to."


def stage_of(width: int, seed: int) -> nn.Module:
    """A stage of the small MLP, float64: [rows, width] → [rows, width]; each seed gives other weights."""
    stage = nn.Sequential(nn.Linear(width, width, dtype=torch.float64), nn.Tanh())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return stage


def in_a_pipeline(
    fn: Callable[..., Any],
    batch: Tensor,
    targets: Tensor,
    m: int,
    shape: tuple[int, int],
    groups: Groups,
    seed: int,
) -> dict[str, Any]:
    """{"forward": the last stage's loss, "gradients"} of this rank's stage; a sentence where something else is wrong.

    Each rank has a batch and targets of its own; the first stage's batch and the last stage's targets are handed over.
    """
    torch.set_default_dtype(torch.float64)
    group = own_group(groups)
    rank, last = dist.get_rank(group), dist.get_world_size(group) - 1
    stage = stage_of(shape[1], seed + dist.get_rank())
    before = {name: plain(parameter) for name, parameter in stage.named_parameters()}
    steps = _steps_of(stage)
    own = batch if rank == 0 else None, targets if rank == last else None
    kept = plain((own, {}))
    result = fn(stage, *own, m, tuple(shape), group)
    result = torch.tensor(result) if type(result) is float else result
    seen = {
        "forward": plain(result) if rank == last else None,
        "gradients": {name: plain(parameter.grad) for name, parameter in stage.named_parameters()},
    }
    seen |= changed_inputs(kept, plain((own, {})))
    if any(not torch.equal(old, dict(stage.named_parameters())[name]) for name, old in before.items()):
        seen["weights"] = WEIGHTS
    return seen | _in_flight(steps, rank, due=min(m, last + 1 - rank))


def _steps_of(stage: nn.Module) -> list[str]:
    """A list that fills with "F" at each forward of the stage, and with "B" where its weight gets a gradient."""
    steps: list[str] = []
    stage.register_forward_hook(lambda *_: steps.append("F"))
    next(stage.parameters()).register_hook(lambda _: steps.append("B"))
    return steps


def _in_flight(steps: list[str], rank: int, due: int) -> dict[str, str]:
    """{} where so many forwards came before the first backward, or no backward came."""
    if "B" not in steps or steps.index("B") >= due:
        return {}
    ran = steps.index("B")
    return {
        "in flight": f"stage {rank} called its layers {ran} time{'s' * (ran != 1)} before its first backward, and "
        f"{due} are due: while a micro-batch is on its way to the last stage and back, the next ones keep this stage "
        "at work. Without them it stands idle."
    }
