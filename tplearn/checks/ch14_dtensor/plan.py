"""Exercise 14.2: a plan for a Qwen3 under torchtitan's names, with norms on queries and keys."""

from torch import Generator, nn
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, SequenceParallel

from tplearn.checks.ch14_dtensor.drive import of_plan
from tplearn.checks.ch14_dtensor.plan_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def tp_plan(model: nn.Module) -> dict[str, ParallelStyle]:
    """The embedding cut by hidden numbers, the head by words; whole logits."""
    column, row = ColwiseParallel(), RowwiseParallel()
    own_heads = SequenceParallel(sequence_dim=2, use_local_output=True)
    layer = {f"attention.{name}": column for name in ("wq", "wk", "wv")} | {"attention.wo": row}
    layer |= {"attention.q_norm": own_heads, "attention.k_norm": own_heads}
    layer |= {"feed_forward.w1": column, "feed_forward.w3": column, "feed_forward.w2": row}
    whole = ColwiseParallel(output_layouts=Replicate())
    plan = {f"layers.*.{name}": style for name, style in layer.items()}
    return plan | {"tok_embeddings": whole, "output": whole}


def _cases(generator: Generator) -> list[Case]:
    """An odd number of words, which no number of ranks divides."""
    return [Case(tp, (pick(generator, 1, 10**6), sizes)) for tp, sizes in ((1, (11, 1)), (2, (11, 1)), (4, (13, 2)))]


TP_PLAN = Exercise(
    number="14.2",
    name="tp_plan",
    points=15,
    difficulty=2,
    minutes=15,
    reference=tp_plan,
    cases=_cases,
    observe=of_plan,
    ranks=True,
    mutants=MUTANTS,
)
