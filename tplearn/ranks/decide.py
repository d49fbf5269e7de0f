"""When a run is over, and how: the same for ranks that were started here and for those of torchrun."""

import time

from tplearn.ranks import report
from tplearn.ranks.diagnose import Judge
from tplearn.ranks.errors import CollectiveMismatch, Deadlock, RankDied, RankError, RankFailed, RankTimeout

QUIET_SECONDS = 0.4  # no event for so long, and every live rank waiting in vain: a deadlock
SETTLE_SECONDS = 0.25  # after a fault, the time others have to say where they are, so that the report is whole


class Decider:
    """Asks the judge after every look at the ranks, and keeps the clock. settle: seconds, as SETTLE_SECONDS."""

    def __init__(self, judge: Judge, timeout: float, settle: float = SETTLE_SECONDS) -> None:
        self.judge, self.timeout, self.settle = judge, timeout, settle
        self.deadline = self.last_event = 0.0
        self.fault_at: float | None = None

    def start(self) -> None:
        """The limit's clock begins."""
        self.last_event = time.monotonic()
        self.deadline = self.last_event + self.timeout

    def decide(self, progress: bool) -> str:
        """ "go on", "fault", "over" or "time limit". progress: an event has come since the last look."""
        now = time.monotonic()
        if progress:
            self.last_event = now
        settled = self.judge.settled()
        if self.judge.mismatch or self.judge.failures():
            self.fault_at = self.fault_at or now
            return "fault" if settled or now - self.fault_at > self.settle else "go on"
        if not self.judge.live():
            return "over"
        if settled and now - self.last_event > QUIET_SECONDS:
            return "fault"
        return "time limit" if now > self.deadline else "go on"

    def fault(self) -> RankError:
        """What the run failed of."""
        if self.judge.mismatch:
            return CollectiveMismatch(report.mismatch(self.judge))
        failures = self.judge.failures()
        if failures and all(self.judge.ranks[rank].lost_a_peer for rank in failures):
            return Deadlock(report.left_alone(self.judge))
        if failures:
            died = self.judge.ranks[failures[0]].end.kind == "died"
            return (RankDied if died else RankFailed)(report.failure(self.judge))
        return Deadlock(report.deadlock(self.judge))

    def end(self) -> RankError | None:
        """Every rank has returned: an error where somebody waited for a collective that not everybody came to."""
        return CollectiveMismatch(report.unmatched(self.judge)) if self.judge.unmatched() else None

    def time_limit(self, stacks: dict[int, tuple[str, str]]) -> RankError:
        """The wall-clock limit was reached. stacks: (source, code) of the reader's line on which each live rank is."""
        return RankTimeout(report.timeout(self.judge, self.timeout, stacks))
