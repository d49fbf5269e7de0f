"""What stops a run from outside, held back where it would do harm."""

import contextlib
import signal
import threading
from collections.abc import Iterator

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGALRM") if hasattr(signal, name)]


@contextlib.contextmanager
def interrupt_waits() -> Iterator[None]:
    """The stop button, and the alarm of a time limit, wait until the block is over.

    Inside, they would leave a process that nobody knows of, or half of a message unread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    previous = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)
