"""What the tests run in a rank of a jail: it looks around, or does harm, and says what came of it."""

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tplearn.jailed.seccomp import MACHINES, REFUSED


def say(write_fd: int, answer: object) -> None:
    """One line of JSON to the judge."""
    os.write(write_fd, json.dumps(answer).encode() + b"\n")


def outcome(act: Callable[[], object]) -> str:
    """The name of the error that an act raises, or what it returns."""
    try:
        return repr(act())
    except BaseException as error:
        return type(error).__name__


def around(read_fd: int, write_fd: int) -> None:
    """All that a rank can find out about where it is. It reads the paths and folders to try, and says a dictionary."""
    paths, folders = json.loads(os.read(read_fd, 1 << 16))
    libc = ctypes.CDLL(None, use_errno=True)
    held = (ctypes.c_uint32 * 6)()
    libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), held)
    files = [os.path.join(folder, name) for folder, _, names in os.walk("/") for name in names]
    answer = {
        "uid": [*os.getresuid(), *os.getresgid()],
        "capabilities": list(held),
        "bounding": [libc.prctl(23, ctypes.c_ulong(number), 0, 0, 0) for number in range(41)],
        "no new privileges": libc.prctl(39, 0, 0, 0, 0),
        "open files": [file for file in range(2000) if outcome(lambda file=file: os.fstat(file)) != "OSError"],
        "proc": os.listdir("/proc"),
        "dev": sorted(os.listdir("/dev")),
        "environment": dict(os.environ),
        "arguments": sys.argv,
        "read": {path: outcome(lambda path=path: Path(path).read_bytes()) for path in paths},
        "folders": {folder: outcome(lambda folder=folder: os.listdir(folder)) for folder in folders},
        "notebooks": [name for name in files if name.endswith(".ipynb") and "site-packages" not in name],
        "environments": [name for name in files if name.endswith("/environ")],
        "tplearn": [name for name in files if "/tplearn/" in name],
        "checks": outcome(lambda: __import__("tplearn.checks")),
        "write": {
            where: outcome(lambda where=where: Path(where, "new").touch())
            for where in ("/", "/dev", "/proc", "/etc", "/usr", "/jail", "/jail/image/0", sys.path[-1])
        },
        "change": outcome(lambda: os.chmod("/jail/image/0", 0o777)),
        "remove": outcome(lambda: os.remove(__file__)),
        "socket": outcome(lambda: socket.create_connection(("127.0.0.1", 80), 1)),
        "local socket": outcome(lambda: socket.socket(socket.AF_UNIX)),
        "pair": outcome(socket.socketpair),
        "lock": outcome(lambda: fcntl.lockf(os.open(__file__, os.O_RDONLY), fcntl.LOCK_SH)),
        "limits": [
            resource.getrlimit(name)[1] for name in (resource.RLIMIT_NPROC, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)
        ],
        "raise a limit": outcome(lambda: resource.setrlimit(resource.RLIMIT_NPROC, (9, 9))),
        "other processes": [number for number in range(5000) if number != 1 and _lives(number)],
        "pid": [os.getpid(), os.getppid()],
    }
    say(write_fd, answer)


def reach(read_fd: int, write_fd: int) -> None:
    """Ways to other processes, whose numbers it reads: {number: what came of each}."""
    libc = ctypes.CDLL(None, use_errno=True)
    room = ctypes.create_string_buffer(64)
    piece = (ctypes.c_size_t * 2)(ctypes.addressof(room), 64)

    def asked(call: str, *arguments: object) -> int:
        ctypes.set_errno(0)
        getattr(libc, call)(*arguments)
        return ctypes.get_errno()

    numbers = json.loads(os.read(read_fd, 1 << 16))
    answer = {
        number: {
            "attach": asked("ptrace", 16, number, None, None),
            "read": asked("process_vm_readv", number, piece, 1, piece, 1, 0),
            "write": asked("process_vm_writev", number, piece, 1, piece, 1, 0),
            "file": outcome(lambda number=number: os.pidfd_open(number)) if number != 1 else "",
        }
        for number in numbers
    }
    say(write_fd, answer)


def _lives(number: int) -> bool:
    if number == 0:
        return False
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def calls(read_fd: int, write_fd: int) -> None:
    """{name of a refused call: errno}; the arguments make no sense, so that a call that is let through fails too."""
    column = MACHINES[platform.machine()][0]
    libc = ctypes.CDLL(None, use_errno=True)
    answer = {}
    for name, numbers in REFUSED.items():
        if numbers[column] >= 0:
            ctypes.set_errno(0)
            libc.syscall(ctypes.c_long(numbers[column]), *[ctypes.c_long(-1)] * 6)
            answer[name] = ctypes.get_errno()
    say(write_fd, answer)


def processes(read_fd: int, write_fd: int) -> None:
    """A fork bomb, daemons, threads, programs and a connection: what each attempt raises."""
    answers = {outcome(os.fork) for _ in range(1000)}
    with contextlib.suppress(OSError):
        os.setsid()
    answers |= {outcome(os.fork)}
    thread = outcome(lambda: threading.Thread(target=time.sleep, args=(99,)).start())
    program = outcome(lambda: subprocess.run(["/usr/bin/true"]))
    become = outcome(lambda: os.execv("/usr/bin/true", ["true"]))
    net = outcome(lambda: socket.create_connection(("127.0.0.1", 80), 1))
    say(write_fd, {"fork": sorted(answers), "thread": thread, "program": program, "become": become, "net": net})


def stubborn(read_fd: int, write_fd: int) -> None:
    """Ignores every signal that can be ignored, and never ends."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGINT)
    say(write_fd, "alive")
    while True:
        pass


def private_memory(read_fd: int, write_fd: int) -> None:
    """More and more memory of its own; the first answer is what a single large demand raises."""
    say(write_fd, outcome(lambda: bytearray(3 << 30)))
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)))


def shared_memory(read_fd: int, write_fd: int) -> None:
    """Memory that RLIMIT_DATA does not count."""
    held = []
    while True:
        held.append(mmap.mmap(-1, 1 << 20))
        held[-1].write(b"x" * (1 << 20))


def talkative(read_fd: int, write_fd: int) -> None:
    """300 MB of output, then the right answer."""
    for _ in range(300):
        print("x" * 999_999)
    sys.stdout.flush()
    say(write_fd, "right")


def spin(read_fd: int, write_fd: int) -> None:
    """Never ends, and answers nobody."""
    while True:
        pass


def leave(read_fd: int, write_fd: int) -> None:
    """Ends as it is told: by os._exit, by sys.exit, by a fault or by an error."""
    how = os.read(read_fd, 100).decode()
    if how == "_exit":
        os._exit(7)
    if how == "exit":
        sys.exit(3)
    if how == "fault":
        ctypes.string_at(0)
    raise RuntimeError("told to fail")


def silent(read_fd: int, write_fd: int) -> None:
    """Says that it has begun, closes its pipe to the judge, and goes on."""
    say(write_fd, "begun")
    os.close(write_fd)
    while True:
        pass


def trace(read_fd: int, write_fd: int) -> None:
    """Says what it finds of an earlier rank, then leaves all that it can."""
    mask = os.umask(0)
    found = {
        "files": os.listdir("."),
        "shared memory": os.path.exists("/dev/shm"),
        "environment": os.environ.get("LEFT"),
        "module": hasattr(json, "left"),
        "signal": str(signal.getsignal(signal.SIGUSR1)),
        "mask": mask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "processes": [number for number in range(2, 300) if _lives(number)],
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }
    Path("left").touch()
    os.environ["LEFT"] = json.left = "here"
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.setpriority(os.PRIO_USER, 0, 19)
    resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))
    print("left")
    say(write_fd, found)


def note(read_fd: int, write_fd: int) -> None:
    """Leaves a file where it may, then says twice what it finds there: the second time when it is told to."""
    name = os.read(read_fd, 100).decode()
    Path("/jail/work", name).touch()
    say(write_fd, os.listdir("/jail/work"))
    os.read(read_fd, 1)
    say(write_fd, os.listdir("/jail/work"))


def find(read_fd: int, write_fd: int) -> None:
    """What is in its work folder, and how large that can grow."""
    found = os.listdir(".")
    size = 0
    with contextlib.suppress(OSError), open("large", "wb", buffering=0) as file:
        while True:
            size += file.write(bytes(1 << 20))
    say(write_fd, [found, size, outcome(lambda: Path("second").write_bytes(bytes(1 << 20)))])


def backward(read_fd: int, write_fd: int) -> None:
    """A layer forward and backward, and late imports."""
    import torch
    import torch.distributed.tensor

    torch.manual_seed(int(os.read(read_fd, 100)))
    layer = torch.nn.Linear(64, 64, dtype=torch.float64)
    out = layer(torch.randn(32, 64, dtype=torch.float64))
    out.backward(torch.ones_like(out))
    say(write_fd, [layer.weight.grad.sum().item(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()])
