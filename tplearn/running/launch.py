"""The parent's side of a script on ranks: starts them, shows what they print, judges, and ends them in good order."""

import os
import pickle
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from multiprocessing import connection
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from tplearn.forkserver import Child, start_child
from tplearn.ranks import report
from tplearn.ranks.drive import LOOK_SECONDS
from tplearn.ranks.errors import RankError
from tplearn.ranks.events import Enter, Event, Returned
from tplearn.ranks.interrupts import interrupt_waits
from tplearn.ranks.job import Job
from tplearn.ranks.processes import RankProcess, start_ranks
from tplearn.ranks.supervise import LAST_WORDS_SECONDS, Supervisor, cores
from tplearn.running.bounds import JUDGED
from tplearn.running.live import Live
from tplearn.running.meeting import Meeting
from tplearn.running.order import Order
from tplearn.running.outcome import Outcome, places
from tplearn.running.places import common_place, threads_of
from tplearn.running.program import Program
from tplearn.running.signals import Signals
from tplearn.running.tally import Tally

MAIN = "tplearn.running.rank:main"
GRACE_SECONDS = 30.0  # after a signal, for ranks that save something; torchrun waits as long
Say = Callable[[str], None]


class ScriptSupervisor(Supervisor):
    """One run of a script. live: shows what it prints. say: told what the user should know at once."""

    def __init__(
        self, program: Program, world_size: int, folder: Path, timeout: float, record: bool, live: Live, say: Say
    ) -> None:
        super().__init__(world_size, folder, timeout, record, self._start)
        self.program, self.outputs, self.say = program, live, say
        self.errors: dict[int, Connection] = {}  # by rank, those that are open
        self.tally = Tally(world_size)
        self.where: dict[int, tuple[str, str]] = {}  # the line of each rank that was asked
        self.places = places(self.judge, {})
        self.meeting = Meeting()

    def run_script(self, timeline: bool) -> Outcome:
        """Start, wait, judge, end. timeline: the ranks leave their times in marks.N of the run's folder."""
        began = time.monotonic()
        place = common_place(self.world_size, self.meeting.port)
        job = Job.here(threads_of(self.world_size, cores()), self.judge.recorded, False, {})
        (self.folder / "job").write_bytes(pickle.dumps(job))
        (self.folder / "order").write_bytes(pickle.dumps(Order(self.program, place, timeline)))
        with Signals() as signals:
            kind, said = "", ""
            try:
                start_ranks(self.world_size, str(self.folder), self.ranks, self.start)
                self.meeting.open()
                error = self._wait(signals)
                self.places = places(self.judge, self.where)
                if signals.came:
                    kind, said = signal.Signals(signals.came[0]).name, self._stop(signals)
                elif error:
                    kind, said = type(error).__name__, str(error)
                self._end(bool(kind))
            except RankError as error:  # the ranks could not even be started
                kind, said = type(error).__name__, str(error)
            finally:
                with interrupt_waits():
                    self._close(hide_aborts=False)
        found = [] if kind else [str(warning) for warning in report.warnings(self.judge)]
        return Outcome(time.monotonic() - began, self.places, self.tally, found, kind, said)

    def _start(self, main: str, arguments: list, files: list[int]) -> Child:
        """As start_child, with a pipe for the rank's stderr; the rank's life is that of a script's."""
        ours, theirs = Pipe(duplex=False)
        self.errors[arguments[0]] = ours
        with closing(theirs):
            return start_child(MAIN, arguments, [*files, theirs.fileno()])

    def _wait(self, signals: Signals) -> RankError | None:
        """Until the run is over or a signal has come; the error it ended with."""
        listening = self._listen()
        channels = next(listening)
        while not signals.came:
            try:
                channels = listening.send(connection.wait(channels, LOOK_SECONDS))
            except StopIteration as over:
                return over.value
        return None

    def _stop(self, signals: Signals) -> str:
        """Say where the ranks are, and pass the signal on. Those that wait in vain will not hear it: nobody waits for
        them, and a second signal ends the others at once."""
        number = signals.came[0]
        said = f"Interrupted by {signal.Signals(number).name}; this is where the ranks were.\n"
        said += report.all_ranks(self.judge, self._stacks())
        self.places = places(self.judge, self.where)
        self.say(said)
        for rank in self.ranks:
            if rank.rank in self.judge.live():
                with suppress(ProcessLookupError):
                    os.kill(rank.process.pid, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while self.judge.live() and not self.judge.settled() and time.monotonic() < deadline and len(signals.came) < 2:
            self._handle(connection.wait(self._channels(), LOOK_SECONDS))
        return said

    def _end(self, failed: bool) -> None:
        """Let the ranks end. Of a failed run, those that raised have exit functions to run; the others are killed."""
        for rank in self.ranks:
            end = self.judge.ranks[rank.rank].end
            if failed and (end is None or end.kind != "raise"):
                rank.kill()
            else:
                rank.release()

    # --- what is more than on ranks of run_ranks --------------------------------------------------------------

    def _take(self, rank: int, event: Event) -> None:
        if isinstance(event, Enter):
            self.tally.note(event)
            if event.row.index % JUDGED == JUDGED - 1:
                self.judge.forget(JUDGED)
        self.judge.handle(rank, event)

    def _died(self, rank: RankProcess) -> None:
        if rank.exit_code(1.0) == 0:  # it has become another program, by os.exec, and that has ended well
            self.judge.handle(rank.rank, Returned("", ""))
        else:
            super()._died(rank)

    def _stacks(self) -> dict[int, tuple[str, str]]:
        self.where = super()._stacks()
        return self.where

    def _channels(self) -> list:
        return [*super()._channels(), *self.errors.values()]

    def _handle(self, ready: list) -> bool:
        for rank in [rank for rank, errors in self.errors.items() if errors in ready]:
            self._read_errors(rank)
        return super()._handle(ready)

    def _read_errors(self, rank: int) -> None:
        if not self.outputs.read_errors(rank, self.errors[rank].fileno()):
            self.errors.pop(rank).close()

    def _read_last_words(self, rank: RankProcess) -> None:
        super()._read_last_words(rank)
        while rank.rank in self.errors and self.errors[rank.rank].poll(LAST_WORDS_SECONDS):
            self._read_errors(rank.rank)

    def _close(self, hide_aborts: bool) -> list[str]:
        shown = super()._close(hide_aborts)
        for errors in self.errors.values():
            errors.close()
        self.meeting.close()
        return shown
