"""Exercise 12.2: rows of queries from Meta's rotary layout to Hugging Face's, where only a part of each head turns."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch12_real_weights.rotary_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward
from tplearn.ranks import per_rank


def to_hugging_face_rotary(shard: Tensor, head_dim: int, rotary_dim: int) -> Tensor:
    """shard: [heads·d, hidden], or a bias [heads·d]: each head's pairs (2i, 2i + 1) → (i, i + rotary/2)."""
    heads = shard.unflatten(0, (-1, head_dim))  # [heads·d, …] → [heads, d, …]
    pairs = heads[:, :rotary_dim].unflatten(1, (-1, 2))  # [heads, rotary/2, 2, …]
    return torch.cat([pairs[:, :, 0], pairs[:, :, 1], heads[:, rotary_dim:]], dim=1).flatten(0, 1)


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, heads, d, rotary, bias in (
        *((1, 3, 8, 8, False), (2, 2, 6, 6, False), (2, 3, 10, 6, False), (3, 2, 16, 8, False)),
        *((1, 3, 12, 8, True), (2, 2, 10, 6, True)),
    ):
        shards = [randn(generator, heads * d, *([] if bias else [5])) for _ in range(tp)]
        label = "a bias" if bias else "" if rotary < d else "the whole head turns"
        cases.append(Case(tp, (per_rank(shards), d, rotary), label=label))
    return cases


TO_HUGGING_FACE_ROTARY = Exercise(
    number="12.2",
    name="to_hugging_face_rotary",
    points=10,
    difficulty=2,
    minutes=8,
    reference=to_hugging_face_rotary,
    cases=_cases,
    observe=forward,
    ranks=True,
    mutants=MUTANTS,
)
