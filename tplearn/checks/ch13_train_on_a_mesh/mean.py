"""Exercise 13.3: after backward, the dense batch's gradient, from rows that count different numbers of targets."""

import torch
import torch.distributed as dist
from torch import Generator, nn

from tplearn.checks.ch13_train_on_a_mesh.drive import after_backward
from tplearn.checks.ch13_train_on_a_mesh.mean_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick
from tplearn.checks.traffic import Traffic
from tplearn.parallel import sync_gradients

SPARE = 64  # bytes: the targets may be asked for in a message of their own


def mean_over_dp(model: nn.Module, targets: int, mesh: dist.DeviceMesh) -> None:
    """Weigh each row's gradients by its targets, add over dp, divide by all targets; then the partials over tp."""
    gradients = [parameter.grad for parameter in model.parameters()]
    flat = torch.cat([gradient.flatten() for gradient in gradients] + [gradients[0].new_ones(1)]) * targets
    dist.all_reduce(flat, group=mesh.get_group("dp"))
    *means, _ = (flat / flat[-1]).split([gradient.numel() for gradient in gradients] + [1])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
    sync_gradients(model)


def _cases(generator: Generator) -> list[Case]:
    """Rows with as many targets each, where the plain mean is right, and rows with different numbers of them."""
    cases = []
    for label, meshes in (
        ("", [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (1, 4)]),
        ("rows of different lengths", [(2, 1), (2, 2)]),
    ):
        for dp, tp in meshes:
            targets = [pick(generator, 20, 29) + 10 * row * bool(label) for row in range(dp)]
            targets = targets if label else targets[:1] * dp
            seed = pick(generator, 0, 1 << 20)
            cases.append(Case(dp * tp, (targets, (dp, tp), seed), label=label, mesh=(dp, tp)))
    return cases


MEAN_OVER_DP = Exercise(
    number="13.3",
    name="mean_over_dp",
    points=10,
    difficulty=2,
    minutes=12,
    reference=mean_over_dp,
    cases=_cases,
    observe=after_backward,
    ranks=True,
    sent=Traffic(spare=SPARE, bytes_only=True),
    mutants=MUTANTS,
)
