"""One rank: joins the group, runs the reader's function, reports what happens, and never outlives its parent."""

import bdb
import datetime
import faulthandler
import os
import pickle
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist

from tplearn.forkserver.forking import die_with_parent
from tplearn.ranks import values
from tplearn.ranks.events import Calls, Event, Exiting, Raised, Returned, Started
from tplearn.ranks.job import Job, finish_others, inside, leave, of_rank
from tplearn.ranks.recorder import Recorder
from tplearn.ranks.return_line import ReturnLine, code_of
from tplearn.ranks.source import code_line, name_line, reader_line, reader_line_of_error
from tplearn.ranks.threads import OWN

_exit = os._exit
NO_TERMINAL = (
    "{}: a rank has no terminal, so nobody can answer a debugger or input() there. Print instead, or call the function "
    "without run_ranks."
)


class Reporter:
    """The rank's end of the pipe to its parent; events of several threads do not mix."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.Lock()
        self.process = os.getpid()
        self.goodbye = threading.Event()

    def send(self, event: Event) -> None:
        if os.getpid() != self.process:
            return  # a process that the rank has forked, for a DataLoader, is none
        with self.lock:
            self.connection.send_bytes(pickle.dumps(event))

    def end_with_parent(self, folder: str) -> None:
        """A thread that hears the goodbye, or ends the process when the parent is gone: nothing stays behind."""
        try:
            self.connection.recv_bytes()
        except (EOFError, OSError):
            shutil.rmtree(folder, ignore_errors=True)
            _exit(0)
        self.goodbye.set()


def main(rank: int, world_size: int, folder: str, events: int, output: int) -> None:
    """The life of a rank. Never returns: the process ends when the parent has heard everything."""
    with reporting(rank, folder, events, output, output) as reporter:
        try:
            job: Job = pickle.loads(Path(folder, "job").read_bytes())
            job.take_place(rank, world_size)
            join_group(rank, world_size, f"{folder}/store")
            reporter.send(Started())
            _run(rank, job, reporter, Path(folder))
        except BaseException as error:  # sys.exit included: whatever ends the function is the parent's to judge
            reporter.send(raised(error))
        flush()
        reporter.goodbye.wait()
        leave()


@contextmanager
def reporting(rank: int, folder: str, events: int, output: int, errors: int) -> Iterator[Reporter]:
    """This process is a rank of its own: what it prints, and where it is, is the parent's to read.

    events, output, errors: descriptors of pipes to the parent; `output` and `errors` may be one.
    """
    _become_independent(output, errors)
    reporter = Reporter(Connection(events))
    threading.Thread(target=reporter.end_with_parent, args=(folder,), daemon=True, name=f"{OWN} parent").start()
    with open(f"{folder}/stack.{rank}", "w") as stack_file:
        faulthandler.enable(stack_file, all_threads=False)  # a crash in C++ leaves its Python line here
        if hasattr(faulthandler, "register"):
            faulthandler.register(signal.SIGUSR1, stack_file, all_threads=False)  # the parent asks where we are
        yield reporter


def _run(rank: int, job: Job, reporter: Reporter, folder: Path) -> None:
    fn, args, kwargs = values.load(folder / "call")
    announce(fn, reporter.send)
    args = [of_rank(value, rank) for value in args]
    kwargs = {key: of_rank(value, rank) for key, value in kwargs.items()}
    recorder = Recorder(rank, reporter.send) if job.record else None
    with ExitStack() as stack:
        profiler = stack.enter_context(torch.profiler.profile()) if job.profile else None
        if recorder:
            stack.enter_context(recorder.watching())
        stack.enter_context(inside())
        returned = stack.enter_context(ReturnLine(fn))
        result = fn(*args, **kwargs)
        finish_others()
    if profiler:
        values.dump(spans_of(profiler), folder / f"spans.{rank}")
    source, code = returned.where()
    try:
        # A file, because a pipe takes ten times as long for a gigabyte.
        values.dump(result, folder / f"value.{rank}")
    except Exception as error:
        what = f"returned a {type(result).__name__} that cannot be sent back: {error}"
        reporter.send(Raised(what, source, code, traceback.format_exc()))
        return
    flush()
    reporter.send(Returned(source, code, recorder.unwaited() if recorder else ()))


def announce(fn: object, send) -> None:  # noqa: ANN001
    """Report where the function begins, and let `os._exit` say its line first: it leaves no trace of it."""
    code = code_of(fn)
    if code is not None:
        place = code.co_filename, code.co_firstlineno
        send(Calls(name_line(*place), code_line(*place)))

    own = os.getpid()

    def exit_with_notice(status: int) -> None:
        if os.getpid() == own:  # and no child of the rank's, forked for a DataLoader
            send(Exiting(status, *reader_line(sys._getframe(1))))
        _exit(status)

    os._exit = exit_with_notice  # this process ends with the run


def raised(error: BaseException, no_terminal: str = NO_TERMINAL) -> Raised:
    """An exception as an event, at the reader's innermost line; no_terminal: what is said where it wants a terminal."""
    text = "".join(traceback.format_exception_only(error)).strip()
    asked = traceback.extract_tb(error.__traceback__)[-1].line or "" if error.__traceback__ else ""
    if isinstance(error, bdb.BdbQuit) or (isinstance(error, EOFError) and "input(" in asked):
        text = no_terminal.format(text)
    return Raised(text, *reader_line_of_error(error), traceback.format_exc())


def _become_independent(output: int, errors: int) -> None:
    """Own session (the stop button does not reach us, our children die with us), own output, end with the server."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    for descriptor in {output, errors}:
        os.close(descriptor)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 (lives as long as the process)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    die_with_parent()


def join_group(rank: int, world_size: int, store: str) -> None:
    """Meet the other ranks over a file that all of them can open."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(store, world_size),
        rank=rank,
        world_size=world_size,
        timeout=datetime.timedelta(hours=24),  # the parent judges; gloo's own timeout would only blur the report
    )


def flush() -> None:
    """What is printed is on its way to the parent."""
    sys.stdout.flush()
    sys.stderr.flush()


def spans_of(profiler: torch.profiler.profile) -> list[tuple[str, int, int]]:
    """(name, start ns, end ns) of every operator on this rank's main thread and in gloo; one clock for all ranks."""
    events = profiler.profiler.kineto_results.events()
    return [(event.name(), event.start_ns(), event.start_ns() + event.duration_ns()) for event in events]
