"""How a ring exercise is seen: its result, and the bytes that each rank sent over the budget."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from tplearn.checks.observe import forward
from tplearn.simulated import Ring

SIZES = (1, 2, 3, 4)  # tp


def random_vector(generator: Generator, length: int) -> Tensor:
    """float64 [length]."""
    return torch.randn(length, dtype=torch.float64, generator=generator)


def on_a_ring(phases: int, shards_in: bool) -> Callable[..., dict[str, Any]]:
    """An observer that calls fn(tensors, Ring(p)) and adds "ledger": each rank's bytes over the budget, 0 where within.

    The budget is `phases` · (p − 1) chunks. A chunk is a rank's whole tensor where `shards_in`, else 1/p of it (rounded
    up).
    """

    def observe(fn: Callable[..., Any], tensors: list[Tensor]) -> dict[str, Any]:
        p, ring = len(tensors), Ring(len(tensors))
        seen = forward(_with(fn, ring), tensors)
        chunk = tensors[0].numel() if shards_in else -(-tensors[0].numel() // p)
        budget = phases * (p - 1) * chunk * tensors[0].element_size()
        over = [max(0, ring.ledger.bytes("send", rank=rank) - budget) for rank in range(p)]
        return seen | {"ledger": {"bytes over the budget, by rank": over}}

    return observe


def _with(fn: Callable[..., Any], ring: Ring) -> Callable[..., Any]:
    """The ring is no input to be left unchanged, so it is bound before `forward` looks at the inputs."""
    return lambda tensors: fn(tensors, ring)


def chunked(tensors: list[Tensor], p: int) -> list[list[Tensor]]:
    """chunks[rank][index]: [n / p], for flat tensors."""
    return [list(tensor.clone().reshape(p, -1)) for tensor in tensors]


def shift_and_add(chunks: list[list[Tensor]], ring: Ring, steps: int, first: int = -1, add: bool = True) -> None:
    """Reduce-scatter's loop with its knobs: how many steps, which chunk goes first (r + first), add or replace."""
    p = ring.world_size
    for step in range(steps):
        for rank in range(p):
            ring.send(rank, (rank + 1) % p, chunks[rank][(rank + first - step) % p])
        for rank in range(p):
            index, arrived = (rank - 1 + first - step) % p, ring.recv((rank - 1) % p, rank)
            chunks[rank][index] = chunks[rank][index] + arrived if add else arrived


def total_to_rank_0_and_back(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """The running total travels round the ring to rank 0, then round again: whole tensors on every wire."""
    p = ring.world_size
    total = tensors[1 % p].clone()
    for rank in range(1, p):
        ring.send(rank, (rank + 1) % p, total)
        total = ring.recv(rank, (rank + 1) % p) + tensors[(rank + 1) % p]
    totals = [total]
    for rank in range(p - 1):
        ring.send(rank, rank + 1, totals[-1])
        totals.append(ring.recv(rank, rank + 1))
    return totals
