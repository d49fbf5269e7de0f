"""Exercise 14.3: a plan for parallel blocks that sends five all-reduces a block backward, and need send one."""

from torch import Generator
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, PrepareModuleOutput, RowwiseParallel

from tplearn.checks.ch14_dtensor.drive import of_mended_plan
from tplearn.checks.ch14_dtensor.quiet_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

Plan = dict[str, ParallelStyle]


def quiet_plan(plan: Plan) -> Plan:
    """f once, where the norm gives y: both halves read it as one DTensor, in which autograd adds up their partials."""
    whole = Replicate()
    once = PrepareModuleOutput(output_layouts=whole, desired_output_layouts=whole, use_local_output=False)
    return plan | {"layers.*.norm": once}


def noisy_plan() -> Plan:
    """Right, and every column has an f of its own."""
    column, row = ColwiseParallel(), RowwiseParallel()
    columns = ("attention.wq", "attention.wk", "attention.wv", "feed_forward.w1", "feed_forward.w3")
    layer: Plan = dict.fromkeys(columns, column) | dict.fromkeys(("attention.wo", "feed_forward.w2"), row)
    return {f"layers.*.{name}": style for name, style in layer.items()}


def _cases(generator: Generator) -> list[Case]:
    return [Case(tp, (pick(generator, 1, 10**6), (layers, noisy_plan()))) for tp, layers in ((1, 1), (2, 1), (4, 2))]


QUIET_PLAN = Exercise(
    number="14.3",
    name="quiet_plan",
    points=10,
    difficulty=2,
    minutes=10,
    reference=quiet_plan,
    cases=_cases,
    observe=of_mended_plan,
    ranks=True,
    mutants=MUTANTS,
)
