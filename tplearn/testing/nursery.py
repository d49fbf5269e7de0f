"""The nursery: a fork of pytest's process, made when all tests are collected, from which every rank is forked.

All that the tests have imported is there, and nothing of what they do: no test has run yet. So a rank needs no import
and no collection, and starts in a tenth of a second.
"""

import contextlib
import os
import signal
import stat
import sys
import warnings
from collections.abc import Generator
from multiprocessing.connection import Pipe

import pytest

from tplearn.forkserver import Child, ServerLost
from tplearn.forkserver.forking import Line, die_with_parent, serve, share_pages
from tplearn.testing.collected import inherit
from tplearn.testing.marks import wanted


def can_fork() -> bool:
    """Whether ranks may be forks of this process: CUDA, once initialised, does not survive that."""
    return "torch" not in sys.modules or not sys.modules["torch"].cuda.is_initialized()


class Nursery:
    """Pytest's own end of it, and a plugin of the session. lost: it was killed, so that ranks must start otherwise."""

    def __init__(self, session: pytest.Session) -> None:
        self.line, self.ready, self.lost = Line(), False, False
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or every fork would print it once more
        with contextlib.closing(self.line.theirs) as theirs, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # xdist's workers have a thread that only listens
            self.pid = os.fork()
            if self.pid == 0:
                _live(session, self.line.socket.fileno(), theirs.fileno())

    def start_child(self, target: str, arguments: list, files: list[int]) -> Child:
        """As forkserver.start_child, in a fork of the collected session. Raises ServerLost where it is gone."""
        status, writer = Pipe(duplex=False)
        with contextlib.closing(writer):
            try:
                return Child(self.line.ask(target, arguments, [writer.fileno(), *files]), status)
            except ServerLost:
                self.lost = True
                raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Before the first test on ranks, and before the clock of any time limit, it loads what every rank needs."""
        if not self.ready and wanted(item):
            with contextlib.suppress(ServerLost):
                self.line.ask(f"{__name__}:load", [], [], fork=False)
            self.ready = True
        return (yield)

    def pytest_unconfigure(self) -> None:
        """No test runs any more."""
        self.line.socket.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # a test may have waited for any child
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _live(session: pytest.Session, pytests: int, own: int) -> None:
    """The nursery's life. Never returns."""
    try:
        die_with_parent()
        os.close(pytests)
        os.setsid()  # Ctrl-C does not reach it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _let_go_of_pipes(own)
        inherit(session)
        serve([], own)
    finally:
        os._exit(1)


def load() -> bool:
    """Import what every rank needs: over there, so that none of them has to."""
    import tplearn.ranks.preload
    import tplearn.testing.on_rank  # noqa: F401

    share_pages()
    return True


def _let_go_of_pipes(own: int) -> None:
    """Whoever reads what pytest or xdist's worker writes waits for the last writer to end, and that shall not be we.

    Standard streams, what else is the same file, and every pipe lead nowhere from here.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    standard = [_same(os.fstat(file)) for file in range(3)]
    for file in map(int, os.listdir("/dev/fd")):
        if file in (own, nowhere):
            continue
        with contextlib.suppress(OSError):  # the folder's own descriptor is closed by now
            status = os.fstat(file)
            if file < 3 or stat.S_ISFIFO(status.st_mode) or _same(status) in standard:
                os.dup2(nowhere, file)
    os.close(nowhere)


def _same(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
