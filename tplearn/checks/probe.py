"""Did what came over the wire go into the result? Everything that arrives is changed, and the result must move too.

An answer may know more than its rank should: every rank has the same seed, and simulated ranks lie in one list. It can
then compute the right numbers alone and communicate for show. The reference tells which ranks' results must move.
Each number is changed by a factor of its own: zeros that were sent for show stay zeros.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.compare import first_difference
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import Observation, Observer, WithLedger
from tplearn.checks.reach import WithReach
from tplearn.ranks.ledger import Ledger


def shift(tensor: Tensor) -> Tensor:
    """What arrives instead of a tensor: where it holds fractions, each times 1.2 to 1.7, by its size.

    Gradients come back through it as if nothing had been changed.
    """
    if not tensor.is_floating_point():
        return tensor
    own = tensor.detach()
    return tensor + (own * (0.2 + 0.5 * own.abs().tanh()))


class ShiftedLedger(Ledger):
    """The ledger of simulated collectives whose results are shifted."""

    def deliver(self, tensors: list[Tensor]) -> list[Tensor]:
        """Each tensor, shifted."""
        return [shift(tensor) for tensor in tensors]


def shift_arrivals(tensors: list[Tensor]) -> None:
    """What the recorder of a real rank calls with the tensors that a collective has filled."""
    for tensor in tensors:
        own = tensor.detach()
        own.copy_(shift(own))


def shifted(observer: Observer) -> Observer | None:
    """The observer of a simulated exercise whose collectives shift what arrives; None where nothing is recorded."""
    if not dataclasses.is_dataclass(observer) or not hasattr(observer, "ledger"):
        return None
    with_shift = replace(observer, ledger=ShiftedLedger)
    return WithReach(with_shift) if isinstance(observer, WithLedger) else with_shift


def probed(exercise: Exercise, cases: list[Case]) -> list[int]:
    """The numbers of the cases that are run a second time, shifted: all in a process, and on ranks the largest tp's."""
    if not exercise.ranks:
        return list(range(len(cases))) if shifted(exercise.observe) else []
    most = max(case.tp for case in cases)
    return [k for k, case in enumerate(cases) if case.tp == most > 1]


def with_probes(cases: list[Case], again: list[int]) -> list[Case]:
    """The cases, and behind them those that are run again."""
    return [*cases, *(replace(cases[k], shift=True) for k in again)]


def telling(exercise: Exercise, again: list[int], want: list[Observation]) -> list[int]:
    """The numbers of the cases whose probe says something: with collectives; on ranks the one that sends most."""
    wire = {k: sum(row.wire_bytes for row in want[k].get("ledger", []) if len(row.group) > 1) for k in again}
    due = [k for k in again if wire[k]]
    return sorted(due, key=wire.__getitem__)[-1:] if exercise.ranks else due


def unmoved(right: tuple[Observation, Observation], got: tuple[Observation, Observation]) -> tuple | None:
    """Where the reference's result moves under the shift and the answer's does not: (aspect, index), or None.

    Each pair is what was seen without the shift and with it. A run that fails under the shift has moved. A collective
    also delivers a rank its own share, which an answer may take from where it is. Of pickled objects nothing is known:
    they travel as bytes, which cannot be shifted.
    """
    if any("error" in seen for seen in (*right, got[0])) or "error" in got[1]:
        return None
    if any(row.dtype == "uint8" for row in got[0].get("ledger", [])):
        return None
    own_share = 1 / min((len(row.group) for row in right[0].get("ledger", []) if len(row.group) > 1), default=1)
    for place, before, after in _places(*right):
        mine = [_at(seen, place) for seen in got]
        if None not in mine and not _moved(before, after, *mine, own_share):
            return place
    return None


def _places(before: Observation, after: Observation) -> Iterator[tuple[tuple, Any, Any]]:
    """Each aspect, by rank or list entry where it has them."""
    for aspect in before:
        if aspect in ("ledger", "reach") or aspect not in after:
            continue
        pair = before[aspect], after[aspect]
        if all(isinstance(value, list) for value in pair) and len(pair[0]) == len(pair[1]):
            yield from (((aspect, k), *both) for k, both in enumerate(zip(*pair, strict=True)))
        else:
            yield (aspect,), *pair


def _at(seen: Observation, place: tuple) -> Any:
    value = seen.get(place[0])
    return value if len(place) == 1 or value is None else value[place[1]]


def _moved(before: Any, after: Any, mine: Any, mine_after: Any, own_share: float) -> bool:
    """Has the answer's value moved where the reference's has? In tensors of one shape, all but its own share."""
    tensors = all(isinstance(value, Tensor) for value in (before, after, mine, mine_after))
    if tensors and before.shape == after.shape == mine.shape == mine_after.shape:
        moving = torch.isfinite(before) & torch.isfinite(after) & (before != after)
        return int((mine == mine_after)[moving].sum()) <= own_share * int(moving.sum())
    return first_difference(after, before) is None or first_difference(mine_after, mine) is not None
