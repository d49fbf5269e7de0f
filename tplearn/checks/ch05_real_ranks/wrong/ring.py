"""Wrong answers to 05.1: a ring all-reduce in a group."""

from collections.abc import Callable

import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from tplearn.checks.ch05_real_ranks.rounds import (
    add_round,
    chunks_of,
    gather_round,
    pass_right,
    put_together,
)
from tplearn.checks.exercise import Mutant


def _rounds(steps: int = -1, shift: int = -2, gather: bool = True) -> Callable[[Tensor, ProcessGroup], Tensor]:
    """The right answer with other knobs; p + steps of them in the first round."""

    def answer(x: Tensor, group: ProcessGroup) -> Tensor:
        chunks = chunks_of(x, group)
        add_round(chunks, group, max(dist.get_world_size(group) + steps, 0), shift)
        if gather:
            gather_round(chunks, group)
        return put_together(chunks, x)

    return answer


def _adds_in_both_rounds(x: Tensor, group: ProcessGroup) -> Tensor:
    chunks = chunks_of(x, group)
    add_round(chunks, group, 2 * (dist.get_world_size(group) - 1))
    return put_together(chunks, x)


def _only_gathers(x: Tensor, group: ProcessGroup) -> Tensor:
    chunks = chunks_of(x, group)
    gather_round(chunks, group)
    return put_together(chunks, x)


def _second_round_off(x: Tensor, group: ProcessGroup) -> Tensor:
    rank, p, chunks = dist.get_rank(group), dist.get_world_size(group), chunks_of(x, group)
    add_round(chunks, group)
    for step in range(p - 1):
        chunks[(rank - step - 2) % p] = pass_right(chunks[(rank - step - 1) % p], group)
    return put_together(chunks, x)


def _p_steps(x: Tensor, group: ProcessGroup, alone: bool = False) -> Tensor:
    p, chunks = dist.get_world_size(group), chunks_of(x, group)
    if p > 1 or alone:
        add_round(chunks, group, p)
        gather_round(chunks, group)
    return put_together(chunks, x)


def _world_rank_for_the_chunks(x: Tensor, group: ProcessGroup) -> Tensor:
    """The right neighbours, and chunks that are counted from the rank in the world."""
    off = dist.get_rank() - dist.get_rank(group)
    chunks = chunks_of(x, group)
    turned = [chunks[(k + off) % len(chunks)] for k in range(len(chunks))]
    add_round(turned, group)
    gather_round(turned, group)
    return put_together([turned[(k - off) % len(chunks)] for k in range(len(chunks))], x)


def _in_place(x: Tensor, group: ProcessGroup) -> Tensor:
    return x.copy_(_rounds()(x, group))


MUTANTS = (
    Mutant(
        "nothing added in what is gathered",
        _rounds(shift=-1),
        "Chunk r of your result is rank r's own, on every rank: nothing was added to what you gathered. Either what "
        "arrives in the first round is added to the chunk that was sent, and not to the one that it belongs to; or the "
        "two rounds do not fit: a chunk that rank r sends first is finished on rank r − 1, not on rank r.",
        "the first round: rank r sends chunk r − 1 − s, adds to r − 2 − s (mod p), and so ends with chunk r finished.",
    ),
    Mutant(
        "chunks by the rank in the world",
        _world_rank_for_the_chunks,
        "The neighbours are those of the group, and the chunks are counted from dist.get_rank(), the rank in the "
        "world. In a group whose ranks are not next to each other, neighbours then speak of different chunks.",
        "dist.get_rank(group), in the numbers of the chunks.",
    ),
    Mutant(
        "reduce-scatter forgotten",
        _only_gathers,
        "Chunk r of your result is rank r's own, on every rank: nothing has been added up. You gathered chunks before "
        "their sum was made.",
        "the first round: p − 1 steps in which what arrives is added.",
    ),
    Mutant(
        "unfinished chunks gathered",
        _second_round_off,
        "Your second round begins with a chunk that is not finished: after the first one rank r has the whole sum of "
        "chunk r, and another one is the first that you pass on.",
        "the second round: rank r sends chunk r − s, and puts what arrives in the place of chunk r − 1 − s (mod p).",
    ),
    Mutant(
        "p steps in a round",
        _p_steps,
        "You take one step too many: p in one of the two rounds. After p − 1 every chunk has been everywhere, and one "
        "more only costs bytes.",
        "range(p - 1).",
    ),
    Mutant(
        "p steps, also alone",
        lambda x, group: _p_steps(x, group, alone=True),
        "You take p steps in a round. After p − 1 every chunk has been everywhere; and a rank that is alone in its "
        "group sends to itself, which gloo cannot.",
        "range(p - 1): for p = 1 that is no step at all.",
        alone=True,
    ),
    Mutant(
        "all-gather forgotten",
        _rounds(gather=False),
        "After the first p − 1 steps each rank holds one finished chunk and p − 1 unfinished ones. You returned there, "
        "half way.",
        "the second round: p − 1 more steps that pass the finished chunks on.",
    ),
    Mutant(
        "one step too few",
        _rounds(steps=-2),
        "Your first round is one step short: one rank's numbers are missing in every chunk. A chunk starts on one rank "
        "and has p − 1 others to visit.",
        "range(p - 1) in the first round.",
    ),
    Mutant(
        "adds in both rounds",
        _adds_in_both_rounds,
        "In the second round a chunk that arrives is finished. You added it to your own unfinished one, so some "
        "partials are counted twice. It has to take the other's place.",
        "the second p − 1 steps: replace, do not add.",
    ),
    Mutant(
        "mean for sum",
        lambda x, group: _rounds()(x, group) / dist.get_world_size(group),
        "Your result is the sum divided by the number of ranks in the group. A sum was asked for.",
        "the division.",
    ),
    Mutant(
        "flat result",
        lambda x, group: _rounds()(x, group).flatten(),
        "The numbers are right, in a flat tensor. The result has x's shape.",
        "reshape at the end.",
    ),
    Mutant(
        "input changed in place",
        _in_place,
        "The sum is right, but x is not what it was: chunks made by reshape or chunk are views of x, and += writes "
        "through them. The caller still needs x.",
        "write chunks[i] = chunks[i] + arrived, or clone x first.",
    ),
)
