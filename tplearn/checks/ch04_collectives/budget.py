"""How a ring exercise is seen: its result, and every message on the ring; with the ring's loops that mutants vary."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tplearn.checks.observe import forward
from tplearn.checks.traffic import Traffic
from tplearn.ranks.ledger import Ledger
from tplearn.simulated import Ring

SIZES = (1, 2, 3, 4)  # tp
ON_A_RING = Traffic(bytes_only=True, ops=frozenset({"send", "recv"}))  # chunks may travel in any number of messages


@dataclass(frozen=True)
class OnARing:
    """An observer that calls fn(tensors, Ring(p)) and adds the ring's rows as the aspect "ledger"."""

    ledger: Callable[[], Ledger] = Ledger

    def __call__(self, fn: Callable[..., Any], tensors: list[Tensor]) -> dict[str, Any]:
        """The ring is no input that must stay unchanged, so it is bound before `forward` looks at the inputs."""
        ring = Ring(len(tensors), self.ledger())
        return forward(lambda tensors: fn(tensors, ring), tensors) | {"ledger": list(ring.ledger.rows)}


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
