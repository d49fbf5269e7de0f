"""Exercises 02.1 and 02.2: cut a weight by its outputs, and by its inputs."""

from torch import Generator, Tensor

from tplearn.checks.ch02_column_row.inputs import SIZES, two_sizes
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward


def _cut(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    size = weight.shape[dim]
    if size % world_size:
        raise ValueError(f"{('out', 'in')[dim]}_features = {size} cannot be split over tp = {world_size} ranks")
    return [shard.clone() for shard in weight.chunk(world_size, dim=dim)]


def split_columns(weight: Tensor, world_size: int) -> list[Tensor]:
    """weight: [out, in] → p shards [out/p, in]; ValueError where out does not divide."""
    return _cut(weight, world_size, dim=0)


def split_rows(weight: Tensor, world_size: int) -> list[Tensor]:
    """weight: [out, in] → p shards [out, in/p]; ValueError where in does not divide."""
    return _cut(weight, world_size, dim=1)


def _split_cases(generator: Generator, dim: int) -> list[Case]:
    """Shapes that divide, and one that does not in the dimension to be cut (but in the other one it does)."""
    cases = []
    for tp in SIZES:
        out_features, in_features = two_sizes(generator)
        cases.append(Case(tp, (randn(generator, out_features, in_features), tp)))
    shape = [9, 9]
    shape[dim] = 10
    return [*cases, Case(3, (randn(generator, *shape), 3))]


def columns_cases(generator: Generator) -> list[Case]:
    """Cases whose out_features divide by tp, and one whose 10 do not divide by 3."""
    return _split_cases(generator, dim=0)


def rows_cases(generator: Generator) -> list[Case]:
    """The same with in_features."""
    return _split_cases(generator, dim=1)


def _dropped(weight: Tensor, world_size: int, dim: int) -> list[Tensor]:
    size = weight.shape[dim] // world_size
    return [weight.narrow(dim, rank * size, size) for rank in range(world_size)]


SPLIT_COLUMNS = Exercise(
    number="02.1",
    name="split_columns",
    points=5,
    difficulty=1,
    minutes=5,
    reference=split_columns,
    cases=columns_cases,
    observe=forward,
    mutants=(
        Mutant(
            "wrong dim",
            lambda weight, world_size: list(weight.chunk(world_size, dim=1)),
            "You cut dim 1, the inputs. Column parallel cuts the outputs, the columns of A in Y = X A. But nn.Linear "
            "stores the transpose of A, [out, in], so the outputs are dim 0.",
            "the shape of one shard: it must be [out/tp, in].",
        ),
        Mutant(
            "uneven chunks",
            lambda weight, world_size: list(weight.chunk(world_size, dim=0)),
            "Right where the size divides. Where it does not, torch.chunk makes the last shard smaller, or makes "
            "fewer shards than ranks, and says nothing. Ten outputs on three ranks became 4, 4 and 2.",
            "raise a ValueError when out % world_size is not 0.",
        ),
        Mutant(
            "remainder dropped",
            lambda weight, world_size: _dropped(weight, world_size, 0),
            "Right where the size divides. Where it does not, out // tp outputs for each rank leave a remainder that "
            "no rank owns: those outputs are gone, and no error says so.",
            "what happens to output 9 of 10 on three ranks.",
        ),
        Mutant(
            "dealt like cards",
            lambda weight, world_size: [weight[rank::world_size] for rank in range(world_size)],
            "You dealt the outputs like cards: rank 0 got outputs 0, tp, 2·tp and so on. The shards have the right "
            "shape, but put side by side they are Y with its columns shuffled.",
            "which outputs rank 0 owns: the first out/tp, one contiguous block.",
        ),
    ),
)

SPLIT_ROWS = Exercise(
    number="02.2",
    name="split_rows",
    points=5,
    difficulty=1,
    minutes=5,
    reference=split_rows,
    cases=rows_cases,
    observe=forward,
    mutants=(
        Mutant(
            "wrong dim",
            lambda weight, world_size: list(weight.chunk(world_size, dim=0)),
            "You cut dim 0, the outputs: that is column parallel. Row parallel cuts the inputs, the rows of A in Y = "
            "X A. In nn.Linear's [out, in] they are dim 1.",
            "the shape of one shard: it must be [out, in/tp].",
        ),
        Mutant(
            "transposed",
            lambda weight, world_size: list(weight.t().chunk(world_size, dim=0)),
            "You cut the inputs, but of the transpose: your shards are [in/tp, out]. They hold the right numbers in "
            "A's layout. The next function multiplies by shard.T and expects nn.Linear's [out, in/tp].",
            "the .t() or .T before the cut.",
        ),
        Mutant(
            "uneven chunks",
            lambda weight, world_size: list(weight.chunk(world_size, dim=1)),
            "Right where the size divides. Where it does not, torch.chunk quietly makes unequal shards, and the "
            "shards of x that meet them may be cut elsewhere. Ten inputs on three ranks became 4, 4 and 2.",
            "raise a ValueError when in % world_size is not 0.",
        ),
        Mutant(
            "remainder dropped",
            lambda weight, world_size: _dropped(weight, world_size, 1),
            "Right where the size divides. Where it does not, in // tp inputs for each rank leave a remainder that "
            "no rank multiplies: the sum lacks those products, so every entry of Y is a little wrong.",
            "what happens to input 9 of 10 on three ranks.",
        ),
        Mutant(
            "dealt like cards",
            lambda weight, world_size: [weight[:, rank::world_size] for rank in range(world_size)],
            "You dealt the inputs like cards: rank 0 got inputs 0, tp, 2·tp and so on. That only works if x is dealt "
            "the same way. Everybody else in this course gives rank 0 the first in/tp inputs.",
            "which inputs rank 0 owns: one contiguous block.",
        ),
    ),
)
