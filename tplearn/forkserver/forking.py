"""Forking on request: the life of the process that forks, and the other end of its socket."""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator

STATUS = struct.Struct("i")
_PR_SET_PDEATHSIG = 1


class ServerLost(ConnectionError):
    """The process that forks was killed before it had answered."""


class Line:
    """This process's end of the socket to one that forks; one request at a time. `theirs` is what that one is given."""

    def __init__(self) -> None:
        self.socket, self.theirs = socket.socketpair()

    def ask(
        self, target: str, arguments: list, files: list[int], *, fork: bool = True, seconds: float | None = None
    ) -> int:
        """Have "module:function" called with arguments and files: in a fork, whose pid this returns, or over there.

        fork: False for a call over there, whose number this returns. Of a fork, the first file hears how it ends.
        seconds: how long the answer may take. Raises ServerLost where none comes.
        """
        request = json.dumps([target, arguments, fork]).encode() + b"\n"
        self.socket.settimeout(seconds)
        try:
            socket.send_fds(self.socket, [request], files)
            told = self.socket.recv(STATUS.size)
        except OSError:
            told = b""
        if not told:
            raise ServerLost
        return STATUS.unpack(told)[0]


def call(target: str, arguments: list, files: list[int]) -> int | None:
    """Call "module:function"."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(*arguments, *files)


def serve(modules: list[str], descriptor: int) -> None:
    """The life of the process that forks: import, then do each request, and say how each child ended."""
    client = socket.socket(fileno=descriptor)
    # Who loads nothing has no thread at all: one that was joined may be counted among a process's for a while yet.
    with _ending_with(client) if modules else contextlib.nullcontext():
        for module in modules:
            with contextlib.suppress(Exception):  # the rank will import it itself, and raise where somebody reads it
                importlib.import_module(module)
    share_pages()
    children: dict[int, int] = {}  # pid -> the file that hears how it ended
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([client, woken], [], [])
        if woken in ready:
            os.read(woken, 512)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            with contextlib.suppress(OSError), open(children.pop(pid), "wb") as pipe:
                pipe.write(STATUS.pack(os.waitstatus_to_exitcode(status)))
        if client in ready:
            request, files, _, _ = socket.recv_fds(client, 1 << 16, 8)
            if not request:
                os._exit(0)
            target, arguments, fork = json.loads(request)
            if fork:
                told = os.fork()
                if told == 0:
                    _become(target, arguments, files, [client.detach(), woken, wake, *children.values()])
                children[told] = files.pop(0)
            else:
                told = call(target, arguments, files)
            for file in files:
                os.close(file)
            with contextlib.suppress(OSError):  # it has gone; the next read says so
                client.send(STATUS.pack(told))


def die_with_parent() -> None:
    """From here on this process is killed when its parent ends, also in the middle of C code. On Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _ending_with(client: socket.socket) -> Iterator[None]:
    """Inside, this process ends as soon as the one that asks has: imports take seconds, and nobody wants them then."""
    over, leave = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(client, 0)  # only its end
        poll.register(over, 0)
        if poll.poll()[0][0] == client.fileno():
            os._exit(0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        os.close(leave)
        watcher.join()  # no thread may be left when this process forks
        os.close(over)


def share_pages() -> None:
    """What is loaded is never looked at again by the garbage collector, so that its pages stay shared with forks."""
    gc.collect()
    gc.freeze()


def _become(target: str, arguments: list, files: list[int], others: list[int]) -> None:
    """The child: nothing of the process that forks stays, then its own work."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for file in [*others, files[0]]:
        os.close(file)
    try:
        call(target, arguments, files[1:])
    finally:
        os._exit(1)
