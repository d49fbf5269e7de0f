"""What a dispatch mode cannot see: waiting for a handle, making a group, starting a thread. For the time of a run."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch.distributed as dist
from torch._C._distributed_c10d import Work
from torch.distributed import distributed_c10d
from torch.utils._python_dispatch import _disable_current_modes

from tplearn.ranks.ledger import Row
from tplearn.ranks.source import reader_line

if TYPE_CHECKING:
    from tplearn.ranks.recorder import Recorder


@contextmanager
def watched_calls(recorder: "Recorder") -> Iterator[None]:
    """Inside, the recorder hears of these calls too."""
    plain_wait, plain_completed = Work.wait, Work.is_completed
    plain_new_group, plain_start = distributed_c10d._new_group_with_tag, threading.Thread.start

    def wait(work: Work, *args: Any, **kwargs: Any) -> Any:
        return recorder.wait(work, plain_wait, *args, **kwargs)

    def is_completed(work: Work) -> bool:
        completed = plain_completed(work)
        if completed:
            recorder.forget(work)
        return completed

    def unseen(name: str) -> Callable[..., Any]:
        plain = getattr(Work, name)

        def call(work: Work, *args: Any, **kwargs: Any) -> Any:
            recorder.forget(work)
            return plain(work, *args, **kwargs)

        return call

    def new_group(ranks: list[int] | None = None, *args: Any, **kwargs: Any) -> Any:
        world = tuple(range(dist.get_world_size()))
        members = tuple(sorted(world if ranks is None else ranks))
        come = members if kwargs.get("use_local_synchronization") else world  # who must make the group
        source, code = reader_line(sys._getframe(1))
        detail = f"ranks {list(members)}"

        def row_at(index: int) -> Row:
            return Row(recorder.rank, index, "new_group", come, source=source, code=code, detail=detail)

        index = recorder.enter(row_at, "", blocking=True)
        with _disable_current_modes():  # what torch itself sends to set a group up is not the reader's traffic
            group = plain_new_group(ranks, *args, **kwargs)
        recorder.done(index)
        return group

    def start(thread: threading.Thread) -> None:
        run = thread.run

        def recorded_run() -> None:
            with recorder.mode():
                run()

        thread.run = recorded_run
        plain_start(thread)

    with ExitStack() as stack:
        for place, name, replacement in (
            (Work, "wait", wait),
            (Work, "is_completed", is_completed),
            *((Work, name, unseen(name)) for name in ("get_future", "get_future_result", "synchronize")),
            (distributed_c10d, "_new_group_with_tag", new_group),
            (threading.Thread, "start", start),
        ):
            stack.enter_context(patch.object(place, name, replacement))
        yield
