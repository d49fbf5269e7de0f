"""Wrong answers to 04.2: an all-gather on a ring to the left."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tplearn.checks.ch04_collectives.loops import all_gather, gather_round, pass_left
from tplearn.checks.exercise import Mutant
from tplearn.simulated import Ring


def _filled(chunks: list[Tensor], ring: Ring, steps: int, only_own: bool = False) -> list[Tensor]:
    """All-gather's loop after `steps` steps, with zeros where no chunk has arrived."""
    held = gather_round(chunks, ring, steps, only_own)
    return [
        torch.cat([mine.get(index, torch.zeros_like(chunk)) for index, chunk in enumerate(chunks)]) for mine in held
    ]


def _by_arrival(chunks: list[Tensor], ring: Ring, turn: int = 1) -> list[Tensor]:
    """Joined in the order in which the chunks arrived (turn 1), or with the newest in front (turn −1)."""
    held = gather_round(chunks, ring, ring.world_size - 1)
    return [torch.cat(list(mine.values())[::turn]) for mine in held]


def _the_pages_direction(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    for rank in range(p if p > 1 else 0):
        ring.send(rank, (rank + 1) % p, chunks[rank])
    return all_gather(chunks, ring) if p == 1 else [ring.recv((rank - 1) % p, rank) for rank in range(p)]


def _the_pages_indices(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """Sent and stored as if the wires ran to the right: chunk r − s goes out, r − s − 1 is what comes in."""
    p = ring.world_size
    held = [{rank: chunk} for rank, chunk in enumerate(chunks)]
    for step in range(p - 1):
        arrived = pass_left(ring, [held[rank][(rank - step) % p] for rank in range(p)])
        for rank in range(p):
            held[rank][(rank - step - 1) % p] = arrived[rank]
    return [torch.cat([mine[index] for index in range(p)]) for mine in held]


def _stored_as_on_the_page(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    held = [[chunk if index == rank else None for index, chunk in enumerate(chunks)] for rank in range(p)]
    for step in range(p - 1):
        arrived = pass_left(ring, [held[rank][(rank + step) % p] for rank in range(p)])
        for rank in range(p):
            held[rank][(rank - step - 1) % p] = arrived[rank]
    return [torch.cat(mine) for mine in held]


def _padding_kept(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """Every chunk filled up to the longest one, and so it stays."""
    longest = max(map(len, chunks))
    return all_gather([F.pad(chunk, (0, longest - len(chunk))) for chunk in chunks], ring)


def _equal_lengths(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """Chunk i is written to numbers i · m to (i + 1) · m, m being the length of the rank's own chunk."""
    p, held = ring.world_size, gather_round(chunks, ring, ring.world_size - 1)
    wholes = []
    for rank, mine in enumerate(held):
        m = len(chunks[rank])
        whole = torch.zeros(p * m, dtype=chunks[rank].dtype)
        for index, chunk in mine.items():
            whole[index * m : (index + 1) * m] = chunk
        wholes.append(whole)
    return wholes


MUTANTS = (
    Mutant(
        "the page's direction",
        _the_pages_direction,
        "You send to rank r + 1, as on the page. This ring runs the other way: rank r can send to rank r − 1 only, and "
        "gets what rank r + 1 sent. (With two ranks both are the same.)",
        "the wires, and then every index: chunks now arrive from the right.",
    ),
    Mutant(
        "the page's indices",
        _the_pages_indices,
        "The chunks lie in the wrong places. The wires run to the left, so what arrives at rank r in step s is chunk r "
        "+ 1 + s, and you took it for chunk r − 1 − s.",
        "the sign of s in both indices.",
    ),
    Mutant(
        "always its own chunk",
        lambda chunks, ring: _filled(chunks, ring, ring.world_size - 1, only_own=True),
        "Right on two ranks, wrong from three on: each rank sent its own chunk again and again, and its left neighbour "
        "never got the chunks of the ranks further right. A ring only works if everybody passes on what came in.",
        "what rank r sends at step 1: the chunk that it received at step 0.",
    ),
    Mutant(
        "order of arrival",
        _by_arrival,
        "All chunks are there, in the order in which they arrived: own first, then the right neighbour's. So every "
        "rank holds another order. The result is defined by rank: chunk 0 first, on all ranks.",
        "torch.cat: sort by the index of the chunk, not by time.",
    ),
    Mutant(
        "newest in front",
        lambda chunks, ring: _by_arrival(chunks, ring, turn=-1),
        "All chunks are there, the newest in front and your own last, so every rank holds another order. The result is "
        "defined by rank: chunk 0 first, on all ranks.",
        "torch.cat: sort by the index of the chunk, not by time.",
    ),
    Mutant(
        "added, not joined",
        lambda chunks, ring: [sum(held.values()) for held in gather_round(chunks, ring, ring.world_size - 1)],
        "You added the chunks up. An all-gather joins them: chunk 0, then chunk 1, and so on.",
        "torch.cat in place of a sum.",
    ),
    Mutant(
        "ranks backwards",
        lambda chunks, ring: [torch.cat(list(whole)[::-1]) for whole in [chunks] * len(all_gather(chunks, ring))],
        "All chunks are there, the last rank's first. The result begins with chunk 0.",
        "the order in torch.cat.",
    ),
    Mutant(
        "stored at the page's index",
        _stored_as_on_the_page,
        "In step 1 a rank sends a chunk that it does not have: what came in in step 0 lies at another index. The wires "
        "run to the left, so what arrives at rank r in step s is chunk r + 1 + s, and there it must be stored.",
        "the index of what arrives.",
    ),
    Mutant(
        "one step only",
        lambda chunks, ring: _filled(chunks, ring, min(1, ring.world_size - 1)),
        "Right on two ranks. On more, each rank has its own and its right neighbour's chunk, and zeros elsewhere. "
        "Either you take one step only, or in every step the same chunk goes out again. Each of the p − 1 steps must "
        "pass on what came in in the step before.",
        "the loop over steps, range(p - 1), and what rank r sends at step 1.",
    ),
    Mutant(
        "one step too few",
        lambda chunks, ring: _filled(chunks, ring, max(ring.world_size - 2, 0)),
        "The last chunk is missing on every rank, the left neighbour's, which has the longest way. Chunks need p − 1 "
        "steps to reach everybody.",
        "the loop over steps: range(p - 1).",
    ),
    Mutant(
        "nothing gathered",
        lambda chunks, ring: _filled(chunks, ring, 0),
        "Each rank has its own chunk in the right place and zeros elsewhere. Nothing has come in from the other ranks: "
        "the p − 1 steps are missing.",
        "what ring.send and ring.recv are for.",
    ),
    Mutant(
        "own chunk only",
        lambda chunks, ring: [chunk.clone() for chunk in chunks],
        "Rank r returns its own chunk. After an all-gather every rank has all of them.",
        "the return: all p chunks, joined.",
    ),
    Mutant(
        "padding kept",
        _padding_kept,
        "You filled the chunks up to one length, and the zeros are still in your result (and were on the wires). "
        "Chunks may have different lengths: rank r knows the length of a chunk when it arrives.",
        "keep the chunks as they come, in a list or dict by index, and torch.cat them at the end.",
    ),
    Mutant(
        "equal lengths",
        _equal_lengths,
        "You give each chunk as much room as the rank's own chunk takes. Chunks may have different lengths here, and "
        "one may be empty: rank r knows the length of a chunk when it arrives.",
        "keep the chunks in a list or dict by index, and torch.cat them at the end.",
    ),
)
