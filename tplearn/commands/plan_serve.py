"""`tplearn plan --for serve`: how many replicas, of which TP and PP, best first, and why others do not fit.

A replica takes the fewest stages that leave room for the KV cache: weights in 0.6 of the memory, as in
`recommend_parallelism`. Where there are too few accelerators for that, it takes the fewest that hold it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tplearn.commands.plan_question import ServeQuestion
from tplearn.commands.plan_replicas import FRACTION, Serving, room_of, serving
from tplearn.planning import tp_sizes
from tplearn.sizes import divisors

FILL = 0.6  # of the memory for weights, where that can be had: recommend_parallelism's


@dataclass(frozen=True)
class Short:
    """A TP that does not fit, with as many stages as there are accelerators and layers for."""

    tp: int
    pp: int
    need: float
    """bytes on the fullest accelerator: weights, and the KV cache of the sequences that are its share"""


@dataclass(frozen=True)
class ServePlan:
    """The best first; TP sizes that do not cut the model; what does not fit; the one that misses by least."""

    question: ServeQuestion
    ranked: tuple[Serving, ...]
    uncut: tuple[int, ...]
    short: tuple[Short, ...]

    @property
    def nearest(self) -> Short | None:
        """What misses by least."""
        return min(self.short, key=lambda short: short.need, default=None)


def plan_serving(question: ServeQuestion) -> ServePlan:
    """The best layout of each TP. Raises ValueError where none fits: it says the fewest accelerators that would do."""
    ranked: list[Serving] = []
    short: list[Short] = []
    for tp in _tps(question, question.gpus):
        pp = stages(question, tp)
        if pp is None:
            short.append(_short(question, tp))
            continue
        found = [serving(question, tp, pp, replicas) for replicas in _replicas(question, tp, pp)]
        ranked.append(min(found, key=lambda one: _price(question, one)))
    ranked.sort(key=lambda one: _price(question, one))
    uncut = tuple(tp for tp in divisors(question.gpus) if tp not in tp_sizes(question.shape))
    plan = ServePlan(question, tuple(ranked), uncut, tuple(short))
    if not ranked:
        raise ValueError(_why_none(question, plan.nearest))
    return plan


def stages(question: ServeQuestion, tp: int) -> int | None:
    """The stages of a replica (see above) with which all replicas hold the sequences, or one; None where none do."""
    most, fewest = min(question.shape.num_hidden_layers, question.gpus // tp), None
    for pp in range(1, most + 1) if question.pp is None else [question.pp] if question.pp <= most else []:
        room = room_of(question, tp, pp)
        if room.sequences * (question.gpus // (tp * pp)) < (question.sequences or 1):
            continue
        if room.weight_bytes <= FILL * question.accelerator.memory:
            return pp
        fewest = fewest or pp
    return fewest


def smallest(question: ServeQuestion) -> tuple[int, int, int] | None:
    """(accelerators, TP, PP) of the smallest cluster that holds the sequences, or one; None where none does."""
    wanted, found = question.sequences or 1, []
    for tp in _tps(question, None):
        for pp in range(1, question.shape.num_hidden_layers + 1) if question.pp is None else [question.pp]:
            if held := room_of(question, tp, pp).sequences:
                found.append((tp * pp * math.ceil(wanted / held), -tp, pp))
    if not found:
        return None
    gpus, tp, pp = min(found)
    return gpus, -tp, pp


def _tps(question: ServeQuestion, gpus: int | None) -> list[int]:
    sizes = tp_sizes(question.shape) if question.tp is None else [question.tp]
    return [tp for tp in sizes if gpus is None or tp * (question.pp or 1) <= gpus]


def _replicas(question: ServeQuestion, tp: int, pp: int) -> Iterator[int]:
    """All that there is room for, up to one a sequence; by cost also fewer, by halves."""
    most = question.gpus // (tp * pp)
    if question.sequences is not None:
        most = min(most, question.sequences)
    yield most
    if question.rank_by == "cost" and question.sequences is not None:
        least = math.ceil(question.sequences / room_of(question, tp, pp).sequences)
        while (most := most // 2) >= least:
            yield most
        yield least


def _price(question: ServeQuestion, one: Serving) -> float:
    return one.gpu_seconds_per_token if question.rank_by == "cost" else 1 / one.tokens_per_second


def _short(question: ServeQuestion, tp: int) -> Short:
    most = min(question.shape.num_hidden_layers, question.gpus // tp)
    pp = question.pp or most
    room = room_of(question, tp, pp)
    replicas = max(1, question.gpus // (tp * pp))
    share = 1 if question.sequences is None else math.ceil(question.sequences / replicas)
    return Short(tp, pp, room.weight_bytes + share * room.sequence_bytes)


def _why_none(question: ServeQuestion, nearest: Short) -> str:
    """The refusal, in one sentence."""
    name, gpus, limit = question.accelerator.name, question.gpus, FRACTION * question.accelerator.memory / 1e9
    load = f"{question.sequences or 1} sequence{'s' if (question.sequences or 1) > 1 else ''}"
    enough = smallest(question)
    works = "a shorter --seq may work"
    if enough:
        number, tp, pp = enough
        works = f"{number} {name} work (TP {tp}, PP {pp}, replicas: {number // (tp * pp)})"
    return (
        f"--gpus {gpus}: {question.name} with {load} of {question.sequence} tokens does not fit on {gpus} {name}; "
        f"nearest is TP {nearest.tp}, PP {nearest.pp}, which needs {nearest.need / 1e9:.1f} GB of {limit:.0f} "
        f"({FRACTION} of the memory); {works}"
    )
