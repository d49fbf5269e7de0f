"""What a check says of ranks on a mesh: its cases by dp × tp, and factors of the size that they depend on."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Generator

from tplearn.checks import Case, find_exercise, judge
from tplearn.checks.clues import clues
from tplearn.checks.leaf import Leaf

WANT = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)
COUNT = find_exercise("weight_bytes_per_rank")


@pytest.mark.parametrize(
    ("factor", "meshes", "says"),
    [
        (lambda dp, tp: dp, [(2, 2), (4, 1)], "exactly dp times the right one."),
        (lambda dp, tp: 1 / tp, [(2, 2), (1, 4)], "exactly 1/tp of the right one."),
        (lambda dp, tp: dp * tp, [(2, 2), (2, 1), (1, 2)], "exactly (dp · tp) times the right one."),
        (lambda dp, tp: dp**0.5, [(2, 2), (4, 1)], "exactly √dp times the right one."),
        (lambda dp, tp: dp, [(2, 1)], "exactly dp times the right one (a 2×1 mesh)."),
        (lambda dp, tp: dp, [(2, 2)], "exactly 2 times the right one (a 2×2 mesh)."),  # dp or tp: nobody can tell
        (lambda dp, tp: dp * tp, [(1, 2), (1, 4)], "exactly tp times the right one."),
        (lambda dp, tp: 2, [(4, 1), (1, 2)], "exactly 2 times the right one."),
    ],
)
def test_a_factor_is_told_by_the_size_that_it_depends_on(factor: Callable, meshes: list, says: str) -> None:
    leaves = [Leaf(dp * tp, [WANT * factor(dp, tp)], [WANT], {}, {}, (dp, tp)) for dp, tp in meshes]
    assert clues(leaves) == [f"Yours is {says}"]


def test_a_place_is_told_by_its_mesh() -> None:
    halves = list(WANT.split(1))
    given = [[halves[0]] * 2, halves[::-1]]
    (found, *_) = clues([Leaf(2, got, halves, {}, {}, (1, 2)) for got in given])
    assert found == "On a 1×2 mesh, rank 1 has what is due on rank 0."


def on_meshes(generator: Generator) -> list[Case]:
    first = COUNT.cases(generator)[0]
    return [dataclasses.replace(first, tp=dp * tp, mesh=(dp, tp)) for dp, tp in ((2, 1), (1, 2), (1, 1))]


def test_a_mask_is_compared_with_arguments_of_its_shape() -> None:
    """Masks cannot be subtracted."""
    mask = WANT > 2
    assert clues([Leaf(2, [~mask] * 2, [mask] * 2, {"x": [WANT]}, {}, (1, 2))]) == []


def test_a_case_and_a_verdict_name_the_mesh() -> None:
    case = Case(8, mesh=(2, 4))
    assert str(dataclasses.replace(case, label="odd")) == "a 2×4 mesh (odd)" and case.where == "On a 2×4 mesh"
    assert (case.size, Case(8).size) == ("2×4", 8)
    verdict = judge(dataclasses.replace(COUNT, cases=on_meshes), COUNT.reference)
    assert verdict.passed and "   mesh 1×1 ✓  2×1 ✓  1×2 ✓   " in str(verdict), str(verdict)
