"""Runs an answer on the cases of an exercise, on processes that are given as pairs of pipes: the judge's side of it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Case
from tplearn.checks.observe import Observation
from tplearn.checks.run import NOT_RUN
from tplearn.grading.hub import Shift
from tplearn.grading.sitting import Setup, Sitting
from tplearn.grading.wires import Channel, Wires
from tplearn.ranks.errors import RankTimeout


class CellsFailed(Exception):
    """An answer's cells failed before there was a function to call."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


Bench = Callable[[int], AbstractContextManager[Sequence[Channel]]]  # that many fresh ranks, which end with it


def observe_on_hub(
    cases: Sequence[Case], setup: Setup, bench: Bench, timeout: float, seed: int = 0, shift: Shift | None = None
) -> list[Observation]:
    """What an answer does on each case, as `tplearn.checks.run.observe` says it of the same answer on gloo.

    timeout: seconds for one case, by the clock. seed: of torch's generator, on every rank. shift: makes of each
    tensor the one that arrives, in the cases that have `Case.shift`.

    A case that ends in a deadlock or the like ends its ranks, and the next one gets fresh ranks. After a time limit no
    more are tried, and a stub counts for all.

    Raises CellsFailed.
    """
    seen: list[Observation] = [{"error": NOT_RUN}] * len(cases)
    left = sorted(range(len(cases)), key=lambda number: cases[number].tp)  # ranks keep a world that fits
    while left:
        with bench(cases[left[-1]].tp) as channels, Wires(channels) as wires:
            sitting = Sitting(wires, len(channels), timeout)
            if fault := sitting.begin(setup):
                raise CellsFailed(fault)
            while left and sitting.goes_on:
                number = left.pop(0)
                case = cases[number]
                seen[number] = sitting.hear(case, setup, seed, shift if case.shift else None)
                if _is_stub(seen[number]):
                    return [seen[number]] * len(cases)
                if _timed_out(seen[number]):
                    return seen
    return seen


def observe_alone(
    cases: Sequence[Case], setup: Setup, bench: Bench, timeout: float, seed: int = 0
) -> list[Observation]:
    """What an answer without ranks does on each case, as `tplearn.checks.run.observe` says it: in one process for all.

    timeout: seconds for all cases, by the clock. The shifted cases come last. Where the process ends before it has come
    to them, the answer has failed everywhere; where it ends among them, they have failed.

    Raises CellsFailed.
    """
    seen: list[Observation] = []
    with bench(1) as channels, Wires(channels) as wires:
        sitting = Sitting(wires, 0, timeout)
        if fault := sitting.begin(setup):
            raise CellsFailed(fault)
        for case in cases:
            seen.append(sitting.hear(case, setup, seed))
            if not sitting.goes_on:
                first = len(seen) - 1 if case.shift else 0
                return seen[:first] + seen[-1:] * (len(cases) - first)
            if _is_stub(seen[-1]):
                return seen[-1:] * len(cases)
    return seen


def _is_stub(seen: Observation) -> bool:
    return "error" in seen and seen["error"].is_stub


def _timed_out(seen: Observation) -> bool:
    return "error" in seen and seen["error"].kind == RankTimeout.__name__
