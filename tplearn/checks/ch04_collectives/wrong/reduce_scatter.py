"""Wrong answers to 04.1: a reduce-scatter on a ring to the left."""

import torch
from torch import Tensor

from tplearn.checks.ch04_collectives.loops import (
    add_round,
    chunked,
    pass_left,
    reduce_scatter,
    total_to_rank_0_and_back,
    whole_tensors_round,
)
from tplearn.checks.exercise import Mutant
from tplearn.simulated import Ring
from tplearn.simulated import ring_reduce_scatter as to_the_right


def _after(tensors: list[Tensor], ring: Ring, steps: int | None = None, own: int = 0, **knobs: int) -> list[Tensor]:
    """What rank r returns, its chunk r + own, after `steps` (p − 1) steps of a loop with other knobs."""
    p = ring.world_size
    chunks = add_round(chunked(tensors, p), ring, p - 1 if steps is None else steps, **knobs)
    return [chunks[rank][(rank + own) % p] for rank in range(p)]


def _originals(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Each rank sends its own chunks, never the sums that it has made of them."""
    p = ring.world_size
    chunks, originals = chunked(tensors, p), chunked(tensors, p)
    for step in range(p - 1):
        arrived = pass_left(ring, [originals[rank][(rank + 1 + step) % p] for rank in range(p)])
        for rank in range(p):
            index = (rank + 2 + step) % p
            chunks[rank][index] = chunks[rank][index] + arrived[rank]
    return [chunks[rank][rank] for rank in range(p)]


def _in_one_loop(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    chunks = chunked(tensors, p)
    for step in range(p - 1):
        for rank in range(p):
            ring.send(rank, (rank - 1) % p, chunks[rank][(rank + 1 + step) % p])
            chunks[rank][(rank + 2 + step) % p] += ring.recv((rank + 1) % p, rank)
    return [chunks[rank][rank] for rank in range(p)]


def _recv_swapped(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    chunks = chunked(tensors, p)
    for step in range(p - 1):
        for rank in range(p):
            ring.send(rank, (rank - 1) % p, chunks[rank][(rank + 1 + step) % p])
        for rank in range(p):
            index = (rank + 2 + step) % p
            chunks[rank][index] = chunks[rank][index] + ring.recv(rank, (rank + 1) % p)
    return [chunks[rank][rank] for rank in range(p)]


def _in_place(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    for tensor, total in zip(tensors, whole := [torch.cat(mine) for mine in _buffers(tensors, ring)], strict=True):
        tensor.copy_(total)
    return [total.chunk(ring.world_size)[rank] for rank, total in enumerate(whole)]


def _buffers(tensors: list[Tensor], ring: Ring) -> list[list[Tensor]]:
    return add_round(chunked(tensors, ring.world_size), ring, ring.world_size - 1)


MUTANTS = (
    Mutant(
        "the page's direction",
        to_the_right,
        "You send to rank r + 1, as on the page. This ring runs the other way: rank r can send to rank r − 1 only, and "
        "gets what rank r + 1 sent. (With two ranks both are the same.)",
        "the wires, and then every index: it must follow the chunks' new way.",
    ),
    Mutant(
        "the page's indices, its own chunk first",
        lambda tensors, ring: _after(tensors, ring, first=0, turn=-1),
        "You send chunk r first, then r − 1, r − 2 and so on, while the wires run to the left. A chunk that moves left "
        "is met again at a higher index: rank r gets it from rank r + 1.",
        "the sign of s in the index: + s where the page has − s.",
    ),
    Mutant(
        "its own chunk, untouched",
        lambda tensors, ring: _after(tensors, ring, first=0),
        "Rank r returns its own chunk r as it was at the start: nothing was added to it. Either chunk r leaves home in "
        "the first step, and is finished on rank r + 1; or you add what arrives to another chunk than the one that it "
        "belongs to, such as the one that you have just sent; or the steps end before chunk r is home.",
        "the chunk that rank r sends first: r + 1, so that chunk r arrives last; and the index that you add to.",
    ),
    Mutant(
        "two ranks in the sum",
        _originals,
        "Only two ranks are in your sums: rank r's own chunk r and its right neighbour's. Either you send chunks as "
        "they were at the start, never the sum that you have just made; or your indices still run as on the page, "
        "where the wires run the other way, so that what has just been added to is not sent on.",
        "what rank r sends from step 1 on: the chunk that it has just added to, one index further each step.",
    ),
    Mutant(
        "the page's indices",
        lambda tensors, ring: _after(tensors, ring, first=-1, turn=-1, shift=-2),
        "The wires run to the left, and both your indices still run as on the page: you send chunk r − 1 − s and add "
        "to chunk r − 2 − s. What arrives comes from rank r + 1 here: another chunk than the one that you add it to.",
        "at step s rank r sends chunk r + 1 + s, and adds what arrives to chunk r + 2 + s (mod p).",
    ),
    Mutant(
        "recv's ranks swapped",
        _recv_swapped,
        "The ranks of your recv have changed places. ring.recv(src, dst) takes what src sent to dst: rank r receives "
        "with recv((r + 1) % p, r). (With two ranks the call runs, and each gets its own message back.)",
        "the arguments of recv: first who sent, then who receives.",
    ),
    Mutant(
        "chunk r starts at home, its neighbour's is returned",
        lambda tensors, ring: _after(tensors, ring, own=-1, first=0),
        "Your chunks are summed correctly, but each sits on the wrong rank: rank r ended with chunk r − 1. A rank that "
        "sends its own chunk r first sees it finished at its right neighbour. Here rank r ends with r.",
        "the chunk that rank r sends first: r + 1, so that chunk r arrives last.",
    ),
    Mutant(
        "one step too many",
        lambda tensors, ring: _after(tensors, ring, steps=ring.world_size),
        "You take p steps. A chunk visits p ranks, and between p ranks there are p − 1 wires to cross: the last step "
        "only costs bytes.",
        "range(p - 1), not range(p).",
    ),
    Mutant(
        "one step too few",
        lambda tensors, ring: _after(tensors, ring, steps=max(ring.world_size - 2, 0)),
        "You take one step too few. Chunk r comes home in the last of the p − 1 steps, so rank r returns its own chunk "
        "as it was at the start, and the sum of the others' has stopped at rank r + 1.",
        "the loop over steps: range(p - 1).",
    ),
    Mutant(
        "nothing sent",
        lambda tensors, ring: _after(tensors, ring, steps=0),
        "Rank r returns chunk r of its own tensor: nobody else's partial is in it, and no message brought one. What "
        "the other ranks hold has to come over the wires, in p − 1 steps.",
        "the loop over steps: range(p - 1).",
    ),
    Mutant(
        "replaced, not added",
        lambda tensors, ring: _after(tensors, ring, add=False),
        "Each rank stored what arrived in place of its own chunk. So rank r ended with one other rank's chunk, not "
        "with a sum. What arrives is a running sum, and your own chunk must join it.",
        "the line after recv: own chunk + what arrived.",
    ),
    Mutant(
        "mean for sum",
        lambda tensors, ring: [chunk / ring.world_size for chunk in reduce_scatter(tensors, ring)],
        "Your result is the right one divided by tp: a mean. The ranks hold partials of one tensor, not repeated "
        "measurements of it, so they are added. At tp = 1 the two are the same.",
        "a division by p that does not belong there.",
    ),
    Mutant(
        "whole buffers returned",
        lambda tensors, ring: [torch.cat(mine) for mine in _buffers(tensors, ring)],
        "You return all p chunks of each rank. Only chunk r is finished on rank r; the others are sums that were still "
        "on their way. A reduce-scatter gives rank r its one chunk, n / p numbers.",
        "the return: chunk r alone.",
    ),
    Mutant(
        "send and receive in one loop",
        _in_one_loop,
        "Rank 0 receives before rank 1 has sent. On a list of ranks somebody is first: in each step let all ranks "
        "send, then let all receive.",
        "two loops over ranks inside a step, one after the other.",
    ),
    Mutant(
        "tensors changed in place",
        _in_place,
        "The sums are right, but you wrote them into the caller's tensors: chunks made by chunk() or reshape() are "
        "views, and += writes through them.",
        "chunks[r][i] = chunks[r][i] + arrived, or a clone at the start.",
    ),
    Mutant(
        "all to rank 0 and back",
        lambda tensors, ring: [
            total.chunk(ring.world_size)[rank] for rank, total in enumerate(total_to_rank_0_and_back(tensors, ring))
        ],
        "Your numbers are right, and too many bytes paid for them. A running total of whole tensors went from rank to "
        "rank and came back, so some rank put up to two whole tensors on its wire, while the others waited. The budget "
        "is (p − 1)/p of one tensor.",
        "the length of what you send: one chunk, never the whole tensor.",
    ),
    Mutant(
        "whole tensors round the ring",
        lambda tensors, ring: [
            total.chunk(ring.world_size)[rank] for rank, total in enumerate(whole_tensors_round(tensors, ring))
        ],
        "Your numbers are right, but every message is a whole tensor: (p − 1) · n bytes from each rank, p times the "
        "budget. The neighbour needs one chunk: the sum that you have just added to.",
        "the length of what you send: one chunk, the running sum of it.",
    ),
)
