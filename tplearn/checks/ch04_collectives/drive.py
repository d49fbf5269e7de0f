"""How chapter 04's exercises are seen: every message on a ring, and whether a rank's result comes from its own memory.

This file and what it imports know no reference and no mutant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.compare import first_difference
from tplearn.checks.observe import forward, plain
from tplearn.ranks.ledger import Ledger
from tplearn.simulated import Partial, Ring


def for_reduce_scatter(tensors: list[Tensor]) -> int:
    """How many numbers must cross a wire, all wires together: tensors of one length, cut into p chunks."""
    return (len(tensors) - 1) * len(tensors[0])


def for_all_gather(chunks: list[Tensor]) -> int:
    """The same for chunks of any length: each must reach all other ranks."""
    return (len(chunks) - 1) * sum(map(len, chunks))


def for_all_reduce(tensors: list[Tensor]) -> int:
    """The same for tensors of one shape."""
    return 2 * (len(tensors) - 1) * tensors[0].numel()


@dataclass(frozen=True)
class OnARing:
    """An observer that calls fn(tensors, ring) and adds the ring's rows as the aspect "ledger".

    The exercises' wires run to the left, from rank r to rank r − 1: the page's run to the right.

    least(tensors): how many numbers must cross a wire, all wires together. Simulated ranks lie in one list, where an
    answer can read what was never sent: then "wires" says so.
    """

    least: Callable[[list[Tensor]], int]
    ledger: Callable[[], Ledger] = Ledger

    def __call__(self, fn: Callable[..., Any], tensors: list[Tensor]) -> dict[str, Any]:
        """The ring is no input that must stay unchanged, so it is bound before `forward` looks at the inputs."""
        ring = Ring(len(tensors), self.ledger(), step=-1)
        seen = forward(lambda tensors: fn(tensors, ring), tensors)
        carried, due = ring.ledger.bytes("send"), self.least(tensors) * tensors[0].element_size()
        if carried < due:
            seen["wires"] = (
                f"the wires carried {carried} bytes in all. No ring gets by with less than {due}: some numbers "
                "were read from another rank's list entry. A rank knows what it brought, and what it received."
            )
        return seen | {"ledger": list(ring.ledger.rows)}

    @staticmethod
    def arguments(tensors: list[Tensor]) -> dict[str, Any]:
        """What the answer is called with, for an explanation."""
        return {"tensors": tensors}


@dataclass(frozen=True)
class BetweenStates:
    """An observer that calls fn(shards, source, target, ledger): result, ledger, and whose memory was read.

    Partials are compared by their sum, since any partials with that sum are right.
    """

    ledger: Callable[[], Ledger] = Ledger

    def __call__(self, fn: Callable[..., Any], shards: list[Tensor], *states: Any) -> dict[str, Any]:
        """{"forward", "ledger"}; "memory", where nothing was sent and a rank's result comes from another's tensor."""
        ledger = self.ledger()
        seen = forward(lambda shards: fn(shards, *states, ledger), shards)
        readers = [] if ledger.rows else _readers(lambda shards: fn(shards, *states, Ledger()), shards)
        if readers:
            seen["memory"] = (
                f"no message is in the ledger, and yet the result of rank {readers[0]} comes from another rank's "
                "tensor. On real ranks nobody can read another's memory."
            )
        if isinstance(states[1], Partial) and _alike(seen["forward"], len(shards)):
            seen["forward"] = {"sum of the partials": torch.stack(seen["forward"]).sum(0)}
        return seen | {"ledger": list(ledger.rows)}

    @staticmethod
    def arguments(shards: list[Tensor], source: Any, target: Any) -> dict[str, Any]:
        """What the answer is called with, for an explanation."""
        return {"shards": shards, "source": source, "target": target}


def _alike(value: Any, p: int) -> bool:
    """Whether this is a list of p tensors of one shape."""
    return (
        isinstance(value, list)
        and len(value) == p
        and all(isinstance(tensor, Tensor) and tensor.shape == value[0].shape for tensor in value)
    )


def _readers(fn: Callable[[list[Tensor]], Any], shards: list[Tensor]) -> list[int]:
    """The ranks whose result is another one when all other ranks hold NaN."""
    usual = plain(fn([shard.clone() for shard in shards]))
    if not isinstance(usual, list) or len(usual) != len(shards):
        return []
    readers = []
    for rank, result in enumerate(usual):
        alone = [shard.clone() if k == rank else torch.full_like(shard, torch.nan) for k, shard in enumerate(shards)]
        try:
            same = first_difference(plain(fn(alone))[rank], result) is None
        except Exception:  # it looked at the others, and what it saw did not suit it
            same = False
        readers += [] if same else [rank]
    return readers
