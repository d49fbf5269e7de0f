"""Exercises 04.1 and 04.2: the two halves of a ring all-reduce."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch04_collectives.budget import (
    ON_A_RING,
    SIZES,
    OnARing,
    chunked,
    shift_and_add,
    total_to_rank_0_and_back,
)
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.simulated import Ring, ring_all_gather, ring_reduce_scatter


def _scatter_cases(generator: Generator) -> list[Case]:
    """One vector per rank; its length divides by p."""
    return [Case(tp, ([randn(generator, 3 * tp) for _ in range(tp)],)) for tp in SIZES]


def _gather_cases(generator: Generator) -> list[Case]:
    """One chunk per rank."""
    return [Case(tp, ([randn(generator, 3) for _ in range(tp)],)) for tp in SIZES]


def _scatter(tensors: list[Tensor], ring: Ring, steps: int, own: int = 0, first: int = -1, add: bool = True):
    p = ring.world_size
    chunks = chunked(tensors, p)
    shift_and_add(chunks, ring, steps, first, add)
    return [chunks[rank][(rank + own) % p] for rank in range(p)]


def _whole_tensors(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    totals = total_to_rank_0_and_back(tensors, ring)
    return [total.chunk(ring.world_size)[rank] for rank, total in enumerate(totals)]


def _gather(chunks: list[Tensor], ring: Ring, steps: int, only_own: bool = False, by_arrival: bool = False):
    """All-gather's loop with its knobs: a rank that always sends its own chunk, or that joins chunks as they arrive."""
    p = ring.world_size
    held = [{rank: chunk} for rank, chunk in enumerate(chunks)]
    for step in range(steps):
        for rank in range(p):
            ring.send(rank, (rank + 1) % p, held[rank][rank if only_own else (rank - step) % p])
        for rank in range(p):
            held[rank][(rank - step - 1) % p] = ring.recv((rank - 1) % p, rank)
    missing = torch.zeros_like(chunks[0])
    orders = [[(rank - k) % p for k in range(p)] if by_arrival else range(p) for rank in range(p)]
    return [torch.cat([held[rank].get(index, missing) for index in orders[rank]]) for rank in range(p)]


def _everything_each_step(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """A full-length buffer with zeros where nothing has arrived goes over every wire in every step."""
    p, m = ring.world_size, len(chunks[0])
    buffers = [torch.zeros(p * m, dtype=chunks[0].dtype) for _ in range(p)]
    for rank, chunk in enumerate(chunks):
        buffers[rank][rank * m : (rank + 1) * m] = chunk
    for step in range(p - 1):
        for rank in range(p):
            ring.send(rank, (rank + 1) % p, buffers[rank])
        for rank in range(p):
            index = (rank - step - 1) % p
            buffers[rank][index * m : (index + 1) * m] = ring.recv((rank - 1) % p, rank)[index * m : (index + 1) * m]
    return buffers


RING_REDUCE_SCATTER = Exercise(
    number="04.1",
    name="ring_reduce_scatter",
    points=15,
    difficulty=3,
    minutes=20,
    reference=ring_reduce_scatter,
    cases=_scatter_cases,
    observe=OnARing(),
    sent=ON_A_RING,
    mutants=(
        Mutant(
            "all to rank 0 and back",
            _whole_tensors,
            "Your numbers are right, and too many bytes paid for them. The whole sum went to rank 0 and came back, "
            "so some rank put up to two whole tensors on its wire, while the others waited. The budget is (tp − "
            "1)/tp of one tensor.",
            "the length of what you send: one chunk, never the whole tensor.",
        ),
        Mutant(
            "off by one in the ring",
            lambda tensors, ring: _scatter(tensors, ring, ring.world_size - 1, own=1, first=0),
            "Your chunks are summed correctly, but each sits one rank too early: rank r ended with chunk r + 1. A "
            "rank that sends its own chunk r first sees it last at its left neighbour. So it was in the chapter; "
            "here rank r ends with r.",
            "the chunk that rank r sends first: r − 1, so that chunk r arrives last.",
        ),
        Mutant(
            "one step too many",
            lambda tensors, ring: _scatter(tensors, ring, ring.world_size),
            "Your sums are right before the last step, which sends every finished chunk once more, over budget. A "
            "chunk visits tp ranks, and between tp ranks there are tp − 1 wires to cross. At tp = 1 there is none.",
            "range(p - 1), not range(p).",
        ),
        Mutant(
            "replaced, not added",
            lambda tensors, ring: _scatter(tensors, ring, ring.world_size - 1, add=False),
            "Each rank stored what arrived in place of its own summand. So rank r ended with one other rank's chunk, "
            "not with a sum. What arrives is a running sum, and your own part must join it.",
            "the line after recv: own chunk + what arrived.",
        ),
        Mutant(
            "mean for sum",
            lambda tensors, ring: [c / ring.world_size for c in _scatter(tensors, ring, ring.world_size - 1)],
            "Your result is the truth divided by tp. That is a mean. The ranks hold summands of one tensor, not "
            "repeated measurements of it, so they are added. At tp = 1 the two are the same.",
            "a division by p that does not belong there.",
        ),
        Mutant(
            "the last step missing",
            lambda tensors, ring: [tensor.chunk(ring.world_size)[rank] for rank, tensor in enumerate(tensors)],
            "Rank r ended with chunk r of its own tensor, without the other ranks' summands. Chunk r comes home in "
            "the last of the tp − 1 steps, so one missing step has the same effect as sending nothing at all.",
            "the loop over steps: range(p - 1).",
        ),
    ),
)

RING_ALL_GATHER = Exercise(
    number="04.2",
    name="ring_all_gather",
    points=10,
    difficulty=2,
    minutes=10,
    reference=ring_all_gather,
    cases=_gather_cases,
    observe=OnARing(),
    sent=ON_A_RING,
    mutants=(
        Mutant(
            "everything in every step",
            _everything_each_step,
            "Your numbers are right, but every step sent the full-length buffer, also the places where nothing had "
            "arrived yet. That is tp times the budget. The neighbour lacks one chunk at each step: send that one.",
            "the length of what you send: one chunk.",
        ),
        Mutant(
            "always its own chunk",
            lambda chunks, ring: _gather(chunks, ring, ring.world_size - 1, only_own=True),
            "Right on two ranks, wrong from three on: each rank sent its own chunk again and again, and its "
            "neighbour never heard of the ranks behind it. A ring only works if everybody passes on what came in.",
            "what rank r sends at step 1: the chunk that it received at step 0.",
        ),
        Mutant(
            "order of arrival",
            lambda chunks, ring: _gather(chunks, ring, ring.world_size - 1, by_arrival=True),
            "All chunks are there, in the order in which they arrived: own first, then the left neighbour's. So "
            "every rank holds another permutation. The result is defined by rank: chunk 0 first, on all ranks.",
            "torch.cat: sort by the index of the chunk, not by time.",
        ),
        Mutant(
            "one step only",
            lambda chunks, ring: _gather(chunks, ring, min(1, ring.world_size - 1)),
            "Right on two ranks. On more, each rank knows its own and its left neighbour's chunk, and zeros "
            "elsewhere. One step tells you about one rank; tp − 1 steps tell you about all the others.",
            "the loop over steps: range(p - 1).",
        ),
        Mutant(
            "nothing gathered",
            lambda chunks, ring: _gather(chunks, ring, 0),
            "Each rank has its own chunk in the right place and zeros elsewhere. Nothing was sent: the tp − 1 steps "
            "are missing.",
            "what ring.send and ring.recv are for.",
        ),
    ),
)
