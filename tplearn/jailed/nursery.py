"""The first process of a jail: it imports torch once, and forks a rank for each request.

Each rank is alone in a process namespace and a mount namespace of its own, with its own work folder and its own five
files, without sockets, locks or any way to start a process. So ranks of one jail reach each other through the hub only.
What remains is time: a rank can feel how busy the cores and caches are, and another can make them busy. That carries a
few bits a second, and no sandbox on shared cores stops it. The nursery runs no student code and reads nothing from
ranks. It keeps capabilities inside the jail's user namespace, which ranks lose.

Without walls it is an ordinary process, and so are its ranks, each in a work folder that the judge has made for it.
They keep their limits and lose the same system calls and more. Where the kernel has Landlock, they reach no files but
the readable ones and their own; where not, all that the user can. That is for answers of a class that one trusts.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from tplearn.jailed.limits import Limits, give_up

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
PR_SET_PDEATHSIG = 1
REQUEST_BYTES = 1 << 16


@dataclass(frozen=True)
class Order:
    """A rank that is wanted. function: "module:function". files: what it reads, writes and prints to."""

    number: int
    function: str
    limits: Limits
    files: list[int]


def serve(descriptor: int, modules: Sequence[str], readable: Sequence[str] | None = None) -> None:
    """The life of the nursery: imports, then answers each message on a socket (SOCK_SEQPACKET, JSON) until it ends.

    It says ["born"] with a file that stands for itself, ["ready"] after its imports, ["rank", n] with a file that
    stands for the new process, ["refused", n, why], and ["ended", n, exit code, processor seconds].
    It hears ["rank", n, "module:function", limits] with three files: what the rank reads, writes and prints to.
    readable: None inside walls; else what ranks may read, and n is the name of the rank's work folder in this one.
    """
    judge = socket.socket(fileno=descriptor)
    itself = os.pidfd_open(os.getpid())
    socket.send_fds(judge, [b'["born"]'], [itself])
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # pages that the collector does not touch stay shared with the forks
    judge.send(b'["ready"]')
    ranks: dict[int, tuple[int, int]] = {}  # file that stands for the process -> its pid, the judge's number for it
    while True:
        ready, _, _ = select.select([judge, *ranks], [], [])
        for file in set(ready) & set(ranks):
            pid, number = ranks.pop(file)
            os.close(file)
            _, status, used = os.wait4(pid, 0)
            seconds = used.ru_utime + used.ru_stime
            judge.send(json.dumps(["ended", number, os.waitstatus_to_exitcode(status), seconds]).encode())
        if judge in ready:
            message, files, _, _ = socket.recv_fds(judge, REQUEST_BYTES, 3)
            if not message:
                os._exit(0)  # the judge has gone, and all ranks go with this process
            _, number, function, limits = json.loads(message)
            try:
                pid = _fork(itself, judge, Order(number, function, Limits(**limits), files), readable)
                file = os.pidfd_open(pid)
            except OSError as error:
                judge.send(json.dumps(["refused", number, str(error)]).encode())
            else:
                ranks[file] = pid, number
                socket.send_fds(judge, [json.dumps(["rank", number]).encode()], [file])
            for file in files:
                os.close(file)


def _fork(itself: int, judge: socket.socket, order: Order, readable: Sequence[str] | None) -> int:
    """A new rank's pid. Inside walls it is process 1 of its own namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    walls = readable is None
    if walls:
        _must(libc.unshare(CLONE_NEWPID), "unshare")
    pid = os.fork()
    if pid == 0:
        _become(libc, judge, order, readable)
    if walls:
        _must(libc.setns(itself, CLONE_NEWPID), "setns")  # or the next fork would land in the rank's namespace
    return pid


def _become(libc: ctypes.CDLL, judge: socket.socket, order: Order, readable: Sequence[str] | None) -> None:
    """The fork: nothing of the nursery stays, then the function, which is given files 3 and 4. Never returns."""
    code = 1
    try:
        judge.detach()
        # Opened anew: ranks must not share an open file, whose flags they set.
        nothing = os.open("/dev/null", os.O_RDWR)
        reads, writes, prints, nothing = (fcntl.fcntl(file, fcntl.F_DUPFD, 5) for file in [*order.files, nothing])
        for place, file in enumerate([nothing, prints, prints, reads, writes]):
            os.dup2(file, place)
        os.closerange(5, os.sysconf("SC_OPEN_MAX"))
        if readable is None:
            _must(libc.unshare(CLONE_NEWNS), "unshare")
            room = f"size={order.limits.files},nr_inodes=1000,mode=1777".encode()
            _must(libc.mount(b"none", b"/jail/work", b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, room), "mount")
            os.chdir("/jail/work")
        else:
            os.chdir(str(order.number))
            os.environ["HOME"] = os.environ["TMPDIR"] = tempfile.tempdir = os.getcwd()
        give_up(order.limits, readable)
        if readable is not None:  # inside them the kernel ends a rank with the nursery
            libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        module, _, name = order.function.partition(":")
        getattr(importlib.import_module(module), name)(3, 4)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code & 0xFF)


def _must(answer: int, call: str) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
