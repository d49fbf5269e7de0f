"""The server that ranks are forked from: it loads torch once, while the process that wants the ranks loads its own.

The lowest floor: to start it, nothing that needs torch may be imported. A child is an ordinary process: forked from a
process that has only imported, or, where fork is not safe, a fresh interpreter. (multiprocessing's own fork server
makes daemons, changes their start method, wants a short path for its socket, and runs the caller's script again.)
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe

START_METHODS = ("forkserver", "spawn")
# By name, since they are higher floors: what the ranks of a notebook run, so that none of them pays for its import.
LOADED = ("tplearn.ranks.preload", "tplearn.parallel", "tplearn.checks.preload", "tplearn.llama")
# A fork copies the tables of all pages with data: of few large ones, if Python's objects are left to the C library.
LARGE_PAGES = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
STATUS = struct.Struct("i")


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


class ServerLost(ConnectionError):
    """The server was killed before it had forked."""


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
        _Server.of_this_process(loaded)


def start_child(target: str, arguments: list, files: list[int]) -> Child:
    """Call `target` ("module:function") as target(*arguments, *files) in a new process; `files` are open descriptors.

    Raises ServerLost where the server of the forks was killed; the next call starts another.
    """
    status, writer = Pipe(duplex=False)
    with contextlib.closing(writer):
        if start_method() == "forkserver":
            pid = _Server.of_this_process().fork(target, arguments, [writer.fileno(), *files])
        else:
            pid = _spawn(target, arguments, files, os.dup(writer.fileno()))
    return Child(pid, status)


def _spawn(target: str, arguments: list, files: list[int], status: int) -> int:
    call = f"import tplearn.forkserver as f; f.call({target!r}, {arguments!r}, {files!r})"
    process = subprocess.Popen(_python(call), pass_fds=files, stdin=subprocess.DEVNULL)

    def tell() -> None:
        with open(status, "wb") as pipe:
            pipe.write(STATUS.pack(process.wait()))

    threading.Thread(target=tell, daemon=True).start()
    return process.pid


def _python(code: str) -> list[str]:
    """A command that runs code with this process's flags and import path."""
    flags = subprocess._args_from_interpreter_flags()  # as multiprocessing does
    return [sys.executable, *flags, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]


def call(target: str, arguments: list, files: list[int]) -> None:
    """Call "module:function"."""
    module, _, name = target.partition(":")
    getattr(importlib.import_module(module), name)(*arguments, *files)


class _Server:
    """This process's end of the socket to its server; one request at a time, from any thread."""

    _known: dict[int, "_Server"] = {}  # of this process; a forked child must not talk to its parent's
    _lock = threading.Lock()

    @classmethod
    def of_this_process(cls, loaded: Iterable[str] = LOADED) -> "_Server":
        with cls._lock:
            server = cls._known.get(os.getpid())
            if server is None or server.process.poll() is not None:
                server = cls._known[os.getpid()] = cls(loaded)
            return server

    def __init__(self, loaded: Iterable[str]) -> None:
        self.socket, theirs = socket.socketpair()
        with contextlib.closing(theirs):
            code = f"import tplearn.forkserver as f; f.serve({theirs.fileno()}, {list(loaded)!r})"
            # A session of its own: the stop button and Ctrl-C do not reach it.
            environment, none = LARGE_PAGES | dict(os.environ), subprocess.DEVNULL
            self.process = subprocess.Popen(
                _python(code), pass_fds=[theirs.fileno()], stdin=none, start_new_session=True, env=environment
            )

    def fork(self, target: str, arguments: list, files: list[int]) -> int:
        request = json.dumps([target, arguments]).encode() + b"\n"
        with self._lock:
            try:
                socket.send_fds(self.socket, [request], files)
                told = self.socket.recv(STATUS.size)
            except OSError:
                told = b""
            if not told:
                self.process.kill()
                self.process.wait()
                raise ServerLost
        return STATUS.unpack(told)[0]


def serve(descriptor: int, modules: list[str]) -> None:
    """The life of the server: import, then fork for each request, then say how each child ended."""
    client = socket.socket(fileno=descriptor)
    for module in modules:
        with contextlib.suppress(Exception):  # the rank will import it itself, and raise where somebody reads it
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is loaded is never looked at again, so that its pages stay shared
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
            pid = os.fork()
            if pid == 0:
                _become(request, client, [woken, wake, *children.values()], files)
            children[pid] = files[0]
            for file in files[1:]:
                os.close(file)
            with contextlib.suppress(OSError):  # it has gone; the next read says so
                client.send(STATUS.pack(pid))


def _become(request: bytes, client: socket.socket, others: list[int], files: list[int]) -> None:
    """The child: nothing of the server stays, then its own work."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    client.close()
    for file in [*others, files[0]]:
        os.close(file)
    try:
        call(*json.loads(request), files[1:])
    finally:
        os._exit(1)
