"""Exercise 14.6: after backward on a dp × tp mesh: two messages, and every gradient is what the optimizer needs."""

import torch
import torch.distributed as dist
from torch import Generator, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from tplearn.checks.ch14_dtensor.drive_parts import of_finishing
from tplearn.checks.ch14_dtensor.finish_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.ranks import per_rank


def finish_gradients(model: nn.Module, mesh: DeviceMesh) -> None:
    """Partials: one sum over tp. Then all that is left of the gradients: one mean over dp."""
    learning = [p for p in model.parameters() if p.grad is not None]
    cut = [p for p in learning if isinstance(p.grad, DTensor)]
    partial = [p for p in cut if p.grad.placements[0].is_partial()]
    if partial:
        flat = torch.cat([p.grad.to_local().flatten() for p in partial])
        dist.all_reduce(flat, group=mesh.get_group("tp"))
        for p, total in zip(partial, flat.split([p.numel() for p in partial]), strict=True):
            p.grad = DTensor.from_local(total.view(p.shape), mesh["tp"], p.placements, run_check=False)
    for p in cut:
        p.grad = p.grad.redistribute(placements=p.placements)
    own = [p.grad.to_local() if isinstance(p.grad, DTensor) else p.grad for p in learning]
    flat = torch.cat([gradient.flatten() for gradient in own]) / mesh["dp"].size()
    dist.all_reduce(flat, group=mesh.get_group("dp"))
    for gradient, mean in zip(own, flat.split([gradient.numel() for gradient in own]), strict=True):
        gradient.copy_(mean.view_as(gradient))


MESHES = ((1, 1), (1, 2), (1, 4), (3, 2))


def _cases(generator: Generator) -> list[Case]:
    """What all tp ranks of a row have alike: the bias's gradient, and that of an embedding, which is whole."""
    cases = []
    for dp, tp in MESHES:
        rows, columns, hidden = pick(generator, 2, 3), pick(generator, 2, 3), 6
        values: list[dict] = [{} for _ in range(dp * tp)]
        norms = {"norm": randn(generator, hidden), "q_norm": randn(generator, 4)}
        for row in range(dp):
            words = randn(generator, tp * rows, hidden)
            for rank in range(row * tp, (row + 1) * tp):
                values[rank] = {name: (norm.clone(), randn(generator, *norm.shape)) for name, norm in norms.items()}
                values[rank]["columns"] = (randn(generator, rows, hidden), randn(generator, rows, hidden))
                values[rank]["rows"] = (randn(generator, hidden, columns), randn(generator, hidden, columns))
                values[rank]["words"] = (randn(generator, rows, hidden), words.clone())
        bias = [gradient for _ in range(dp) for gradient in [randn(generator, 3)] * tp]
        cases.append(Case(dp * tp, ((dp, tp), per_rank(values), per_rank(bias)), mesh=(dp, tp)))
    return cases


FINISH_GRADIENTS = Exercise(
    number="14.6",
    name="finish_gradients",
    points=15,
    difficulty=2,
    minutes=15,
    reference=finish_gradients,
    cases=_cases,
    observe=of_finishing,
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.llama.plan.finish_gradients",),
)
