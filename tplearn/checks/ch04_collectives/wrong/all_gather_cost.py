"""Answers to 04.2 with the right numbers and too many bytes."""

import torch
from torch import Tensor

from tplearn.checks.ch04_collectives.loops import gather_round, pass_left
from tplearn.checks.exercise import Mutant
from tplearn.simulated import Ring


def _to_rank_0_and_back(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    p, whole = ring.world_size, chunks[-1]
    for rank in range(p - 1, 0, -1):
        ring.send(rank, rank - 1, whole)
        whole = torch.cat([chunks[rank - 1], ring.recv(rank, rank - 1)])
    for rank in range(p, 1, -1):
        ring.send(rank % p, rank - 1, whole)
        ring.recv(rank % p, rank - 1)
    return [whole.clone() for _ in range(p)]


def _growing(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """Each step sends all that a rank holds, in the order of the ranks."""
    p = ring.world_size
    held = [{rank: chunk} for rank, chunk in enumerate(chunks)]
    for _ in range(p - 1):
        sent = [dict(mine) for mine in held]
        pass_left(ring, [torch.cat([mine[k] for k in sorted(mine)]) for mine in sent])
        held = [mine | sent[(rank + 1) % p] for rank, mine in enumerate(held)]
    return [torch.cat([mine[index] for index in range(p)]) for mine in held]


def _full_length(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """A full-length buffer with zeros where nothing has arrived goes over every wire in every step."""
    p = ring.world_size
    for _ in range(p - 1):
        pass_left(ring, [torch.cat(chunks)] * p)
    return [torch.cat(chunks) for _ in range(p)]


MUTANTS = (
    Mutant(
        "all to rank 0 and back",
        _to_rank_0_and_back,
        "Your numbers are right, and too many bytes paid for them. The chunks piled up on their way to rank 0, and the "
        "whole travelled on from there. Each step should send one chunk from every rank.",
        "the length of what you send: one chunk.",
    ),
    Mutant(
        "everything so far in every step",
        _growing,
        "Your numbers are right, but each step sent everything that the rank had. The neighbour lacks one chunk at "
        "each step, the one that came in last: send that one.",
        "the length of what you send: one chunk.",
    ),
    Mutant(
        "the full length in every step",
        _full_length,
        "Your numbers are right, but every step sent the full length, also the places where nothing had arrived yet: p "
        "times the budget. The neighbour lacks one chunk at each step: send that one.",
        "the length of what you send: one chunk.",
    ),
    Mutant(
        "one step too many",
        lambda chunks, ring: [
            torch.cat([mine[k] for k in range(len(chunks))]) for mine in gather_round(chunks, ring, ring.world_size)
        ],
        "You take p steps. All chunks are there before the last one, which brings every rank its own chunk back. p "
        "chunks need p − 1 steps to visit everybody.",
        "range(p - 1), not range(p).",
    ),
)
