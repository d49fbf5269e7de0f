"""The parent's side of a run: starts the ranks, listens, judges, and leaves nothing behind."""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Generator
from multiprocessing import connection
from pathlib import Path

from tplearn.forkserver import start_child
from tplearn.ranks import report
from tplearn.ranks.decide import Decider
from tplearn.ranks.diagnose import Judge
from tplearn.ranks.errors import RankDied, RankError
from tplearn.ranks.events import Event, Returned, Started
from tplearn.ranks.interrupts import interrupt_waits
from tplearn.ranks.job import Job
from tplearn.ranks.output import Outputs
from tplearn.ranks.processes import CAN_ASK, RankProcess, Start, start_ranks
from tplearn.ranks.run import Run
from tplearn.ranks.source import cells, reader_line_of_stack

# A run under way: it yields what it waits for, is sent what of that is ready, and at its end returns or raises.
Steps = Generator[list, list, Run]
ANSWER_LOOKS, ANSWER_PAUSE = 60, 0.02  # how often to look whether ranks have said where they are, and how long between
LAST_WORDS_SECONDS = 0.2  # what a rank has started may hold its output open; so long it is read after the rank's end


class Supervisor:
    """One run of `world_size` ranks, whose processes `start` starts."""

    def __init__(self, world_size: int, folder: Path, timeout: float, record: bool, start: Start = start_child) -> None:
        self.world_size = world_size
        self.folder, self.start = folder, start
        self.judge = Judge(world_size, record)
        self.decider = Decider(self.judge, timeout)
        self.outputs = Outputs(world_size)
        self.ranks: list[RankProcess] = []
        self.values: list[object] = [None] * world_size
        self.warnings: list[UserWarning] = []

    def run(self, fn: Callable, args: tuple, kwargs: dict, profile: bool) -> Steps:
        """Start, wait, judge, in steps. Raises RankError; what stops it from outside is re-raised after a report."""
        from tplearn.ranks import values  # here: it loads torch, which the supervisor of a script does without

        threads = max(1, cores() // self.world_size)
        values.dump((fn, args, kwargs), self.folder / "call")
        job = Job.here(threads, self.judge.recorded, profile, cells())
        (self.folder / "job").write_bytes(pickle.dumps(job))
        error: RankError | None = None
        try:
            start_ranks(self.world_size, str(self.folder), self.ranks, self.start)
            error = yield from self._listen()
            for rank in self.ranks:
                rank.kill() if error else rank.release()
        except BaseException as stop:
            if not isinstance(stop, Exception):  # Ctrl-C, or a time limit of pytest's
                self._take_what_is_there()
                print(report.interrupted(self.judge, self._stacks()), file=sys.stderr)
            raise
        finally:
            # What C++ prints when it aborts over a fault of others is the consequence of what the report says.
            with interrupt_waits():
                output = self._close(hide_aborts=error is not None and not isinstance(error, RankDied))
        ledger = report.ledger_of(self.judge)
        if error is not None:
            error.tracebacks, error.output, error.ledger = self.judge.tracebacks(), output, ledger
            raise error
        spans = [values.load(self.folder / f"spans.{rank}") if profile else [] for rank in range(self.world_size)]
        self.warnings = report.warnings(self.judge)
        return Run(self.values, output, ledger, [str(warning) for warning in self.warnings], spans)

    def _listen(self) -> Generator[list, list, RankError | None]:
        """Handle events until the run is over; the error it ended with, or None."""
        self.decider.start()
        while True:
            ready = yield self._channels()
            with interrupt_waits():
                progress = self._handle(ready)
            match self.decider.decide(progress):
                case "go on":
                    continue
                case "fault":
                    self._take_what_is_there()  # so that the cause is not missed for its consequence
                    return self.decider.fault()
                case "time limit":
                    return self.decider.time_limit(self._stacks())
                case "over":
                    return self.decider.end()

    def _take_what_is_there(self) -> None:
        """Handle every event that has come already; of a rank that never stops telling, those of a moment."""
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        while self._handle(connection.wait(self._channels(), timeout=0)) and time.monotonic() < deadline:
            pass

    def _channels(self) -> list:
        """What may still tell something of a rank."""
        waiting: list = []
        for rank in self.ranks:
            if self.judge.ranks[rank.rank].end is None:
                waiting += [rank.events, rank.ended]
            if rank.output_open:
                waiting.append(rank.output)
        return waiting

    def _handle(self, ready: list) -> bool:
        """Take what is ready; True where a rank has sent an event."""
        progress = False
        for rank in self.ranks:
            if rank.output in ready:
                rank.output_open = self.outputs.read(rank.rank, rank.output.fileno())
            if rank.events in ready:
                progress |= self._receive(rank)
            elif rank.ended in ready and not rank.events.poll():
                self._died(rank)
                progress = True
        return progress

    def _receive(self, rank: RankProcess) -> bool:
        try:
            event: Event = pickle.loads(rank.events.recv_bytes())
        except (EOFError, OSError):
            self._died(rank)
            return True
        self._take(rank.rank, event)
        return True

    def _take(self, rank: int, event: Event) -> None:
        """What a rank has told."""
        if isinstance(event, Returned):
            from tplearn.ranks import values

            self.values[rank] = values.load(self.folder / f"value.{rank}")
        self.judge.handle(rank, event)
        if isinstance(event, Started) and self.judge.all_started():
            self.outputs.all_started()

    def _died(self, rank: RankProcess) -> None:
        exit_code = rank.exit_code(1.0)
        if exit_code is not None and exit_code < 0:
            what = f"was killed by {signal.Signals(-exit_code).name}"
        else:
            what = f"ended with exit code {exit_code}" if exit_code is not None else "ended"
        self.judge.died(rank.rank, what, *reader_line_of_stack(rank.where()))

    def _stacks(self) -> dict[int, tuple[str, str]]:
        """Ask every live rank for its reader's line; ranks deep in C code answer too, those that are stopped do not."""
        live = [rank for rank in self.ranks if self.judge.ranks[rank.rank].started and rank.rank in self.judge.live()]
        for rank in live:
            rank.ask_where()
        told = [""] * len(live)
        for _ in range(ANSWER_LOOKS if CAN_ASK else 0):
            time.sleep(ANSWER_PAUSE)
            told, before = [rank.where() for rank in live], told
            if all(told) and told == before:  # an answer comes in pieces
                break
        return {rank.rank: reader_line_of_stack(stack) for rank, stack in zip(live, told, strict=True)}

    def _close(self, hide_aborts: bool) -> list[str]:
        """End what is left, read the last prints, free everything."""
        failed = sys.exc_info()[0] is not None
        for rank in self.ranks:
            if failed:
                rank.kill()
        for rank in self.ranks:
            rank.exit_code(2.0)
            rank.kill()  # also the children of the rank, where it left any
            self._read_last_words(rank)
            rank.exit_code(2.0)
            rank.close()
        return self.outputs.finish(hide_aborts)

    def _read_last_words(self, rank: RankProcess) -> None:
        while rank.output_open and rank.output.poll(LAST_WORDS_SECONDS):
            rank.output_open = self.outputs.read(rank.rank, rank.output.fileno())


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
