"""What a rank is given, and how an ordinary process is made of a fork: its place, its random numbers, its end."""

import atexit
import contextlib
import logging
import multiprocessing
import os
import random
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

from tplearn.ranks.source import Cell, learn_cells
from tplearn.ranks.threads import OWN

INSIDE = "TPLEARN_RANK_PROCESS"  # in the environment of a rank: its process, as long as the reader's function runs
_exit = os._exit  # a rank watches the reader's calls of it


@dataclass(frozen=True)
class PerRank:
    """An argument that differs by rank; made by `per_rank`."""

    values: tuple

    def of(self, rank: int) -> object:
        """The value of a rank."""
        return self.values[rank]


def of_rank(value: object, rank: int) -> object:
    """An argument as a rank gets it."""
    return value.of(rank) if isinstance(value, PerRank) else value


@dataclass(frozen=True)
class Job:
    """What every rank of a run takes from the process that wants it; read from `job` in the run's folder."""

    environment: dict[str, str]
    folder: str  # where the caller works
    path: list[str]
    argv: list[str]
    umask: int
    cells: dict[str, Cell]
    threads: int
    record: bool
    profile: bool

    @staticmethod
    def here(threads: int, record: bool, profile: bool, cells: dict[str, Cell]) -> "Job":
        """As this process is now."""
        os.umask(mask := os.umask(0o077))
        return Job(dict(os.environ), os.getcwd(), sys.path, sys.argv, mask, cells, threads, record, profile)

    def take_place(self, rank: int, world_size: int) -> None:
        """Be where the caller is, with torchrun's names for one's place, and with random numbers of one's own."""
        import torch  # here: who gives the job may need none of it

        os.environ.clear()
        os.environ.update(self.environment)
        place = {"RANK": rank, "WORLD_SIZE": world_size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world_size}
        os.environ.update({name: str(value) for name, value in place.items()})
        os.chdir(self.folder)
        os.umask(self.umask)
        sys.path[:], sys.argv[:] = self.path, self.argv
        learn_cells(self.cells)
        _forget_exit_functions()
        torch.set_num_threads(self.threads)
        draw_anew()


@contextlib.contextmanager
def inside() -> Iterator[None]:
    """While the reader's function runs on this rank."""
    before = os.environ.get(INSIDE)
    os.environ[INSIDE] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(INSIDE)
        if before is not None:
            os.environ[INSIDE] = before


def is_inside() -> bool:
    """Whether this very process is a rank that runs a reader's function; a process that it has started is not."""
    return os.environ.get(INSIDE) == str(os.getpid())


def draw_anew() -> None:
    """Every generator begins as in a fresh process: forks would all go on with the same numbers, the server's."""
    import torch

    torch.seed()
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _forget_exit_functions() -> None:
    """At its end this process runs the reader's exit functions, and not those of torch: they take longer than a run."""
    for finalizer in list(weakref.finalize._registry):
        finalizer.atexit = False
    atexit._clear()
    for function in (logging.shutdown, weakref.finalize._exitfunc):
        atexit.register(function)


def finish_others() -> None:
    """What an ordinary process waits for before it ends: its threads, and the processes that it has started."""
    for thread in threading.enumerate():
        own = thread.name.startswith(OWN) or thread is threading.current_thread()
        if not own and not thread.daemon:
            thread.join()
    for child in multiprocessing.active_children():
        if child.daemon:
            child.terminate()
        child.join()


def leave(status: int = 0) -> None:
    """End as an interpreter ends, but for what hangs there: gloo's threads abort a process that tears them down."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    _exit(status)
