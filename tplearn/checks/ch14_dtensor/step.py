"""Exercise 14.5: a step with sequence parallelism: the plan, positions, the parallel loss, backward."""

import torch
from torch import Generator, Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)
from torch.nn import functional as F

from tplearn.checks.ch14_dtensor.drive import of_step
from tplearn.checks.ch14_dtensor.step_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def sp_step(model: nn.Module, mesh: DeviceMesh, ids: Tensor, targets: Tensor) -> Tensor:
    """Between the cuts each rank has its own tokens."""
    own, whole = Shard(1), Replicate()
    column, row, norm = ColwiseParallel(), RowwiseParallel(output_layouts=own), SequenceParallel()
    own_heads = SequenceParallel(sequence_dim=2, use_local_output=True)
    given, wanted = (own, None, None), (whole, None, None)  # x, cos, sin
    layer = {
        "attention_norm": norm,
        "attention": PrepareModuleInput(input_layouts=given, desired_input_layouts=wanted),
        **{f"attention.{name}": column for name in ("wq", "wk", "wv")},
        **{f"attention.{name}": own_heads for name in ("q_norm", "k_norm")},
        "attention.wo": row,
        "ffn_norm": norm,
        "feed_forward": PrepareModuleInput(input_layouts=(own,), desired_input_layouts=(whole,)),
        **{f"feed_forward.{name}": column for name in ("w1", "w3")},
        "feed_forward.w2": row,
    }
    plan = {f"layers.*.{name}": style for name, style in layer.items()} | {
        "tok_embeddings": RowwiseParallel(input_layouts=whole, output_layouts=own),
        "norm": norm,
        "output": ColwiseParallel(input_layouts=own, use_local_output=False),
    }
    parallelize_module(model, mesh, plan, src_data_rank=None)
    with loss_parallel():
        logits = model(ids, torch.arange(ids.shape[1]))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
    return loss


def _cases(generator: Generator) -> list[Case]:
    return [Case(tp, (pick(generator, 1, 10**6), sizes)) for tp, sizes in ((1, (11, 1)), (2, (11, 1)), (4, (13, 2)))]


SP_STEP = Exercise(
    number="14.5",
    name="sp_step",
    points=20,
    difficulty=3,
    minutes=20,
    reference=sp_step,
    cases=_cases,
    observe=of_step,
    ranks=True,
    mutants=MUTANTS,
)
