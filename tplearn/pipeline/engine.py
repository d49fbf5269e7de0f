"""Runs stages under a schedule of torch.distributed.pipelining: micro-batches in, gradients of their mean loss out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tplearn.llama import Llama
from tplearn.parallel.place import Group
from tplearn.pipeline.kinds import kind_of
from tplearn.pipeline.stages import stages_of
from tplearn.tensors import require_tensor

if TYPE_CHECKING:
    from torch.distributed.pipelining import PipelineStage
    from torch.distributed.pipelining.schedules import _PipelineSchedule


def make_schedule(
    schedule: str, stages: list[PipelineStage], micro_batches: int, loss: Callable[[Tensor, Tensor], Tensor]
) -> _PipelineSchedule:
    """torch's schedule of this name for this rank's stages; loss(output, targets) of one micro-batch, a mean.

    Raises ValueError for an unknown schedule, other stages than it puts on this rank, and micro-batches that are too
    few or do not divide into its rounds.
    """
    from torch.distributed.pipelining.schedules import get_schedule_class  # takes a second

    kind, (rank, p) = kind_of(schedule), (stages[0].group_rank, stages[0].group_size)
    numbers, due = [stage.stage_index for stage in stages], kind.stages_of(rank, p, len(stages))
    if numbers != due:
        raise ValueError(f"{kind.name} with stages {numbers} on rank {rank} of {p}; stages {due} work there")
    kind.require_micro_batches(micro_batches, p, len(stages))
    several = kind.looped or kind.v_shaped
    return get_schedule_class(kind.name)(stages if several else stages[0], micro_batches, loss_fn=loss)


class Pipeline:
    """This rank's stages of a Llama, in `parts`, and the schedule that runs them over the ranks of `group`.

    Data-parallel means, `sync_gradients` and the optimizer work on `parts`, as on a model. A gradient norm of them is
    that of this rank's stages: the model's has the squares of all stages. For the arguments see `stages_of`.
    """

    def __init__(
        self,
        model: Llama,
        schedule: str,
        micro_batches: int,
        group: Group = None,
        *,
        stages_per_rank: int | None = None,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.stages = stages_of(model, schedule, group, stages_per_rank=stages_per_rank, sizes=sizes)
        self.parts = nn.ModuleList(stage.submod for stage in self.stages)
        self.schedule = make_schedule(schedule, self.stages, micro_batches, self.parts[0].loss)
        self.micro_batches = micro_batches

    def step(self, input_ids: Tensor, targets: Tensor) -> Tensor | None:
        """Forward and backward of input_ids and targets, [batch, seq] each, the same on every rank of the pipeline.

        Returns the mean loss on the rank that has the last stage, None on the others. Every parameter's gradient is
        that of the mean over the micro-batches, which is the batch's mean where each has as many targets that count.
        Only the first stage reads input_ids, only the last reads targets. All steps have the shape of the first: there
        torch's stages tell each other shapes, for which each runs one micro-batch more.

        Raises ValueError for a batch that does not divide, and where a gradient of an earlier step is still there:
        torch divides whatever it finds by the number of micro-batches.
        """
        for name, x in (("input_ids", input_ids), ("targets", targets)):
            if require_tensor(name, x).ndim != 2:
                raise ValueError(f"{name} of shape {tuple(x.shape)}; [batch, seq] works")
        m, batch = self.micro_batches, input_ids.shape[0]
        if batch % m:
            raise ValueError(f"batch = {batch} does not divide by micro_batches = {m}; multiples of {m} work")
        if any(p.grad is not None and p.grad.any() for p in self.parts.parameters()):
            raise ValueError("the gradients of an earlier step are still there; zero_grad() before each step works")
        first, last = (any(getattr(stage, end) for stage in self.stages) for end in ("is_first", "is_last"))
        losses: list[Tensor] = []
        self.schedule.step(
            *([input_ids] if first else []),
            **({"target": targets, "losses": losses} if last else {}),
            return_outputs=False,
        )
        return torch.stack(losses).mean().detach() if last else None
