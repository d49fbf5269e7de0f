"""Exercise 17.3: a training step of a pipeline by hand: activations forward, gradients back, micro-batch by batch."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn

from tplearn.checks.ch17_beyond_tp.drive_pipeline import in_a_pipeline
from tplearn.checks.ch17_beyond_tp.pipeline_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.groups import Groups, named
from tplearn.checks.inputs import pick, randn
from tplearn.checks.traffic import Traffic
from tplearn.ranks import per_rank


def pipeline_step(
    stage: nn.Module,
    batch: Tensor | None,
    targets: Tensor | None,
    m: int,
    shape: tuple[int, int],
    group: dist.ProcessGroup,
) -> Tensor | None:
    """GPipe (Huang et al. 2019): all forwards, then all backwards in the same order."""
    rank, last = dist.get_rank(group), dist.get_world_size(group) - 1
    read, written, loss = [], [], 0.0
    for k in range(m):
        if rank == 0:
            x = batch.chunk(m)[k]
        else:
            x = torch.empty(shape[0] // m, shape[1])
            dist.recv(x, group=group, group_src=rank - 1)
            x.requires_grad_()
        y = stage(x)
        if rank == last:
            y = nn.functional.mse_loss(y, targets.chunk(m)[k]) / m
            loss += y.detach()
        else:
            dist.send(y.detach(), group=group, group_dst=rank + 1)
        read.append(x)
        written.append(y)
    for x, y in zip(read, written, strict=True):
        gradient = None
        if rank < last:
            gradient = torch.empty_like(y)
            dist.recv(gradient, group=group, group_src=rank + 1)
        y.backward(gradient)
        if rank > 0:
            dist.send(x.grad, group=group, group_dst=rank - 1)
    return loss if rank == last else None


LAYOUTS: dict[int, tuple[Groups, ...]] = {1: (None,), 2: (None,), 3: (None,), 4: (None, [[0, 2], [1, 3]])}
MICRO_BATCHES = {1: 3, 2: 4, 3: 4, 4: 3}  # by ranks: more than stages, and fewer


def _cases(generator: Generator) -> list[Case]:
    """One pipeline of all ranks, and two beside each other; one micro-batch, too."""
    cases = []
    for p, layouts in LAYOUTS.items():
        for groups in layouts:
            several = [MICRO_BATCHES[p], 1] if p == 2 else [MICRO_BATCHES[p]]
            for m in several:
                width, rows, seed = pick(generator, 3, 5), pick(generator, 2, 3), pick(generator, 0, 1 << 20)
                shape = m * rows, width
                tensors = [per_rank([randn(generator, *shape) for _ in range(p)]) for _ in range(2)]
                label = ", ".join(filter(None, [named(groups), "one micro-batch" * (m == 1)]))
                cases.append(Case(p, (*tensors, m, shape, groups, seed), label=label))
    return cases


PIPELINE_STEP = Exercise(
    number="17.3",
    name="pipeline_step",
    points=20,
    difficulty=3,
    minutes=25,
    reference=pipeline_step,
    cases=_cases,
    observe=in_a_pipeline,
    ranks=True,
    sent=Traffic(exact=True),
    mutants=MUTANTS,
    ready=("tplearn.pipeline",),
)
