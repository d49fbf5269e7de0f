"""The parent's side of a run: starts the ranks, listens, judges, and leaves nothing behind."""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import connection
from pathlib import Path

from tplearn.ranks import report, values
from tplearn.ranks.diagnose import End, Judge
from tplearn.ranks.errors import CollectiveMismatch, Deadlock, RankDied, RankError, RankFailed, RankTimeout
from tplearn.ranks.output import Outputs
from tplearn.ranks.processes import RankProcess, interrupt_waits, start_ranks
from tplearn.ranks.run import Run
from tplearn.ranks.source import cell_sources, reader_line_of_stack
from tplearn.ranks.worker import Job

QUIET_SECONDS = 0.4  # no event for so long, and every live rank waiting in vain: a deadlock
SETTLE_SECONDS = 0.25  # after a fault, the time others have to say where they are, so that the report is whole


class Supervisor:
    """One run of `world_size` ranks."""

    def __init__(self, world_size: int, folder: Path, timeout: float, record: bool) -> None:
        self.world_size = world_size
        self.folder = folder
        self.timeout = timeout
        self.judge = Judge(world_size, record)
        self.outputs = Outputs(world_size)
        self.ranks: list[RankProcess] = []
        self.values: list[object] = [None] * world_size
        self.spans: list[list] = [[] for _ in range(world_size)]

    def run(self, fn: Callable, args: tuple, kwargs: dict, profile: bool) -> Run:
        """Start, wait, judge. Raises RankError; re-raises KeyboardInterrupt after a report."""
        threads = max(1, _cores() // self.world_size)
        values.dump((fn, args, kwargs), self.folder / "call")
        job = Job(dict(os.environ), cell_sources(), threads, self.judge.recorded, profile)
        (self.folder / "job").write_bytes(pickle.dumps(job))
        error: RankError | None = None
        try:
            start_ranks(self.world_size, str(self.folder), self.ranks)
            error = self._listen()
            for rank in self.ranks:
                rank.kill() if error else rank.release()
        except KeyboardInterrupt:
            print(report.interrupted(self.judge, self._stacks()), file=sys.stderr)
            raise
        finally:
            # What C++ prints when it aborts over a mismatch is the consequence of what the report says.
            with interrupt_waits():
                output = self._close(hide_aborts=isinstance(error, CollectiveMismatch))
        ledger = report.ledger_of(self.judge)
        if error is not None:
            tracebacks = {r: s.end.traceback for r, s in enumerate(self.judge.ranks) if s.end and s.end.traceback}
            error.tracebacks, error.output, error.ledger = tracebacks, output, ledger
            raise error
        return Run(self.values, output, ledger, self.judge.swapped(), self.spans)

    def _listen(self) -> RankError | None:
        """Handle events until the run is over; the error it ended with, or None."""
        deadline = time.monotonic() + self.timeout
        last_event = time.monotonic()
        fault_at: float | None = None
        while True:
            if self._handle(self._ready()):
                last_event = time.monotonic()
            now = time.monotonic()
            if self.judge.mismatch or self.judge.failures():
                fault_at = fault_at or now
                if now - fault_at > SETTLE_SECONDS or self.judge.settled():
                    self._drain()
                    return self._fault()
            elif not self.judge.live():
                return CollectiveMismatch(report.unmatched(self.judge)) if self.judge.unmatched() else None
            elif self.judge.settled() and now - last_event > QUIET_SECONDS:
                return Deadlock(report.deadlock(self.judge))
            elif now > deadline:
                return RankTimeout(report.timeout(self.judge, self.timeout, self._stacks()))

    def _fault(self) -> RankError:
        if self.judge.mismatch:
            return CollectiveMismatch(report.mismatch(self.judge))
        died = self.judge.ranks[self.judge.failures()[0]].end.kind == "died"
        return (RankDied if died else RankFailed)(report.failure(self.judge))

    def _ready(self, timeout: float = 0.05) -> list:
        waiting: list = []
        for rank in self.ranks:
            if self.judge.ranks[rank.rank].end is None:
                waiting += [rank.events, rank.process.sentinel]
            if rank.output_open:
                waiting.append(rank.output)
        return connection.wait(waiting, timeout=timeout) if waiting else []

    def _handle(self, ready: list) -> bool:
        """Take what is ready; True where a rank has sent an event."""
        progress = False
        for rank in self.ranks:
            if rank.output in ready:
                rank.output_open = self.outputs.read(rank.rank, rank.output.fileno())
            if rank.events in ready:
                progress |= self._receive(rank)
            elif rank.process.sentinel in ready and not rank.events.poll():
                self._died(rank)
                progress = True
        return progress

    def _receive(self, rank: RankProcess) -> bool:
        try:
            kind, *payload = pickle.loads(rank.events.recv_bytes())
        except (EOFError, OSError):
            self._died(rank)
            return True
        state = self.judge.ranks[rank.rank]
        match kind:
            case "start":
                state.started = True
                if all(other.started for other in self.judge.ranks):
                    self.outputs.all_started()
            case "calls":
                state.called = tuple(payload)
            case "enter":
                self.judge.enter(rank.rank, *payload)
            case "block":
                self.judge.block(rank.rank, *payload)
            case "done":
                self.judge.done(rank.rank, *payload)
            case "exit":
                status, source, code = payload
                self.judge.ended(rank.rank, End("died", f"left by os._exit({status})", source, code))
            case "raise":
                self.judge.ended(rank.rank, End("raise", *payload))
            case "return":
                source, code, self.spans[rank.rank] = payload
                self.values[rank.rank] = values.load(self.folder / f"value.{rank.rank}")
                self.judge.ended(rank.rank, End("return", "", source, code))
        return True

    def _died(self, rank: RankProcess) -> None:
        exit_code = rank.exit_code()
        if exit_code is not None and exit_code < 0:
            what = f"was killed by {signal.Signals(-exit_code).name}"
        else:
            what = f"ended with exit code {exit_code}"
        state = self.judge.ranks[rank.rank]
        source, code = reader_line_of_stack(rank.where())
        if not source and state.rows:
            last = state.rows[-1]
            what += f", last seen in {last.op} #{last.index}"
            source, code = last.source, last.code
        elif not source:
            what += ", before its first collective, in" if self.judge.recorded else ", in"
            source, code = state.called
        self.judge.ended(rank.rank, End("died", what, source, code))

    def _drain(self) -> None:
        """Take every event that is already in the pipes, so that the cause is not missed for its consequence."""
        while self._handle(self._ready(timeout=0)):
            pass

    def _stacks(self) -> dict[int, str]:
        """Ask every live rank where it is; ranks deep in C code answer too."""
        live = [rank for rank in self.ranks if self.judge.ranks[rank.rank].started and rank.rank in self.judge.live()]
        for rank in live:
            rank.ask_where()
        time.sleep(0.05 if live else 0)
        return {rank.rank: rank.where() for rank in live}

    def _close(self, hide_aborts: bool) -> list[str]:
        """End what is left, read the last prints, free everything."""
        failed = sys.exc_info()[0] is not None
        if failed:
            for rank in self.ranks:
                rank.kill()
        for rank in self.ranks:
            rank.process.join(2.0)
            rank.kill()
            while rank.output_open:
                rank.output_open = self.outputs.read(rank.rank, rank.output.fileno())
            rank.close()
        return self.outputs.finish(hide_aborts)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
