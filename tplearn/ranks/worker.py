"""One rank: joins the group, runs the reader's function, reports what happens, and never outlives its parent."""

import ctypes
import datetime
import faulthandler
import linecache
import os
import pickle
import shutil
import signal
import sys
import threading
import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist

from tplearn.ranks import values
from tplearn.ranks.recorder import Recorder
from tplearn.ranks.source import ReturnLine, code_line, name_line, reader_line, reader_line_of_error

_PR_SET_PDEATHSIG = 1
_leave = os._exit


@dataclass(frozen=True)
class Job:
    """What every rank of a run is told; read from `job` in the run's folder, beside `call`: (fn, args, kwargs)."""

    environment: dict[str, str]
    cells: dict[str, tuple]  # linecache entries of notebook cells
    threads: int
    record: bool
    profile: bool


class Reporter:
    """The rank's end of the pipe to its parent; events of several threads do not mix."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.Lock()

    def send(self, kind: str, *payload: object) -> None:
        with self.lock:
            self.connection.send_bytes(pickle.dumps((kind, *payload)))

    def end_with_parent(self, folder: str) -> None:
        """A thread that ends the process at goodbye, or when the parent is gone; nothing of the run stays behind."""
        try:
            self.connection.recv_bytes()
        except (EOFError, OSError):
            shutil.rmtree(folder, ignore_errors=True)
        _leave(0)


def main(rank: int, world_size: int, connection: Connection, output: Connection, folder: str) -> None:
    """The life of a rank. Never returns: the process ends when the parent has heard everything."""
    _become_independent(output)
    reporter = Reporter(connection)
    threading.Thread(target=reporter.end_with_parent, args=(folder,), daemon=True).start()
    with open(f"{folder}/stack.{rank}", "w") as stack_file:
        faulthandler.enable(stack_file, all_threads=False)  # a crash in C++ leaves its Python line here
        if hasattr(faulthandler, "register"):
            faulthandler.register(signal.SIGUSR1, stack_file, all_threads=False)  # the parent asks where we are
        try:
            job: Job = pickle.loads(Path(folder, "job").read_bytes())
            _join_group(rank, world_size, job, folder)
            reporter.send("start")
            _run(rank, job, reporter, Path(folder))
        except BaseException as error:  # sys.exit included: whatever ends the function is the parent's to judge
            source, code = reader_line_of_error(error)
            text = "".join(traceback.format_exception_only(error)).strip()
            reporter.send("raise", text, source, code, traceback.format_exc())
        _flush()
        threading.Event().wait()


def _run(rank: int, job: Job, reporter: Reporter, folder: Path) -> None:
    linecache.cache.update(job.cells)
    fn, args, kwargs = values.load(folder / "call")
    code = getattr(fn, "__code__", None)
    if code is not None:
        where = name_line(code.co_filename, code.co_firstlineno), code_line(code.co_filename, code.co_firstlineno)
        reporter.send("calls", *where)
    args = [value.of(rank) if isinstance(value, PerRank) else value for value in args]
    kwargs = {key: value.of(rank) if isinstance(value, PerRank) else value for key, value in kwargs.items()}
    _announce_hard_exit(reporter)
    with ExitStack() as stack:
        profiler = stack.enter_context(torch.profiler.profile()) if job.profile else None
        if job.record:
            stack.enter_context(Recorder(rank, reporter.send).watching())
        returned = stack.enter_context(ReturnLine(fn))
        result = fn(*args, **kwargs)
    spans = _spans(profiler) if profiler else []
    source, text = returned.where()
    try:
        # A file, because a pipe takes ten times as long for a gigabyte.
        values.dump(result, folder / f"value.{rank}")
    except Exception as error:
        what = f"returned a {type(result).__name__} that cannot be sent back: {error}"
        reporter.send("raise", what, source, text, traceback.format_exc())
        return
    _flush()
    reporter.send("return", source, text, spans)


@dataclass(frozen=True)
class PerRank:
    """An argument that differs by rank; made by `per_rank`."""

    values: tuple

    def of(self, rank: int) -> object:
        return self.values[rank]


def _become_independent(output: Connection) -> None:
    """Own session (the stop button does not reach us, our children die with us), own output, end with the server."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 (lives as long as the process)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _join_group(rank: int, world_size: int, job: Job, folder: str) -> None:
    os.environ.clear()
    os.environ.update(job.environment)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(world_size)
    )
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    torch.set_num_threads(job.threads)
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(f"{folder}/store", world_size),
        rank=rank,
        world_size=world_size,
        timeout=datetime.timedelta(hours=24),  # the parent judges; gloo's own timeout would only blur the report
    )


def _announce_hard_exit(reporter: Reporter) -> None:
    """`os._exit` leaves no trace of its line: say it first. Only this process is changed, and it ends with the run."""

    def exit_with_notice(status: int) -> None:
        reporter.send("exit", status, *reader_line(sys._getframe(1)))
        _leave(status)

    os._exit = exit_with_notice


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _spans(profiler: torch.profiler.profile) -> list[tuple[str, int, int]]:
    """(name, start ns, end ns) of every operator on this rank's main thread and in gloo; one clock for all ranks."""
    events = profiler.profiler.kineto_results.events()
    return [(event.name(), event.start_ns(), event.start_ns() + event.duration_ns()) for event in events]
