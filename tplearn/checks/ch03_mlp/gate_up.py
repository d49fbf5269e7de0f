"""Exercise 03.1: fused gate-and-up shards of one tp become those of another; each is two matrices."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch03_mlp.inputs import SIZES
from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.checks.inputs import pick, randn
from tplearn.simulated import split

Shards = list[Tensor]


def reshard_gate_up(shards: Shards, world_size: int) -> Shards:
    """shards[r]: [2·ffn/p, hidden], gate rows above up rows → world_size such shards, or ValueError where uneven."""
    return _reshard(shards, world_size)


def fuse(gate: Tensor, up: Tensor, tp: int) -> Shards:
    """[ffn, hidden] twice → p fused shards [2·ffn/p, hidden]."""
    return [torch.cat(pair) for pair in zip(split(gate, tp, 0), split(up, tp, 0), strict=True)]


def gate_up_cases(generator: Generator) -> list[Case]:
    """From 1, 2 and 3 shards to each tp; and to a tp that 2·ffn divides by where it can, but ffn does not."""
    cases = []
    for tp in SIZES:
        for before in (1, 2, 3):
            ffn = 12 * pick(generator, 1, 2)
            cases.append(_case(generator, before, tp, ffn, hidden=pick(generator, 5, 8)))
        if tp > 1:
            before, ffn = {2: (3, 9), 3: (2, 10), 4: (2, 6)}[tp]
            cases.append(_case(generator, before, tp, ffn, hidden=12, label=", ffn does not divide"))
            cases.append(_case(generator, 1, tp, ffn, hidden=12, label=", ffn does not divide"))
    return cases


def _case(generator: Generator, before: int, tp: int, ffn: int, hidden: int, label: str = "") -> Case:
    gate, up = randn(generator, ffn, hidden), randn(generator, ffn, hidden)
    return Case(tp, (fuse(gate, up, before), tp), label=f"from {before} shard{'s' if before > 1 else ''}{label}")


def _reshard(shards: Shards, world_size: int, wrong: str = "") -> Shards:
    """The shards of another tp, with one thing `wrong`."""
    halves = [shard.chunk(2) for shard in shards]
    gate, up = (torch.cat([pair[half] for pair in halves]) for half in (0, 1))
    whole = torch.cat([gate, up])
    if wrong == "unchanged":
        return shards
    if wrong == "world_size ignored":
        return [whole]
    if wrong == "each into world_size":
        return [torch.cat(pair) for h in halves for pair in zip(*(split(x, world_size, 0) for x in h), strict=True)]
    if wrong == "refuses fewer ranks" and world_size % len(shards):
        raise ValueError("only to a multiple")
    if wrong == "one shard's ffn tested" and (len(shards[0]) // 2) % world_size:
        raise ValueError("ffn of one shard does not divide")
    if wrong == "one shard's rows tested" and len(shards[0]) % world_size:
        raise ValueError("one shard's rows do not divide")
    if wrong == "every other row":
        return fuse(*(torch.cat([shard[half::2] for shard in shards]) for half in (0, 1)), world_size)
    if wrong == "side by side":
        return [torch.cat(pair, 1) for pair in zip(split(gate, world_size, 0), split(up, world_size, 0), strict=True)]
    if wrong == "one block":
        return split(torch.cat(shards), world_size, 0)
    if wrong == "whole as one block":
        return split(whole, world_size, 0)
    if wrong == "halves of the joined shards":
        return fuse(*torch.cat(shards).chunk(2), world_size)
    if wrong == "only to more ranks":
        each = max(1, world_size // len(shards))
        return [torch.cat(pair) for h in halves for pair in zip(*(split(x, each, 0) for x in h), strict=True)]
    if wrong == "up above gate":
        return fuse(up, gate, world_size)
    if wrong == "interleaved":
        pairs = zip(split(gate, world_size, 0), split(up, world_size, 0), strict=True)
        return [torch.stack(pair, dim=1).flatten(0, 1) for pair in pairs]  # [ffn/p, 2, hidden] -> [2·ffn/p, hidden]
    if wrong == "up whole":
        return [torch.cat([shard, up]) for shard in split(gate, world_size, 0)]
    if wrong == "2·ffn divides, ffn does not" and len(whole) % world_size == 0:
        return [torch.cat(pair) for pair in zip(*(x.tensor_split(world_size) for x in (gate, up)), strict=True)]
    if wrong == "never refused":
        return [torch.cat(pair) for pair in zip(gate.chunk(world_size), up.chunk(world_size), strict=True)]
    return fuse(gate, up, world_size)


RESHARD_GATE_UP = Exercise(
    number="03.1",
    name="reshard_gate_up",
    points=10,
    difficulty=2,
    minutes=12,
    reference=reshard_gate_up,
    cases=gate_up_cases,
    mutants=mutants_of(
        _reshard,
        (
            "one block",
            "You joined the shards and cut the joined rows as one block. A shard is two matrices: where the number of "
            "ranks changes, gate and up get mixed up. The shapes are right, so nothing will complain but the numbers.",
            "from 1 shard to 2: rank 0 now owns all of gate, and nothing of up.",
        ),
        (
            "whole as one block",
            "You put gate and up together rightly, and then cut the fused weight as one block. With two ranks, rank 0 "
            "now owns all of gate and rank 1 all of up: no rank can form silu(gate) · up.",
            "how many matrices lie in the whole weight, and cut each of them.",
        ),
        (
            "halves of the joined shards",
            "You joined the shards and took the first half of the rows for gate. The joined rows are gate₀ up₀ gate₁ "
            "up₁: that half is gate only where there was one shard.",
            "take gate and up out of each shard before you join.",
        ),
        (
            "only to more ranks",
            "You cut each old shard by itself. That is right where the new number of ranks is a multiple of the old "
            "one; from 3 shards to 2, or from 2 to 1, rows of different old shards must come together.",
            "put gate together, and up, before you cut.",
        ),
        (
            "world_size ignored",
            "You put the whole weight together and stopped. Now cut gate and up for world_size ranks.",
            "the number of shards in your result.",
        ),
        (
            "each into world_size",
            "You cut each old shard into world_size new ones: there are p · world_size of them now. Gate and up must "
            "be put together first, and then cut.",
            "the number of shards in your result.",
        ),
        (
            "refuses fewer ranks",
            "You refuse wherever the new number of ranks is not a multiple of the old one. All that must divide is "
            "ffn, by the new number.",
            "the condition of your ValueError.",
        ),
        (
            "one shard's ffn tested",
            "You refuse where the gate rows of one old shard do not divide by world_size. An old shard need not "
            "divide: ffn must, the gate rows of all shards together.",
            "the size that you test.",
        ),
        (
            "one shard's rows tested",
            "You refuse where the rows of one old shard do not divide by world_size. An old shard need not divide: ffn "
            "must, the gate rows of all shards together.",
            "the size that you test.",
        ),
        (
            "every other row",
            "You took every other row for gate. These shards keep gate as one block above up: the first half of the "
            "rows.",
            "how a shard is put together.",
        ),
        (
            "side by side",
            "You put a rank's rows of gate and of up side by side. They lie one above the other: [2·ffn/q, hidden].",
            "the dim of torch.cat.",
        ),
        (
            "unchanged",
            "You gave back the shards as they came. Right where the number of ranks stays the same.",
            "the number of shards in your result: world_size.",
        ),
        (
            "up above gate",
            "Each shard holds the right rows in the wrong order: up above gate. Whoever cuts the shard in two halves "
            "takes the first for gate, and applies silu to up.",
            "the order inside a shard: the same as in the whole weight.",
        ),
        (
            "interleaved",
            "Each shard alternates: a gate row, an up row, a gate row. Some models store the weight like that, but "
            "this one keeps gate as a block above up.",
            "torch.cat, not torch.stack.",
        ),
        (
            "up whole",
            "Gate is cut and up is whole on every rank. The product silu(gate) · up needs the same columns of both.",
            "the second half of each shard.",
        ),
        (
            "2·ffn divides, ffn does not",
            "You refuse by the number of rows of the fused weight, 2·ffn. That 2·ffn divides by the number of ranks is "
            "not enough: gate and up are cut one by one, so ffn must divide. 12 rows on 4 ranks went through.",
            "the size that you test; split does that for you.",
        ),
        (
            "never refused",
            "Right wherever ffn divides. Where it does not, you return shards all the same, where a ValueError is due: "
            "some rank has fewer rows than the others, or some rows are lost.",
            "raise a ValueError when ffn does not divide by world_size; split does that for you.",
        ),
    ),
)
