"""Exercise 03.1: a fused gate-and-up weight is two matrices, and each of them is cut."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch03_mlp.inputs import SIZES, sizes
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.simulated import split


def split_gate_up(weight: Tensor, world_size: int) -> list[Tensor]:
    """weight: [2·ffn, hidden], gate above up → p of [2·ffn/p, hidden], each with its gate rows above its up rows."""
    gate, up = split(weight, 2, 0)
    return [torch.cat(pair) for pair in zip(split(gate, world_size, 0), split(up, world_size, 0), strict=True)]


def gate_up_cases(generator: Generator) -> list[Case]:
    """Weights that divide, on tp 1, 2, 3, 4; and one where 2·ffn divides by 4 but ffn does not."""
    cases = []
    for tp in (*SIZES, 3):
        hidden, ffn = sizes(generator)
        cases.append(Case(tp, (randn(generator, 2 * 3 * ffn, hidden), tp)))
    return [*cases, Case(4, (randn(generator, 12, 5), 4))]


def _contiguous(weight: Tensor, world_size: int) -> list[Tensor]:
    return split(weight, world_size, 0)


def _no_check(weight: Tensor, world_size: int) -> list[Tensor]:
    gate, up = weight.chunk(2)
    pairs = zip(gate.tensor_split(world_size), up.tensor_split(world_size), strict=True)
    return [torch.cat(pair) for pair in pairs]


def _up_above_gate(weight: Tensor, world_size: int) -> list[Tensor]:
    gate, up = split(weight, 2, 0)
    return [torch.cat(pair) for pair in zip(split(up, world_size, 0), split(gate, world_size, 0), strict=True)]


def _interleaved(weight: Tensor, world_size: int) -> list[Tensor]:
    gate, up = split(weight, 2, 0)
    pairs = zip(split(gate, world_size, 0), split(up, world_size, 0), strict=True)
    return [torch.stack(pair, dim=1).flatten(0, 1) for pair in pairs]  # [ffn/p, 2, hidden] -> [2·ffn/p, hidden]


def _up_whole(weight: Tensor, world_size: int) -> list[Tensor]:
    gate, up = split(weight, 2, 0)
    return [torch.cat([part, up]) for part in split(gate, world_size, 0)]


SPLIT_GATE_UP = Exercise(
    number="03.1",
    name="split_gate_up",
    points=5,
    difficulty=2,
    minutes=8,
    reference=split_gate_up,
    cases=gate_up_cases,
    mutants=(
        Mutant(
            "fused weight cut as one block",
            _contiguous,
            "You cut the fused weight as one block. With two ranks, rank 0 now owns all of gate and rank 1 all of up: "
            "no rank can form silu(gate) · up. The shapes are right, so nothing will complain but the numbers.",
            "how many matrices lie in this weight, and cut each of them.",
        ),
        Mutant(
            "up above gate",
            _up_above_gate,
            "Each shard holds the right rows in the wrong order: up above gate. Whoever cuts the shard in two halves "
            "takes the first for gate, and applies silu to up.",
            "the order inside a shard: the same as in the whole weight.",
        ),
        Mutant(
            "interleaved",
            _interleaved,
            "Each shard alternates: a gate row, an up row, a gate row. Some models store the weight like that, but "
            "this one keeps gate as a block above up, and a shard must look like a smaller weight of the same kind.",
            "torch.cat, not torch.stack.",
        ),
        Mutant(
            "up left whole",
            _up_whole,
            "Gate is cut and up is whole on every rank. The product silu(gate) · up needs the same columns of both, "
            "and half of the weight is still on every rank.",
            "the second half of each shard.",
        ),
        Mutant(
            "2·ffn divides, ffn does not",
            _no_check,
            "A weight of 12 rows on 4 ranks went through, with unequal shards. That 2·ffn divides by tp is not "
            "enough: gate and up are cut one by one, so ffn must divide.",
            "the size that you test, and raise a ValueError (split does that for you).",
        ),
    ),
)
