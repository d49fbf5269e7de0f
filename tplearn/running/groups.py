"""The groups that a script makes by itself: init_process_group is an appointment too, and may be kept by some only."""

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlparse

import torch.distributed as dist
from torch.distributed import device_mesh, distributed_c10d

from tplearn.ranks.events import Renumbered
from tplearn.ranks.ledger import Row
from tplearn.ranks.recorder import Recorder
from tplearn.ranks.source import reader_line

INIT = "init_process_group"


class Lives:
    """How often this rank has made its default group: a group that is made anew has the name of the one before."""

    def __init__(self, recorder: Recorder, world_size: int) -> None:
        self.recorder, self.world_size = recorder, world_size
        self.count = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, the recorder hears of every init_process_group."""
        plain = distributed_c10d.init_process_group
        signature = inspect.signature(plain)

        def init_process_group(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            recorder = self.recorder
            if self._place(signature.bind(*args, **kwargs).arguments) != (recorder.rank, self.world_size):
                recorder.send(Renumbered())
                return plain(*args, **kwargs)
            source, code = reader_line(sys._getframe(1))
            ranks = tuple(range(self.world_size))
            index = recorder.enter(
                lambda index: Row(recorder.rank, index, INIT, ranks, source=source, code=code), INIT, blocking=True
            )
            try:
                return plain(*args, **kwargs)
            finally:
                recorder.done(index)

        with ExitStack() as stack:
            for module in (dist, distributed_c10d, device_mesh):
                stack.enter_context(patch.object(module, INIT, init_process_group))
            yield

    def _place(self, given: dict[str, Any]) -> tuple[int, int]:
        """(rank, world size) as init_process_group will take them: from its arguments, its URL, the environment."""
        asked = parse_qs(urlparse(given.get("init_method") or "").query)

        def number(name: str) -> int:
            value = given.get(name, -1)
            return value if value >= 0 else int(asked.get(name, [os.environ.get(name.upper(), "-1")])[0])

        return number("rank"), number("world_size")
