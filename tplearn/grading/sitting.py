"""One sitting of the court: processes that have been started, and hear one case after the other.

What they say is a claim, and comes in frames that may hold anything; what is no message ends the process for the judge.
"""

import time
from dataclasses import dataclass
from typing import Any

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Case
from tplearn.checks.observe import Observation, Observer
from tplearn.checks.run import failure_of, joined, of_rank
from tplearn.grading.holdings import Holdings
from tplearn.grading.hub import Hub, Shift
from tplearn.grading.rows import read_rows
from tplearn.grading.spoken import heard, placeless, said
from tplearn.grading.wires import Gone, Wires
from tplearn.jailed.forms import Named, WireError
from tplearn.ranks.decide import SETTLE_SECONDS, Decider
from tplearn.ranks.errors import RankError

START_SECONDS = 30.0
LOOK_SECONDS = 0.5  # between two looks at the clock


@dataclass(frozen=True)
class Setup:
    """What processes are given before the first case.

    cells: (label, source) of the answer's code cells, such as ("cell [5]", "import torch"); labels look like that, as
    a failure is compared without the places that begin with them. name: of the function that they define. Ranks that
    were started with an answer of their own need no cells. drive: the exercise's observer; shifted: the one for its
    shifted cases, where there are no ranks. prepare: "module:function", called before the cells; "" for nothing.
    held: the place of an argument, a dict of tensors, that stays here; processes ask for slices of it.
    """

    drive: Observer
    cells: tuple[tuple[str, str], ...] = ()
    name: str = ""
    shifted: Observer | None = None
    prepare: str = ""
    held: int | None = None


class Sitting:
    """Processes that hear one case after the other as long as it `goes_on`. size: ranks, or 0 for one process alone.

    timeout: seconds for a case on ranks, or for all cases of a process alone.
    """

    def __init__(self, wires: Wires, size: int, timeout: float) -> None:
        self.wires, self.size, self.timeout = wires, size, timeout
        self.goes_on = True
        self._deadline: float | None = None  # of a process alone
        self._holdings: dict[int, Holdings] = {}  # by rank, in this case

    def begin(self, setup: Setup) -> Failure | None:
        """Give all ranks the answer; what went wrong with its cells."""
        hub, ready = Hub(max(1, self.size), recorded=self.size > 0), set[int]()
        cells = [list(cell) for cell in setup.cells]
        prepare = Named(setup.prepare) if setup.prepare else None
        for rank in range(hub.size):
            start = {"rank": rank, "cells": cells, "name": setup.name, "prepare": prepare}
            self._tell(hub, rank, ["start", start])
        deadline = time.monotonic() + START_SECONDS + self.timeout
        while set(hub.judge.live()) - ready:
            for rank, message in self.wires.hear(min(LOOK_SECONDS, deadline - time.monotonic())):
                if message == ["ready"]:
                    ready.add(rank)
                else:
                    self._unready(hub, rank, message)
            if time.monotonic() > deadline:
                return self._fault(hub, Decider(hub.judge, self.timeout).time_limit({}))
        return self._fault(hub, Decider(hub.judge, self.timeout).fault()) if hub.judge.failures() else None

    def hear(self, case: Case, setup: Setup, seed: int, shift: Shift | None = None) -> Observation:
        """One case, on the first `case.tp` ranks."""
        hub = Hub(case.tp if self.size else 1, shift, recorded=self.size > 0)
        decider = Decider(hub.judge, self.timeout)
        drive = said(setup.shifted if case.shift and not self.size else setup.drive)
        for rank in range(hub.size):
            own = of_rank(case, rank) if self.size else case
            args = said(list(own.args))
            if setup.held is not None:
                self._holdings[rank] = Holdings(own.args[setup.held])
                args[setup.held] = self._holdings[rank].said()
            given = {"size": case.tp if self.size else 0, "seed": seed, "quiet": case.shift, "drive": drive}
            self._tell(hub, rank, ["case", given | {"args": args, "kwargs": said(own.kwargs)}])
        standing = self._listen(hub)
        if standing == "time limit":
            return {"error": self._fault(hub, decider.time_limit({}))}
        if standing == "fault":
            return {"error": self._fault(hub, decider.fault())}
        error = decider.end()
        if error:
            self.goes_on = False  # a rank may still hold what it never waited for
            return {"error": self._fault(hub, error)}
        by_rank = [self._seen(hub, rank) for rank in range(hub.size)]
        return joined(by_rank) if self.size else by_rank[0]

    def _listen(self, hub: Hub) -> str:
        """Take messages until all is said: "over", "fault" or "time limit"."""
        deadline, settled_by = time.monotonic() + self.timeout, None
        if not self.size:
            deadline = self._deadline = self._deadline or deadline
        while (standing := hub.standing()) in ("go on", "settling"):
            now = time.monotonic()
            if standing == "settling":
                settled_by = settled_by or now + SETTLE_SECONDS
            if now > min(deadline, settled_by or deadline):
                self.goes_on = False
                return "fault" if settled_by else "time limit"
            until = min(deadline, settled_by or deadline, now + LOOK_SECONDS)
            for rank, message in self.wires.hear(until - now):
                self._take(hub, rank, message)
        return standing

    def _unready(self, hub: Hub, rank: int, message: Any) -> None:
        """What a rank says that has no function to run: how its cells ended."""
        match message:
            case ["unready", *parts]:
                message = ["raised", *parts]
            case ["exiting", *_]:
                pass
            case [*_]:
                message = WireError("a message before its turn")
        self._take(hub, rank, message)

    def _take(self, hub: Hub, rank: int, message: Any) -> None:
        """One message of a rank."""
        if isinstance(message, Gone) or rank >= hub.size:
            self.goes_on = False
            if rank < hub.size:
                hub.judge.died(rank, message.how)
            return
        try:
            if isinstance(message, WireError):
                raise message
            if rank in self._holdings and isinstance(message, list) and message[:1] == ["slice"]:
                answers = [(rank, ["part", self._holdings[rank].part(message)])]
            else:
                answers = hub.hear(rank, message if self.size else read_rows(message))
        except WireError as error:
            self.goes_on = False
            hub.judge.died(rank, f"broke the protocol: {error}")
            return
        for to, answer in answers:
            self._tell(hub, to, answer)

    def _tell(self, hub: Hub, rank: int, message: list[Any]) -> None:
        try:
            self.wires.tell(rank, message)
        except WireError as error:
            self.goes_on = False
            hub.judge.died(rank, f"cannot be told: {error}")

    def _fault(self, hub: Hub, error: RankError) -> Failure:
        """The error, with what is known beside. Where every rank has come to its end, all can hear the next case."""
        judge = hub.judge
        error.tracebacks = judge.tracebacks()
        ended = [state.end.kind for state in judge.ranks if state.end is not None]
        self.goes_on = self.goes_on and len(ended) == hub.size and "died" not in ended
        failure = placeless(failure_of(error))
        end = judge.ranks[0].end
        if self.size or end is None or end.kind != "raise":
            return failure
        return Failure(failure.kind, failure.text, f"{end.source}: {end.code}" if end.source else "")

    def _seen(self, hub: Hub, rank: int) -> Observation:
        """What a rank was seen to do, with the hub's ledger; or what a process alone says, its ledger included."""
        told, unwaited = hub.values[rank]
        seen = {aspect: heard(value) for aspect, value in told.items()}
        if rank in self._holdings:
            seen |= self._holdings[rank].complaint(seen)
        if not self.size:
            return seen
        return seen | ({"handles": unwaited} if unwaited else {}) | {"ledger": hub.rows[rank]}
