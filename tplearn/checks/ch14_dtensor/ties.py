"""Exercise 14.4: parallelize_module that leaves one parameter one, and keeps the cut that costs least."""

from torch import Generator, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

from tplearn.checks.ch14_dtensor.drive_parts import APART, EQUAL, TIED, of_ties
from tplearn.checks.ch14_dtensor.ties_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

Plan = dict[str, ParallelStyle]


def retie(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    """The head's parameter stays: it is cut by words, and so are the logits."""
    tied = model.output.weight is model.tok_embeddings.weight
    parallelize_module(model, mesh, plan, src_data_rank=None)
    if tied:
        model.tok_embeddings.weight = model.output.weight


def _cases(generator: Generator) -> list[Case]:
    embeddings = {
        "by words": RowwiseParallel(input_layouts=Replicate()),
        "by hidden numbers": ColwiseParallel(output_layouts=Replicate()),
    }
    head = {"output": ColwiseParallel(output_layouts=Replicate())}
    cases = []
    for tp in (1, 2, 4):
        for how, style in embeddings.items():
            for tie in (TIED, APART if how == "by words" else EQUAL)[: 2 if tp == 2 else 1]:
                args = (pick(generator, 1, 10**6), (tie, {"tok_embeddings": style} | head))
                cases.append(Case(tp, args, label=f"{tie}, embedding cut {how}"))
    return cases


RETIE = Exercise(
    number="14.4",
    name="retie",
    points=10,
    difficulty=1,
    minutes=8,
    reference=retie,
    cases=_cases,
    observe=of_ties,
    ranks=True,
    mutants=MUTANTS,
)
