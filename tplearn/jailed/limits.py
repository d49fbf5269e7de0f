"""What a rank's process gives up for good before it runs a student's code: resources, user, rights, system calls."""

import ctypes
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tplearn.jailed.landlock import keep_only
from tplearn.jailed.seccomp import refuse_calls

NOBODY = 65534
THREADS = 128  # of all ranks of a jail, whose user nobody else is
PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True)
class Limits:
    """What one rank may use. Sizes are bytes.

    cpu_seconds: of processor time in the rank's whole life; then the kernel kills it.
    data: of private memory; a MemoryError says that it is reached.
    files: of one file that it writes, and of all of them together.
    open_files: file descriptors at a time.
    threads: whether it may have threads beside its first (JAX computes on some); never a process.
    """

    cpu_seconds: int = 60
    data: int = 2 << 30
    files: int = 16 << 20
    open_files: int = 64
    threads: bool = False


def give_up(limits: Limits, readable: Sequence[str] | None = None) -> None:
    """Take the limits, become nobody, lose every capability and the refused system calls. There is no way back.

    readable: None inside a jail. Outside it nobody could not read the packages, so the user stays, but where the
    kernel has Landlock it keeps these files and folders only, and the folder that it is in to work.
    Raises OSError where the kernel refuses one of these: then the caller must not go on.
    """
    os.setsid()
    walls = readable is None
    # Outside a jail the kernel would count every other process of the user too.
    threads = THREADS if walls else resource.getrlimit(resource.RLIMIT_NPROC)[1]
    for name, amount in {
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_DATA: limits.data,
        resource.RLIMIT_FSIZE: limits.files,
        resource.RLIMIT_NOFILE: limits.open_files,
        # Counts of these are kept by user, not by process: at 0 no rank can read another's from its own refusals.
        # Threads end that, so ranks that may have them should not run beside others.
        resource.RLIMIT_NPROC: threads if limits.threads else 0,
        resource.RLIMIT_SIGPENDING: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_STACK: 8 << 20,
    }.items():
        resource.setrlimit(name, (amount, amount))
    _lose_capabilities(NOBODY if walls else os.getuid())
    if readable is not None:
        keep_only(readable, sys.path, os.getcwd())
    refuse_calls(limits.threads, walls)


def _lose_capabilities(user: int) -> None:
    """The order matters: the bounding set needs a capability, and the change of user takes what is left."""
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) == 0:
        capability += 1  # up to the last one that this kernel knows
    libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
    if os.getuid() != user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")
