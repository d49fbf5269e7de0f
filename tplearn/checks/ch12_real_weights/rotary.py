"""Exercise 12.2: query and key rows from Meta's rotary layout to Hugging Face's, on each rank's own heads."""

import torch
from torch import Generator, Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.ranks import per_rank

HEADS = {1: 2, 2: 4, 4: 8}  # tp -> heads in all


def to_hugging_face_rotary(weight_shard: Tensor, head_dim: int) -> Tensor:
    """weight_shard: [heads·d, hidden], pairs (2i, 2i + 1) → the same rows, pairs (i, i + d/2)."""
    pairs = weight_shard.unflatten(0, (-1, head_dim // 2, 2))  # [heads·d, hidden] → [heads, d/2, 2, hidden]
    return pairs.transpose(1, 2).flatten(0, 2)  # → [heads, 2, d/2, hidden] → [heads·d, hidden]


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, d in ((2, 6), (4, 8), (1, 6)):
        weight = torch.randn(HEADS[tp] * d, 12, generator=generator, dtype=torch.float64)
        cases.append(Case(tp, (per_rank([part.clone() for part in weight.chunk(tp)]), d)))
    return cases


def _as_it_is(weight_shard: Tensor, head_dim: int) -> Tensor:
    return weight_shard.clone()


def _backwards(weight_shard: Tensor, head_dim: int) -> Tensor:
    return weight_shard.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).flatten(0, 2)


def _across_heads(weight_shard: Tensor, head_dim: int) -> Tensor:
    return torch.cat([weight_shard[0::2], weight_shard[1::2]])


def _columns(weight_shard: Tensor, head_dim: int) -> Tensor:
    return to_hugging_face_rotary(weight_shard.T, head_dim if weight_shard.shape[1] % head_dim == 0 else 4).T.clone()


def _numbers_of_heads(weight_shard: Tensor, head_dim: int) -> Tensor:
    return weight_shard.unflatten(0, (-1, head_dim)).transpose(0, 1).flatten(0, 1)


TO_HUGGING_FACE_ROTARY = Exercise(
    number="12.2",
    name="to_hugging_face_rotary",
    points=10,
    difficulty=2,
    minutes=8,
    reference=to_hugging_face_rotary,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "taken as it is",
            _as_it_is,
            "You left Meta's order: there the rows 2i and 2i + 1 of a head turn together. The code turns rows i and "
            "i + d/2. Every shape is right, and every query and key is turned by wrong angles.",
            "which two rows of a head make a pair before, and which after.",
        ),
        Mutant(
            "the way back",
            _backwards,
            "That is the way from Hugging Face to Meta. You split a head into two halves and interleaved them; it is "
            "the other way round. For d = 4 both are the same, so a small test does not see it.",
            "unflatten(0, (-1, d/2, 2)): the pair comes last, because its two rows are neighbours.",
        ),
        Mutant(
            "across heads",
            _across_heads,
            "You took all even rows of the shard, then all odd ones. Heads are mixed by that: each head is put in "
            "order by itself. On one head it would have been right.",
            "the first dimension after unflatten: the heads stay where they are.",
        ),
        Mutant(
            "columns moved",
            _columns,
            "You moved the columns. They are the numbers of x, which nobody turns. A query's numbers are the rows of "
            "its weight, [out, in].",
            "the dimension that you unflatten: 0.",
        ),
        Mutant(
            "heads and numbers exchanged",
            _numbers_of_heads,
            "You exchanged heads and their numbers: first row of each head, then second row of each. Within a head the "
            "d/2 pairs and the two of a pair change places; the heads do not move.",
            "transpose(1, 2), with the heads as dimension 0.",
        ),
    ),
)
