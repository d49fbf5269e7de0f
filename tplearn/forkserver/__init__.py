"""Processes for ranks: forked from a server that has loaded what they need, or, where fork is not safe, fresh ones.

The lowest floor: to start the server, nothing that needs torch may be imported. A child is an ordinary process: forked
from a process that has only imported. (multiprocessing's own fork server makes daemons, changes their start method,
wants a short path for its socket, and runs the caller's script again.)
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe

from tplearn.forkserver.forking import STATUS, ServerLost
from tplearn.forkserver.server import LOADED, Server, python

__all__ = ["START_METHODS", "Child", "ServerLost", "start_child", "start_method", "under_torchrun", "warm_up"]
START_METHODS = ("forkserver", "spawn")


@dataclass
class Child:
    """A process that was started; `status` becomes readable when it has ended."""

    pid: int
    status: Connection

    def exit_code(self, seconds: float = 0.0) -> int | None:
        """Its exit code, minus a signal's number where one ended it; None while it runs, or if nobody knows."""
        if not self.status.poll(seconds):
            return None
        told = os.read(self.status.fileno(), STATUS.size)
        return STATUS.unpack(told)[0] if told else None


def start_method() -> str:
    """TPLEARN_START_METHOD, or forkserver on Linux and spawn elsewhere (macOS frameworks do not survive a fork)."""
    method = os.environ.get("TPLEARN_START_METHOD", "forkserver" if sys.platform == "linux" else "spawn")
    if method not in START_METHODS:
        raise ValueError(
            f"TPLEARN_START_METHOD = {method!r} cannot be used here; values that work: {', '.join(START_METHODS)}"
        )
    return method


def under_torchrun() -> bool:
    """Whether torchrun has started this process as a rank; RANK alone is also left behind by shells and notebooks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def warm_up(loaded: Iterable[str] = LOADED) -> None:
    """Start the server now, where ranks will be wanted soon: it loads torch (seconds) while this process goes on.

    loaded: the modules that the ranks will need.
    """
    if start_method() == "forkserver" and not under_torchrun():
        Server.of_this_process(loaded)


def start_child(target: str, arguments: list, files: list[int], method: str | None = None) -> Child:
    """Call `target` ("module:function") as target(*arguments, *files) in a new process; `files` are open descriptors.

    method: one of START_METHODS; None: that of `start_method()`. Raises ServerLost where the server of the forks was
    killed; the next call starts another.
    """
    status, writer = Pipe(duplex=False)
    with contextlib.closing(writer):
        if (method or start_method()) == "forkserver":
            pid = Server.of_this_process().fork(target, arguments, [writer.fileno(), *files])
        else:
            pid = _spawn(target, arguments, files, os.dup(writer.fileno()))
    return Child(pid, status)


def _spawn(target: str, arguments: list, files: list[int], status: int) -> int:
    call = f"from tplearn.forkserver.forking import call; call({target!r}, {arguments!r}, {files!r})"
    process = subprocess.Popen(python(call), pass_fds=files, stdin=subprocess.DEVNULL)

    def tell() -> None:
        with open(status, "wb") as pipe:
            pipe.write(STATUS.pack(process.wait()))

    threading.Thread(target=tell, daemon=True).start()
    return process.pid
