"""The loops of a ring that runs to the left, with the knobs that chapter 04's mutants turn."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tplearn.checks.traffic import Traffic
from tplearn.simulated import Ring

SIZES = (1, 2, 3, 4, 5)  # tp
ON_A_RING = Traffic(bytes_only=True, ops=frozenset({"send", "recv"}))  # chunks may travel in any number of messages
Chunks = list[list[Tensor]]  # chunks[rank][index]


def pass_left(ring: Ring, outgoing: list[Tensor]) -> list[Tensor]:
    """outgoing[r]: what rank r sends → what rank r gets, from rank r + 1."""
    p = ring.world_size
    for rank in range(p):
        ring.send(rank, (rank - 1) % p, outgoing[rank])
    return [ring.recv((rank + 1) % p, rank) for rank in range(p)]


def chunked(tensors: list[Tensor], p: int) -> Chunks:
    """Each tensor, [n], as p chunks [n / p] with memory of their own."""
    return [list(tensor.clone().reshape(p, -1)) for tensor in tensors]


def add_round(
    chunks: Chunks, ring: Ring, steps: int, first: int = 1, turn: int = 1, shift: int = 0, add: bool = True
) -> Chunks:
    """Reduce-scatter's loop, and `chunks` after it: p − 1 steps, as they should be.

    At step s rank r sends chunk r + first + turn · s. What arrives is added to that chunk of its own (`shift` off), or
    takes its place.
    """
    p = ring.world_size
    for step in range(steps):
        sent = [(rank + first + turn * step) % p for rank in range(p)]
        for rank, arrived in enumerate(pass_left(ring, [chunks[rank][index] for rank, index in enumerate(sent)])):
            index = (sent[(rank + 1) % p] + shift) % p
            chunks[rank][index] = chunks[rank][index] + arrived if add else arrived
    return chunks


def reduce_scatter(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """p tensors [n] → rank r's chunk r of the sum."""
    chunks = add_round(chunked(tensors, ring.world_size), ring, ring.world_size - 1)
    return [chunks[rank][rank] for rank in range(ring.world_size)]


def gather_round(chunks: list[Tensor], ring: Ring, steps: int, only_own: bool = False) -> list[dict[int, Tensor]]:
    """All-gather's loop: what each rank holds after it, by chunk. only_own: nothing is passed on."""
    p = ring.world_size
    held = [{rank: chunk} for rank, chunk in enumerate(chunks)]
    for step in range(steps):
        sent = [rank if only_own else (rank + step) % p for rank in range(p)]
        for rank, arrived in enumerate(pass_left(ring, [held[rank][index] for rank, index in enumerate(sent)])):
            held[rank][(rank + 1 + step) % p] = arrived
    return held


def all_gather(chunks: list[Tensor], ring: Ring) -> list[Tensor]:
    """Chunk r from rank r, of any length → all chunks on every rank, in the order of the ranks."""
    p = ring.world_size
    return [torch.cat([held[index] for index in range(p)]) for held in gather_round(chunks, ring, p - 1)]


Flat = Callable[[list[Tensor], Ring], list[Tensor]]  # flat tensors whose length p divides → a flat tensor each


def in_shape(flat: Flat, padding: Callable[[int, int], int] = lambda n, p: -n % p) -> Flat:
    """`flat` for tensors of any shape: flattened, filled up with zeros, and back."""

    def anywhere(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
        shape, n = tensors[0].shape, tensors[0].numel()
        filled = [F.pad(tensor.flatten(), (0, padding(n, ring.world_size))) for tensor in tensors]
        return [total[:n].reshape(shape) for total in flat(filled, ring)]

    return anywhere


def all_reduce(flat: list[Tensor], ring: Ring) -> list[Tensor]:
    """p flat tensors whose length p divides → p equal ones, the sum."""
    return all_gather(reduce_scatter(flat, ring), ring)


def total_to_rank_0_and_back(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """The running total travels to rank 0, then round the ring: whole tensors on every wire."""
    p = ring.world_size
    total = tensors[p - 1]
    for rank in range(p - 1, 0, -1):
        ring.send(rank, rank - 1, total)
        total = ring.recv(rank, rank - 1) + tensors[rank - 1]
    totals = [total] * p
    for rank in range(p, 1, -1):
        ring.send(rank % p, rank - 1, totals[rank % p])
        totals[rank - 1] = ring.recv(rank % p, rank - 1)
    return totals


def whole_tensors_round(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Every whole tensor visits every rank: (p − 1) · n numbers on each wire."""
    totals, travelling = list(tensors), list(tensors)
    for _ in range(ring.world_size - 1):
        travelling = pass_left(ring, travelling)
        totals = [total + tensor for total, tensor in zip(totals, travelling, strict=True)]
    return totals
