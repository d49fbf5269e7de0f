"""Exercise 13.6: a run goes on on another mesh: its weights, whatever its optimizer keeps, and its learning rate."""

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from tplearn.checks.ch13_train_on_a_mesh.moved import moved_run
from tplearn.checks.ch13_train_on_a_mesh.reshard_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick
from tplearn.checks.traffic import Traffic
from tplearn.parallel import partitions

SPARE = 1 << 16  # bytes: how the numbers travel is not what this is about
SETTINGS = (  # the optimizer, the old mesh, the new one
    ("AdamW", (1, 1), (1, 1)),
    ("AdamW", (1, 2), (2, 1)),
    ("AdamW", (2, 1), (1, 2)),
    ("SGD with momentum", (1, 2), (2, 1)),
    ("AdamW", (2, 2), (1, 4)),
    ("AdamW", (4, 1), (2, 2)),
    ("AdamW with amsgrad", (1, 4), (2, 2)),
)


@torch.no_grad()
def reshard_run(old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer) -> None:
    """Every rank holds its shards of `old`, and has room for those of `new`, the same model on another mesh."""
    for (_, source, old_cut), (_, target, new_cut) in zip(partitions(old), partitions(new), strict=True):

        def moved(x: Tensor, old_cut=old_cut, new_cut=new_cut) -> Tensor:  # noqa: ANN001
            return x.clone() if old_cut is None or x.ndim == 0 else new_cut.shard(old_cut.full_tensor(x))

        target.copy_(moved(source))
        if source in old_optimizer.state:
            new_optimizer.state[target] = {key: moved(value) for key, value in old_optimizer.state[source].items()}
    for source, target in zip(old_optimizer.param_groups, new_optimizer.param_groups, strict=True):
        target |= {key: value for key, value in source.items() if key != "params"}


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for kind, old, new in SETTINGS:
        seed, steps, rate = pick(generator, 0, 1 << 20), pick(generator, 5, 9), pick(generator, 2, 9) / 100
        cases.append(Case(old[0] * old[1], (old, kind, steps, rate, new, seed), label=kind, mesh=new))
    return cases


RESHARD_RUN = Exercise(
    number="13.6",
    name="reshard_run",
    points=15,
    difficulty=3,
    minutes=20,
    reference=reshard_run,
    cases=_cases,
    observe=moved_run,
    ranks=True,
    sent=Traffic(spare=SPARE, bytes_only=True),
    mutants=MUTANTS,
)
