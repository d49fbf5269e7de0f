"""What the tests run in a rank that may have threads: each does harm as well as it can, or uses JAX."""

import ctypes
import os
import platform
import subprocess
import threading
import time

from inside_jail import calls, outcome, say, shared_memory

from tplearn.jailed.seccomp import CLONES, MACHINES, THREAD

SIGCHLD, CLONE_THREAD, CLONE_VFORK, CLONE_VM = 17, 0x10000, 0x4000, 0x100
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
__all__ = ["bomb", "calls", "headless", "product", "threads"]
EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # of one thread


def threads(read_fd: int, write_fd: int) -> None:
    """A thread, and every way to a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone, clone3 = (numbers[MACHINES[platform.machine()][0]] for numbers in CLONES.values())

    def asked(number: int, *arguments: int) -> int:
        ctypes.set_errno(0)
        libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        return ctypes.get_errno()

    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(os.getpid()))
    thread.start()
    thread.join()
    flags = [0, SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD, THREAD & ~CLONE_THREAD]
    flags += [THREAD | more for more in (CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID)]
    answer = {
        "found": found,
        "fork": outcome(os.fork),
        "program": outcome(lambda: subprocess.run(["/bin/true"])),
        "spawn": outcome(lambda: os.posix_spawn("/bin/true", ["true"], {})),
        "become": outcome(lambda: os.execv("/bin/true", ["true"])),
        "clone": [asked(clone, each, 0, 0, 0, 0) for each in flags],
        "clone3": asked(clone3, 0, 0),
    }
    say(write_fd, answer)


def bomb(read_fd: int, write_fd: int) -> None:
    """As many threads as there can be, which then all work."""
    go, held = threading.Event(), 0

    def work() -> None:
        go.wait()
        while True:
            pass

    try:
        while True:
            threading.Thread(target=work, daemon=True).start()
            held += 1
    except RuntimeError:
        say(write_fd, held)
    go.set()
    work()


def headless(read_fd: int, write_fd: int) -> None:
    """Its first thread ends, and with it what /proc tells of its memory; another one goes on taking shared memory."""
    threading.Thread(target=lambda: (time.sleep(0.1), shared_memory(read_fd, write_fd))).start()
    ctypes.CDLL(None).syscall(ctypes.c_long(EXIT), ctypes.c_long(0))


def product(read_fd: int, write_fd: int) -> None:
    """A sharded product on eight devices of JAX: [the product, whether it took an all-reduce, devices, open files]."""
    import jax
    import numpy as np
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    mesh = jax.make_mesh((2, 4), ("batch", "model"), axis_types=(AxisType.Auto,) * 2)
    rows, inner, out = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ACROSS)
    a = jax.device_put(np.arange(32, dtype=np.float32).reshape(4, 8), rows)
    b = jax.device_put(np.arange(16, dtype=np.float32).reshape(8, 2), inner)
    program = jax.jit(lambda a, b: a @ b, out_shardings=out).lower(a, b).compile()
    files = [file for file in range(64) if outcome(lambda file=file: os.fstat(file)) != "OSError"]
    answer = [np.asarray(program(a, b)).tolist(), "all-reduce" in program.as_text(), len(jax.devices()), files]
    say(write_fd, answer)


ACROSS = (("batch", "model"), ("model", None), ("batch", None))
