"""One rank of a script: an ordinary process as torchrun starts it, that reports what happens to it."""

import atexit
import os
import pickle
import signal
import sys
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tplearn.ranks.events import Calls, Enter, Event, Exiting, Raised, Returned, Started
from tplearn.ranks.job import Job, finish_others, leave
from tplearn.ranks.recorder import Recorder
from tplearn.ranks.source import reader_line, reader_line_of_error
from tplearn.ranks.worker import Reporter, flush, raised, reporting
from tplearn.running.eager import said_of_compile
from tplearn.running.groups import Lives
from tplearn.running.handles import forget_completed
from tplearn.running.marks import Marks
from tplearn.running.no_terminal import NO_TERMINAL, NoTerminal
from tplearn.running.order import Order
from tplearn.running.places import place_of
from tplearn.running.program import trim

HANDLES = 256  # so many are kept before those that are over are looked for
_exit = os._exit


def main(rank: int, world_size: int, folder: str, events: int, output: int, errors: int) -> None:
    """The life of a rank. Never returns: the process ends when the parent has heard everything."""
    with reporting(rank, folder, events, output, errors) as reporter:
        status = 0
        try:
            job: Job = pickle.loads(Path(folder, "job").read_bytes())
            order: Order = pickle.loads(Path(folder, "order").read_bytes())
            _take_place(rank, world_size, job, order)
            _run(Watch(rank, world_size, reporter, order, folder), job.record)
        except BaseException as error:  # sys.exit included: whatever ends the script is the parent's to judge
            reporter.send(_raised(error))
            status = 1
            atexit._run_exitfuncs()
        flush()
        reporter.goodbye.wait()
        leave(status)


def _take_place(rank: int, world_size: int, job: Job, order: Order) -> None:
    job.take_place(rank, world_size)
    os.environ.update(order.place | place_of(rank))
    # All ranks are on this machine: gloo need not ask for a name that may lead elsewhere.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = NoTerminal()


@dataclass
class Watch:
    """What watches one rank."""

    rank: int
    world_size: int
    reporter: Reporter
    order: Order
    folder: str

    def __post_init__(self) -> None:
        self.marks = Marks(Path(self.folder, f"marks.{self.rank}")) if self.order.timeline else None
        self.recorder = Recorder(self.rank, self.send)
        self.recorder.ledger.rows = deque(maxlen=0)  # the parent keeps the books
        self.lives = Lives(self.recorder, self.world_size)

    def send(self, event: Event) -> None:
        """Tell the parent."""
        if isinstance(event, Enter):
            event = replace(event, group_name=f"{event.group_name} of life {self.lives.count}")
            if len(self.recorder.handles) > HANDLES:
                forget_completed(self.recorder)
        if self.marks:
            self.marks.event(event)
        self.reporter.send(event)

    def enter(self, stack: ExitStack) -> None:
        """From here on, until the stack is left."""
        stack.enter_context(self.lives.watched())
        stack.enter_context(said_of_compile(self.rank))
        if self.marks:
            stack.enter_context(self.marks.operators(self.recorder))
        stack.enter_context(self.recorder.watching())


def _run(watch: Watch, recorded: bool) -> None:
    """The script, its threads and children, and its exit functions; then word that it has ended."""
    reporter, program = watch.reporter, watch.order.program
    reporter.send(Started())
    reporter.send(Calls(program.title, ""))
    _watch_exits(reporter)
    place = "", ""
    with ExitStack() as stack:
        if recorded:
            watch.enter(stack)
        try:
            program.run()
        except SystemExit as exit:
            if exit.code not in (None, 0):
                raise
            place = reader_line_of_error(trim(exit))
        finish_others()
        atexit._run_exitfuncs()
    flush()
    reporter.send(Returned(*place, watch.recorder.unwaited()))


def _watch_exits(reporter: Reporter) -> None:
    """os._exit says its line first. With 0 it is an end like any other: the sockets stay open until the peers end."""
    own = os.getpid()

    def exit_with_notice(status: int) -> None:
        if os.getpid() == own:  # and no child of the rank's, forked for a DataLoader
            flush()  # torchrun runs `python -u`
            place = reader_line(sys._getframe(1))
            reporter.send(Exiting(status, *place) if status else Returned(*place))
            if not status:
                reporter.goodbye.wait()
        _exit(status)

    os._exit = exit_with_notice  # this process ends with the run


def _raised(error: BaseException) -> Raised:
    return raised(trim(error), NO_TERMINAL)
