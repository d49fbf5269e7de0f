"""Whose memory a result was made from: simulated ranks lie in one list, where nothing stops rank 0 from reading rank 1.

Collectives are cut out of the autograd graph. What rank r's result then still depends on, it took from the list itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.observe import Observation, WithLedger, with_gradients
from tplearn.ranks.ledger import Ledger


class CutLedger(Ledger):
    """The ledger of simulated collectives from whose results no gradient comes back."""

    def deliver(self, tensors: list[Tensor]) -> list[Tensor]:
        """The same numbers, cut off from what they were made of."""
        return [tensor.detach() for tensor in tensors]


@dataclass(frozen=True)
class WithReach:
    """An observer that adds "reach": [argument, owner, reader] for every rank that read another rank's list entry."""

    observer: WithLedger

    def __call__(self, fn: Callable[..., Any], *args: Any) -> Observation:
        """Observe fn(*args, ledger=...), and call it once more to follow every rank's result back to the arguments."""
        owned: list[tuple[int, int, Tensor]] = []  # (argument, rank, leaf)
        live = [_live(argument, value, owned) for argument, value in enumerate(args)]
        results = fn(*live, ledger=CutLedger())
        found = set()
        for reader, result in enumerate(results):
            for argument, owner in _sources(result, owned):
                if owner != reader and len(args[argument]) == len(results):
                    found.add((argument, owner, reader))
        return self.observer(fn, *args) | {"reach": [list(place) for place in sorted(found)]}


def _live(argument: int, value: Any, owned: list[tuple[int, int, Tensor]]) -> Any:
    """A list by rank with tensors that require gradients; everything else as it is."""
    if not isinstance(value, list):
        return value
    live = []
    for rank, item in enumerate(value):
        leaves: list[Tensor] = []
        live.append(with_gradients(item, leaves))
        owned += [(argument, rank, leaf) for leaf in leaves]
    return live


def _sources(result: Any, owned: list[tuple[int, int, Tensor]]) -> Iterator[tuple[int, int]]:
    """(argument, rank) of every tensor that a result depends on. A gradient of zeros is no dependence."""
    if not isinstance(result, Tensor) or not result.requires_grad:
        return
    upstream = torch.randn(result.shape, dtype=result.dtype)
    leaves = [leaf for *_, leaf in owned]
    gradients = torch.autograd.grad(result, leaves, upstream, retain_graph=True, allow_unused=True)
    for (argument, rank, _), gradient in zip(owned, gradients, strict=True):
        if gradient is not None and gradient.any():
            yield argument, rank


def reached_too_far(mine: Observation, due: Observation) -> tuple[int, int, int] | None:
    """The first (argument, owner, reader) that the reference does without; None where there is none."""
    return next((tuple(place) for place in mine.get("reach", []) if place not in due.get("reach", [])), None)
