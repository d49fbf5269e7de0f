"""Exercise 13.4: the dense model's gradient norm on a mesh, from gradients in any state over dp and over tp."""

import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch13_train_on_a_mesh.drive import norm_on_mesh
from tplearn.checks.ch13_train_on_a_mesh.norm_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.checks.traffic import Traffic
from tplearn.ranks import per_rank

STATES = (("P", "S"), ("P", "P"), ("P", "R"), ("R", "S"), ("R", "P"), ("R", "R"), ("S", "S"), ("S", "R"))
SPARE = 64  # bytes: one number may go over dp and tp in two steps


def mesh_norm(gradients: list[Tensor], states: list[tuple[str, str]], mesh: dist.DeviceMesh) -> Tensor:
    """states[i]: of gradients[i] over dp and over tp → the norm of the dense gradient, a tensor of shape []."""
    total = gradients[0].new_zeros(())
    for gradient, (over_dp, over_tp) in zip(gradients, states, strict=True):
        gradient = gradient.clone()
        if over_tp == "P":
            dist.all_reduce(gradient, group=mesh.get_group("tp"))
        if over_dp == "P":
            dist.all_reduce(gradient, group=mesh.get_group("dp"))
            gradient /= mesh["dp"].size()
        copies = (1 if over_dp == "S" else mesh["dp"].size()) * (1 if over_tp == "S" else mesh["tp"].size())
        total += gradient.square().sum() / copies
    dist.all_reduce(total)
    return total.sqrt()


def _cases(generator: Generator) -> list[Case]:
    """Each pair of states once. With 4 ranks, the last one has nothing of what is cut twice."""
    cases = []
    for dp, tp in ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1)):
        width = pick(generator, 3, 5)
        by_gradient = [_of_ranks(generator, pair, dp, tp, width) for pair in STATES]
        own = [list(of_rank) for of_rank in zip(*by_gradient, strict=True)]
        if dp * tp == 4:
            own[-1] = [x[:0] if pair == ("S", "S") else x for x, pair in zip(own[-1], STATES, strict=True)]
        cases.append(Case(dp * tp, (per_rank(own), [list(s) for s in STATES], (dp, tp)), mesh=(dp, tp)))
    return cases


def _of_ranks(generator: Generator, states: tuple[str, str], dp: int, tp: int, width: int) -> list[Tensor]:
    """A gradient on every rank: another one along a dim where it is S or P, the same where it is R."""
    whole = randn(generator, dp, tp, 2, width)
    if states[0] == "R":
        whole = whole[:1].expand(dp, tp, 2, width)
    if states[1] == "R":
        whole = whole[:, :1].expand(dp, tp, 2, width)
    return [x.clone() for x in whole.flatten(0, 1)]


MESH_NORM = Exercise(
    number="13.4",
    name="mesh_norm",
    points=10,
    difficulty=2,
    minutes=12,
    reference=mesh_norm,
    cases=_cases,
    observe=norm_on_mesh,
    ranks=True,
    sent=Traffic(spare=SPARE, bytes_only=True),
    mutants=MUTANTS,
)
