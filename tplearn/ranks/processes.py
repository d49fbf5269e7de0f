"""Starts and ends the processes of a run: forked from a server that has torch loaded, or fresh interpreters."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from tplearn.forkserver import Child, ServerLost, start_child
from tplearn.ranks.errors import RankDied
from tplearn.ranks.interrupts import interrupt_waits

MAIN = "tplearn.ranks.worker:main"
CAN_ASK = hasattr(signal, "SIGUSR1")  # a rank where it is
Start = Callable[[str, list, list[int]], Child]  # as start_child


@dataclass
class RankProcess:
    """One rank, seen from its parent."""

    rank: int
    process: Child
    events: Connection
    output: Connection
    folder: str
    output_open: bool = True
    status: int | None = None

    @property
    def ended(self) -> Connection:
        """Readable when the process has ended."""
        return self.process.status

    def exit_code(self, seconds: float) -> int | None:
        """Its exit code, as soon as it has one within so many seconds."""
        if self.status is None:
            self.status = self.process.exit_code(seconds)
        return self.status

    def where(self) -> str:
        """What the rank's fault handler has written: the stack at a crash, or at the parent's last question."""
        with contextlib.suppress(OSError):
            return Path(self.folder, f"stack.{self.rank}").read_text()
        return ""

    def ask_where(self) -> None:
        """Make the rank's main thread write its stack, also while it is inside C code."""
        if not CAN_ASK:
            return
        if hasattr(libc := ctypes.CDLL(None), "tgkill"):  # any thread may hear kill(), and one of gloo's says nothing
            libc.tgkill(self.process.pid, self.process.pid, signal.SIGUSR1)
            return
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
        if self.status is None:  # it may not lead a group of its own yet
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Free what is left."""
        self.process.status.close()
        self.events.close()
        self.output.close()


def start_ranks(world_size: int, folder: str, into: list[RankProcess], start: Start = start_child) -> None:
    """Start every rank, adding each to `into` at once, so that an interrupt leaves none behind."""
    for rank in range(world_size):
        with interrupt_waits(), contextlib.ExitStack() as theirs:
            events, child_events = Pipe()
            output, child_output = Pipe(duplex=False)
            theirs.callback(child_events.close)
            theirs.callback(child_output.close)
            files = [child_events.fileno(), child_output.fileno()]
            try:
                process = start(MAIN, [rank, world_size, folder], files)
            except ServerLost:
                raise RankDied(
                    f"The process that starts the ranks was killed before it had started rank {rank}: is there memory "
                    "left on this machine? The next call starts a new one."
                ) from None
            into.append(RankProcess(rank, process, events, output, folder))
