"""Whether other threads of a rank may still do something, while one of them waits in a collective."""

import sys
import threading
from collections.abc import Collection

OWN = "tplearn"  # how the names of this package's own threads begin


def busy_beside(waiting: Collection[int]) -> int:
    """How many of the reader's threads, beside those that wait in collectives, may still bring what others wait for.

    A daemon thread is expected to serve (tqdm's monitor, a pinning thread), and one that waits for another thread
    without a limit goes on only when that one does.
    """
    if threading.active_count() <= 2:  # the main thread and our own
        return 0
    frames = sys._current_frames()
    return sum(
        thread.ident not in waiting
        and not thread.daemon
        and not thread.name.startswith(OWN)
        and not _waits_for_a_thread(frames.get(thread.ident))
        for thread in threading.enumerate()
    )


def _waits_for_a_thread(frame: object) -> bool:
    """In threading's own code (join, a lock, a condition, an event), with no time limit."""
    if frame is None or frame.f_code.co_filename != threading.__file__:
        return False
    return frame.f_locals.get("timeout", -1) in (None, -1)
