"""Exercises 02.1 and 02.2: cut a weight, or a stack of weights, by its outputs and by its inputs."""

from functools import partial

from torch import Generator, Tensor

from tplearn.checks.ch02_column_row.cuts import INPUTS, OUTPUTS, cut
from tplearn.checks.ch02_column_row.cuts_wrong import mutants_for
from tplearn.checks.ch02_column_row.inputs import SIZES
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn


def split_columns(weight: Tensor, world_size: int) -> list[Tensor]:
    """weight: [..., out, in] → p shards [..., out/p, in]; ValueError where out does not divide."""
    return cut(weight, world_size, OUTPUTS)


def split_rows(weight: Tensor, world_size: int) -> list[Tensor]:
    """weight: [..., out, in] → p shards [..., out, in/p]; ValueError where in does not divide."""
    return cut(weight, world_size, INPUTS)


def _cases(generator: Generator, dim: int) -> list[Case]:
    """On each tp: three that divide, two of them in the other dimension too; three that do only there, one nowhere."""
    cases = []
    for tp in SIZES:
        odd = 2 * tp + (2 if tp == 4 else 1)  # does not divide; its square may
        for other, experts, label in (
            (2 * tp + 1, 0, "one weight"),
            (3 * tp, 0, "one weight, of two sizes that divide"),
            (5 * tp, tp, "a stack"),
        ):
            cases.append(Case(tp, (_weight(generator, dim, tp * pick(generator, 2, 4), other, experts), tp), {}, label))
        if tp > 1:
            for size, other, experts, label in (
                (2 * tp + 1, 4 * tp, 0, "a size that does not divide"),
                (tp - 1, 4 * tp, 0, "a size smaller than tp"),
                (odd, odd, 0, "no size that divides"),
                (3 * tp - 1, 4 * tp, tp, "a stack that does not divide"),
            ):
                cases.append(Case(tp, (_weight(generator, dim, size, other, experts), tp), {}, label))
    return cases


def _weight(generator: Generator, dim: int, size: int, other: int, experts: int) -> Tensor:
    """[out, in], or [experts, out, in]; `size` is that of the dim to be cut."""
    shape = (size, other) if dim == OUTPUTS else (other, size)
    return randn(generator, *((experts, *shape) if experts else shape))


SPLIT_COLUMNS = Exercise(
    number="02.1",
    name="split_columns",
    points=5,
    difficulty=1,
    minutes=6,
    reference=split_columns,
    cases=partial(_cases, dim=OUTPUTS),
    mutants=mutants_for(outputs=True),
)

SPLIT_ROWS = Exercise(
    number="02.2",
    name="split_rows",
    points=5,
    difficulty=1,
    minutes=4,
    reference=split_rows,
    cases=partial(_cases, dim=INPUTS),
    mutants=mutants_for(outputs=False),
)
