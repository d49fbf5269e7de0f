"""The server that ranks are forked from: it loads torch once, while the process that wants the ranks loads its own.

The lowest floor: to start it, nothing that needs torch may be imported.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from multiprocessing.context import BaseContext

START_METHODS = ("forkserver", "spawn")
# By name, since they are higher floors: what the ranks of a notebook run, so that none of them pays for its import.
LOADED = ("tplearn.ranks.preload", "tplearn.parallel", "tplearn.checks", "tplearn.llama")


def start_method() -> str:
    """TPLEARN_START_METHOD, or forkserver on Linux and spawn elsewhere (macOS frameworks do not survive a fork)."""
    method = os.environ.get("TPLEARN_START_METHOD", "forkserver" if sys.platform == "linux" else "spawn")
    if method not in START_METHODS or method not in multiprocessing.get_all_start_methods():
        raise ValueError(
            f"TPLEARN_START_METHOD = {method!r} cannot be used here; values that work: {', '.join(START_METHODS)}"
        )
    return method


def start_context(loaded: Iterable[str] = LOADED) -> BaseContext:
    """The multiprocessing context of the start method; the fork server is told what to load when it starts."""
    context = multiprocessing.get_context(start_method())
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(list(loaded))
    return context


def warm_up(loaded: Iterable[str] = LOADED) -> None:
    """Start the server now, where ranks will be wanted soon: it loads torch (seconds) while this process goes on.

    loaded: the modules that the ranks will need.
    """
    if "RANK" not in os.environ:  # torchrun has started the ranks
        ensure_server(start_context(loaded))


def ensure_server(context: BaseContext) -> None:
    """Start the server of the forks where it is not up. It shall not hear the stop button while it loads torch:
    a signal that is blocked stays blocked in a new process."""
    if context.get_start_method() != "forkserver":
        return
    from multiprocessing import forkserver, resource_tracker

    with interrupt_waits(), main_module_hidden():
        resource_tracker.ensure_running()  # first, because it unblocks the signal when it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def interrupt_waits() -> Iterator[None]:
    """The stop button waits until the block is over: inside, it would leave a process that nobody knows of."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pressed:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def main_module_hidden() -> Iterator[None]:
    """multiprocessing would run the reader's script again in every child; cloudpickle carries all that is needed."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
