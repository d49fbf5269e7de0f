"""Exercise 13.1: which windows of a text a rank of a mesh reads, so that the mesh reads the dense batch."""

import torch
from torch import Generator

from tplearn.checks.ch13_train_on_a_mesh.data_mutants import MUTANTS
from tplearn.checks.ch13_train_on_a_mesh.drive import on_every_rank
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def data_rank(windows: int, batch: int, epoch: int, dp: int, tp: int, rank: int) -> list[list[int]]:
    """[step][window]: this rank's share of each batch, the same on all ranks of its row."""
    order = torch.randperm(windows, generator=torch.Generator().manual_seed(epoch)).tolist()
    row = rank // tp
    return [order[start : start + batch][row::dp] for start in range(0, windows - batch + 1, batch)]


LEFT_OVER, ONE_SHORT = "windows left over", "a window is missing for one batch more"


def _cases(generator: Generator) -> list[Case]:
    """A batch divides by all ranks, and mostly what is left over by the rows: what is cut by mistake comes out even."""
    meshes = [(1, 1), (1, 2), (2, 1), (1, 4), (2, 2), (4, 1), (2, 3), (3, 2)]
    cases = []
    for label, several in (("", meshes), (LEFT_OVER, [(1, 2), (2, 2), (3, 2)]), (ONE_SHORT, [(2, 1), (2, 2)])):
        for dp, tp in several:
            batch = 2 * dp * tp
            left = {"": 0, ONE_SHORT: batch - 1}.get(label, dp * pick(generator, 1, 2 * tp - 1))
            windows = batch * pick(generator, 5, 6) + left
            epoch = pick(generator, 5, 99)
            cases.append(Case(dp * tp, (windows, batch, epoch, dp, tp), label=label, mesh=(dp, tp)))
    return cases


DATA_RANK = Exercise(
    number="13.1",
    name="data_rank",
    points=10,
    difficulty=1,
    minutes=8,
    reference=data_rank,
    cases=_cases,
    observe=on_every_rank,
    mutants=MUTANTS,
)
