"""Starts and ends the processes of a run: forked from a server that has torch loaded, or spawned."""

import contextlib
import os
import signal
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from tplearn.forkserver import ensure_server, interrupt_waits, main_module_hidden, start_context
from tplearn.ranks import worker
from tplearn.ranks.errors import RankDied


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
    with main_module_hidden():
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
