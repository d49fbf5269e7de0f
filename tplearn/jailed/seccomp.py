"""The system calls that a rank may not make: a table, as the kernel's own small programs want it.

Refused with EPERM are sockets, new processes and threads, other programs, memory that no limit counts, locks and
watches on files (ranks share the read-only ones, and could signal with them), and the doors to the kernel that bugs
come through most often. The numbers are those of asm/unistd_64.h (x86-64) and asm-generic/unistd.h (AArch64).

Outside a jail other processes and files of the same user are there. So a rank may not touch what Landlock leaves open
either: modes, owners, times and attributes of files, queues and memory that have a number, and what other processes are
due. Three calls name a process, and stay for the rank itself.

A rank that may have threads may call clone with the flags of glibc's pthread_create, to the bit, and with no others.
clone3 keeps its flags in memory, where a filter cannot look: ENOSYS makes glibc fall back on clone.
"""

import ctypes
import errno
import os
import platform
import struct

# Name -> number on x86-64, number on AArch64 (-1: it has none).
REFUSED = {
    "fork": (57, -1),
    "vfork": (58, -1),
    **(CLONES := {"clone": (56, 220), "clone3": (435, 435)}),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),  # also AF_VSOCK, which no network namespace holds back
    "socketpair": (53, 199),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "flock": (73, 32),
    "inotify_init": (253, -1),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "mincore": (27, 232),
    "cachestat": (451, 451),
    "sysinfo": (99, 179),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "open_tree_attr": (467, 467),
    "syslog": (103, 116),
    "modify_ldt": (154, -1),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}
# The same, of what is refused outside a jail only.
REFUSED_OUTSIDE = {
    **{"chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
    **{"chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54)},
    **{"utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88)},
    **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463)},
    **{"removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466)},
    "truncate": (76, 45),  # Landlock sees it from Linux 6.2 on
    **{"openat2": (437, 437), "file_setattr": (469, 469)},
    **{"msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_unlink": (241, 181)},
    **{"semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "shmctl": (31, 195)},
    **{"tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240)},
    **{"pidfd_send_signal": (424, 424), "process_mrelease": (448, 448), "setpgid": (109, 154)},
    **{"setpriority": (141, 140), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239)},
    **{"sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122)},
    **{"sched_setattr": (314, 274)},
}
# Calls whose first argument is a process; 0 means the rank too, which leads a group of its own.
OWN_ONLY = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
# Calls that open a file, and the offset of their flags. O_TRUNC empties the file also where they do not ask to write,
# and Landlock sees that from Linux 6.2 on only. Where they ask to, it always does.
OPENS = {"open": (2, -1, 24), "openat": (257, 56, 32)}
O_ACCMODE, O_TRUNC = 3, 0x200
# CLONE_ VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID (nptl/pthread_create.c).
THREAD = 0x3D0F00
FCNTL = (72, 25)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: no locks, no leases, no size of a pipe.
FCNTL_ALLOWED = (0, 1, 2, 3, 4, 1030)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # -> column above, AUDIT_ARCH of linux/audit.h
X32 = 0x40000000  # calls of x86-64's third numbering

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
REFUSE, UNKNOWN = ERROR | errno.EPERM, ERROR | errno.ENOSYS
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # operations of linux/filter.h
# Offsets in struct seccomp_data (of arguments the low half, little endian).
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT, SECOND_ARGUMENT_AT = 0, 4, 16, 24
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def program(machine: str, threads: bool = False, alone: int = 0) -> bytes:
    """The filter for a machine, as struct sock_filter after struct sock_filter.

    machine: as platform.machine() says it. threads: whether threads may be made, and still no process.
    alone: outside a jail, the number of the only process that it may signal; 0 inside, where there are no others.
    Raises ValueError for a machine whose call numbers are not known here.
    """
    if machine not in MACHINES:
        raise ValueError(f"no table of system calls for machine {machine!r}; there is one for {sorted(MACHINES)}")
    column, architecture = MACHINES[machine]
    table = REFUSED | (REFUSED_OUTSIDE if alone else {})
    table = {name: numbers for name, numbers in table.items() if not (threads and name in CLONES)}
    refused = sorted(numbers[column] for numbers in table.values() if numbers[column] >= 0)
    steps = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, REFUSE),
    ]
    if threads:
        clone, clone3 = (numbers[column] for numbers in CLONES.values())
        steps += [(EQUAL, 0, 4, clone), (LOAD, 0, 0, FIRST_ARGUMENT_AT), (EQUAL, 0, 1, THREAD)]
        steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
        steps += [(EQUAL, 0, 1, clone3), (RETURN, 0, 0, UNKNOWN)]
    for numbers in OWN_ONLY.values() if alone else ():
        steps += [(EQUAL, 0, 5, numbers[column]), (LOAD, 0, 0, FIRST_ARGUMENT_AT), (EQUAL, 1, 0, 0)]
        steps += [(EQUAL, 0, 1, alone), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    for number, flags_at in [(each[column], each[2]) for each in OPENS.values() if alone and each[column] >= 0]:
        steps += [(EQUAL, 0, 6, number), (LOAD, 0, 0, flags_at), (AND, 0, 0, O_TRUNC | O_ACCMODE)]
        steps += [(EQUAL, 1, 0, O_TRUNC), (EQUAL, 0, 1, O_TRUNC | O_ACCMODE), (RETURN, 0, 0, REFUSE)]
        steps += [(RETURN, 0, 0, ALLOW)]
    for number in refused:
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    steps += [(EQUAL, 1, 0, FCNTL[column]), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, SECOND_ARGUMENT_AT)]
    for command in FCNTL_ALLOWED:
        steps += [(EQUAL, 0, 1, command), (RETURN, 0, 0, ALLOW)]
    steps.append((RETURN, 0, 0, REFUSE))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def refuse_calls(threads: bool = False, walls: bool = True) -> None:
    """From here on this process cannot make the calls in the table, nor can its threads, where it may have any.

    walls: whether this is inside a jail, where no other process and no file of the user's is to be seen.
    Raises OSError where the kernel takes no filter.
    """

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    code = program(platform.machine(), threads, 0 if walls else os.getpid())
    room = ctypes.create_string_buffer(code, len(code))
    given = Program(len(code) // 8, ctypes.cast(room, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    asked = [(PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(given))]
    for option, value, pointer in asked:
        if libc.prctl(option, ctypes.c_ulong(value), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)):
            raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")
