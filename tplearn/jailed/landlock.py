"""Landlock: a process gives up every file but those that it names, for good and without being root.

It is the part of a jail that an ordinary process can have (landlock(7), Linux 5.13 and later). Refused is what opens,
lists, makes, renames or removes a file. Not refused is what asks whether there is one, and how large it is. What
changes modes, owners and times has to be refused by other means (see seccomp.py).
"""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # on x86-64 and AArch64 alike
CREATE_RULESET_VERSION, RULE_PATH_BENEATH = 1, 1
PR_SET_NO_NEW_PRIVS = 38
# Bits of LANDLOCK_ACCESS_FS_ in linux/landlock.h.
WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in (1, 2, 3, 4, 5))
MAKE_DIR, MAKE_REG, REFER, TRUNCATE = (1 << bit for bit in (7, 8, 13, 14))
OF_FILES = WRITE_FILE | READ_FILE | TRUNCATE
READ = READ_FILE | READ_DIR
# No links, pipes or devices: whoever removes the folder must not be led out of it.
WORK = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
# What each version of the interface has added: bits for files, for TCP (bind, connect), for what leaves the domain
# (abstract sockets, signals). A younger kernel's are not known here, and stay as they are.
VERSIONS = {1: (0x1FFF, 0, 0), 2: (REFER, 0, 0), 3: (TRUNCATE, 0, 0), 4: (0, 3, 0), 5: (1 << 15, 0, 0), 6: (0, 0, 3)}


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """The version of the kernel's interface, from 1 on; 0 where it has none, or a container keeps it from us."""
    if sys.platform != "linux":
        return 0
    try:
        return _call(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            raise
        return 0


def handled(known: int) -> tuple[int, int, int]:
    """(bits for files, for TCP, for scopes) of all that a kernel with this version of the interface can refuse."""
    files, net, scoped = (sum(bits) for bits in zip(*(VERSIONS[n] for n in VERSIONS if n <= known), strict=True))
    return files, net, scoped


def keep_only(readable: Iterable[str], listed: Iterable[str], work: str) -> bool:
    """From here on this thread and its children reach no other files; False where the kernel has no Landlock.

    Args:
        readable: files and folders to read, with all that lies in them. Those that are not there are left out.
        listed: folders that may be listed, with those in them, whether or not their files may be read.
        work: the folder in which files and folders may be made, changed and removed.

    /dev/null, /dev/zero and /dev/urandom stay. Raises OSError where the kernel refuses: then the caller must not go on.
    """
    if not (known := version()):
        return False
    files, net, scoped = handled(known)
    asked = _Ruleset(files, net, scoped)
    rules = _call(CREATE_RULESET, ctypes.byref(asked), ctypes.sizeof(asked), 0)
    try:
        allowed = [(place, READ) for place in readable] + [(place, READ_DIR) for place in listed]
        allowed += [("/dev/null", READ_FILE | WRITE_FILE), ("/dev/zero", READ_FILE | WRITE_FILE)]
        for place, bits in [*allowed, ("/dev/urandom", READ_FILE), (work, WORK)]:
            _allow(rules, place, bits & files)
        libc = ctypes.CDLL(None, use_errno=True)
        nothing = ctypes.c_ulong(0)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        _call(RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return True


def _allow(rules: int, place: str, bits: int) -> None:
    try:
        file = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            bits &= OF_FILES
        if bits:
            _call(ADD_RULE, rules, RULE_PATH_BENEATH, ctypes.byref(_PathBeneath(bits, file)), 0)
    finally:
        os.close(file)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    if (answer := libc.syscall(ctypes.c_long(number), *words)) < 0:
        raise OSError(ctypes.get_errno(), f"landlock, system call {number}: {os.strerror(ctypes.get_errno())}")
    return answer
