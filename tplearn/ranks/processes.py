"""Starts and ends the processes of a run: forked from a server that has torch loaded, or spawned."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from tplearn.ranks import worker
from tplearn.ranks.errors import RankDied

START_METHODS = ("forkserver", "spawn")
# By name, since they are higher floors: what ranks run most often, so that no rank pays for its import.
LOADED = (worker.PRELOAD, "tplearn.parallel", "tplearn.checks", "tplearn.llama")


def start_method() -> str:
    """TPLEARN_START_METHOD, or forkserver on Linux and spawn elsewhere (macOS frameworks do not survive a fork)."""
    method = os.environ.get("TPLEARN_START_METHOD", "forkserver" if sys.platform == "linux" else "spawn")
    if method not in START_METHODS or method not in multiprocessing.get_all_start_methods():
        raise ValueError(
            f"TPLEARN_START_METHOD = {method!r} cannot be used here; values that work: {', '.join(START_METHODS)}"
        )
    return method


def start_context() -> BaseContext:
    """The multiprocessing context of the start method; the fork server is told what to load beforehand."""
    context = multiprocessing.get_context(start_method())
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(list(LOADED))
    return context


def warm_up_in_notebook() -> None:
    """In a notebook, start the server of the forks now: it loads torch (about a second) while the reader reads."""
    if "ipykernel" in sys.modules and "RANK" not in os.environ:
        ensure_server(start_context())


def ensure_server(context: BaseContext) -> None:
    """Start the server of the forks where it is not up. It shall not hear the stop button while it loads torch:
    a signal that is blocked stays blocked in a new process."""
    if context.get_start_method() != "forkserver":
        return
    from multiprocessing import forkserver, resource_tracker

    with interrupt_waits(), _main_module_hidden():
        resource_tracker.ensure_running()  # first, because it unblocks the signal when it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def interrupt_waits() -> Iterator[None]:
    """The stop button waits until the block is over: inside, it would leave a process that nobody knows of."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pressed:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """multiprocessing would run the reader's script again in every child; cloudpickle carries all that is needed."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@dataclass
class RankProcess:
    """One rank, seen from its parent."""

    rank: int
    process: BaseProcess
    events: connection.Connection
    output: connection.Connection
    folder: str
    output_open: bool = True

    def exit_code(self) -> int | None:
        self.process.join(1.0)
        return self.process.exitcode

    def where(self) -> str:
        """What the rank's fault handler has written: the stack at a crash, or at the parent's last question."""
        with contextlib.suppress(OSError):
            return Path(self.folder, f"stack.{self.rank}").read_text()
        return ""

    def ask_where(self) -> None:
        """Make the rank write its stack, also while it is inside C code."""
        if hasattr(signal, "SIGUSR1"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGUSR1)

    def release(self) -> None:
        """Say goodbye: the rank has told everything and may end."""
        with contextlib.suppress(OSError):
            self.events.send_bytes(b"goodbye")

    def kill(self) -> None:
        """End the rank and every process it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def close(self) -> None:
        self.process.join()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # children of the rank, where it left any
        self.process.close()
        self.events.close()
        self.output.close()


def start_ranks(world_size: int, folder: str, into: list[RankProcess]) -> None:
    """Start every rank, adding each to `into` at once, so that an interrupt leaves none behind."""
    context = start_context()
    ensure_server(context)
    with _main_module_hidden():
        for rank in range(world_size):
            with interrupt_waits():
                events, child_events = context.Pipe()
                output, child_output = context.Pipe(duplex=False)
                arguments = (rank, world_size, child_events, child_output, folder)
                process = context.Process(target=worker.main, args=arguments, name=f"rank {rank}", daemon=True)
                _start(process)
                child_events.close()
                child_output.close()
                into.append(RankProcess(rank, process, events, output, folder))


def _start(process: BaseProcess) -> None:
    try:
        process.start()
    except (EOFError, ConnectionError):
        raise RankDied(
            f"The process that starts the ranks was killed before it had started {process.name}: is there memory "
            "left on this machine? The next call starts a new one."
        ) from None
