"""Handles of collectives that are over: torch often waits for its own where nobody sees it (DDP)."""

from collections.abc import Callable

from torch._C._distributed_c10d import Work

from tplearn.ranks.recorder import Recorder

_is_completed = Work.is_completed  # torch's own: a recorder watches the script's calls of it


def forget_completed(recorder: Recorder, ended: Callable[[int], None] = lambda index: None) -> None:
    """Let go of torch's own handles (DDP's, FSDP's) that are over; ended(number) hears of every handle that is.

    Those of the script's own stay: at the end it is told for which of them it has not waited.
    """
    for key, handle in list(recorder.handles.items()):
        if _is_completed(handle.work):
            ended(handle.index)
            if not handle.by_reader:
                recorder.handles.pop(key, None)
