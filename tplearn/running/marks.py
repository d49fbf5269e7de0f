"""The times of one rank, for the timeline: of its collectives, and of the first operators of its main thread.

They are written as they come, so that a rank that hangs or dies has left them. One clock holds for all ranks of a
machine: time.monotonic_ns.
"""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from tplearn.ranks.events import Block, Done, Enter, Event
from tplearn.ranks.ops import NAMESPACES
from tplearn.ranks.recorder import Recorder
from tplearn.running.bounds import OPERATORS, ROWS
from tplearn.running.handles import forget_completed


class Marks:
    """Writes one line of JSON for each: [what, number or name, nanoseconds, …]."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", buffering=1 << 16)
        self.lock = threading.Lock()
        self.operators_left = OPERATORS
        self.under_way: set[int] = set()  # asynchronous collectives whose end is not known
        self.look: Callable[[], None] = lambda: None

    def event(self, event: Event) -> None:
        """A collective begins, is waited for, or is over."""
        now = time.monotonic_ns()
        match event:
            case Enter(row=row) if row.index < ROWS:
                self._write("enter", row.index, now)
                if not event.blocking:
                    self.under_way.add(row.index)
            case Block(index) if index < ROWS:
                self._write("block", index, now)
            case Done(index) if index < ROWS:
                self.under_way.discard(index)
                self._write("done", index, now)
            case _:
                return
        self.file.flush()  # it may be the last

    def operators(self, recorder: Recorder) -> TorchDispatchMode:
        """What the thread runs under whose operators are noted, outside of the recorder's mode."""
        self.look = lambda: forget_completed(recorder, self._over)
        return Operators(self)

    def operator(self, name: str, start: int, end: int) -> None:
        """One operator has run. In between, collectives may have ended that nobody seems to wait for, as in DDP."""
        if self.under_way:
            self.look()
        self.operators_left -= 1
        self._write("operator", name, start, end)
        if not self.operators_left:
            self._write("cut", "operators", end)

    def _over(self, index: int) -> None:
        if index in self.under_way:
            self.under_way.discard(index)
            self._write("done", index, time.monotonic_ns())

    def _write(self, *mark: Any) -> None:
        with self.lock:
            self.file.write(json.dumps(mark) + "\n")


class Operators(TorchDispatchMode):
    """Times every operator that is no collective, as long as there is room."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.marks = marks

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch imports its compiler at a rank's first operator, as in tplearn.ranks.mode

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's signature)
        if func.namespace in NAMESPACES or not self.marks.operators_left:
            return func(*args, **(kwargs or {}))
        start = time.monotonic_ns()
        result = func(*args, **(kwargs or {}))
        self.marks.operator(func._schema.name, start, time.monotonic_ns())
        return result
