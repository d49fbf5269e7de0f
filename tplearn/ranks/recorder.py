"""Records collectives inside a rank: one dispatch mode that sees every way torch has to communicate.

It reports each collective before it is issued, because afterwards may never come.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch
from torch import Tensor
from torch._C._distributed_c10d import Work
from torch.utils._python_dispatch import TorchDispatchMode

from tplearn.ranks.events import Block, Done, Enter, Event
from tplearn.ranks.ledger import Ledger, Row
from tplearn.ranks.mode import mode_for
from tplearn.ranks.ops import Call, backend_of, tensors_in
from tplearn.ranks.patches import watched_calls
from tplearn.ranks.source import called_by_reader, reader_line
from tplearn.ranks.threads import busy_beside

_active: list["Recorder"] = []  # those that watch this process, the innermost last


@dataclass(frozen=True)
class _Handle:
    """What an asynchronous collective has given back; kept, so that its id is not used again."""

    work: Work
    index: int
    brought: list[Tensor]
    by_reader: bool


class Recorder:
    """Sends `Enter` before each collective, `Block` where a thread starts to wait for it, `Done` when it is over.

    arrived(tensors): called with what a collective has brought, when it is there; a check may change it.
    """

    def __init__(
        self, rank: int, send: Callable[[Event], None], arrived: Callable[[list[Tensor]], None] | None = None
    ) -> None:
        self.rank, self.send = rank, send
        self.arrived = arrived or (lambda tensors: None)
        self.issued, self.ledger = 0, Ledger()  # so far; the ledger without the groups that were made
        self.lock = threading.Lock()  # numbers are sent in their order, whichever thread issues
        self.handles: dict[int, _Handle] = {}  # by id(work)
        self.pending: dict[int, int] = {}  # data_ptr of a functional collective's result -> its number
        self.over: Work | None = None  # a blocking collective that is waited for already, until torch waits too
        self.blocked: set[int] = set()  # threads that wait in a collective

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record all that happens inside, in threads that are started there too."""
        with watched_calls(self), mode_for(self):
            _active.append(self)
            try:
                yield
            finally:
                _active.remove(self)

    def mode(self) -> TorchDispatchMode:
        """What a thread must run under to be recorded; a mode holds for one thread."""
        return mode_for(self)

    def unwaited(self) -> tuple[int, ...]:
        """Numbers of the collectives that the reader's own code issued, and for whose handle nobody has waited."""
        return tuple(handle.index for handle in self.handles.values() if handle.by_reader)

    # --- what happens, in the order in which it does ----------------------------------------------------------

    def issue(self, call: Call, run: Callable[[], object], frame: FrameType, functional: bool) -> object:
        """Report a collective of torch and run it."""
        index = self.enter(lambda at: row_of(self.rank, at, call, frame), call.group.group_name, not call.asynchronous)
        result = run()
        given = result[-1] if isinstance(result, tuple) and result else result
        if call.asynchronous and functional:
            self.pending.update((tensor.untyped_storage().data_ptr(), index) for tensor in tensors_in(result))
        elif call.asynchronous:
            work = Work.unbox(given)
            self.handles[id(work)] = _Handle(work, index, call.brought, called_by_reader(frame))
        else:
            work = Work.unbox(given) if isinstance(given, torch.ScriptObject) else None
            if work is not None:  # NCCL gives none back for what it has put in the stream that the caller is in
                work.wait()
                self.over = work
            self._has_come(index, tensors_in(result) if functional else call.brought)
        return result

    def enter(self, row_at: Callable[[int], Row], group_name: str, blocking: bool) -> int:
        """Report a collective; its number on this rank, which row_at makes a row of."""
        with self.lock:
            index, self.issued = self.issued, self.issued + 1
            if (row := row_at(index)).op != "new_group":
                self.ledger.rows.append(row)
            self.send(Enter(row, group_name, blocking, *self._waits(blocking)))
        return index

    def block(self, index: int) -> None:
        """This thread begins to wait for a collective."""
        self.send(Block(index, *self._waits(True)))

    def done(self, index: int) -> None:
        """This thread has what it waited for."""
        self.blocked.discard(threading.get_ident())
        self.send(Done(index, threading.get_ident()))

    def wait(self, work: Work, plain: Callable[..., object], *args: object, **kwargs: object) -> object:
        """`work.wait(...)`, of which `plain` is torch's own."""
        if work is self.over:  # torch waits for it once more, and gloo would fill the result once more
            self.over = None  # a handle keeps its tensors
            return True
        handle = self.handles.pop(id(work), None)
        if handle is None:
            return plain(work, *args, **kwargs)
        self.block(handle.index)
        result = plain(work, *args, **kwargs)
        self._has_come(handle.index, handle.brought)
        return result

    def forget(self, work: Work) -> None:
        """The handle is waited for in a way that cannot be seen, such as its future."""
        self.handles.pop(id(work), None)

    def wait_tensor(self, tensor: Tensor, plain: Callable[[Tensor], Tensor]) -> Tensor:
        """The same for the result of a functional collective."""
        index = self.pending.pop(tensor.untyped_storage().data_ptr(), None)
        if index is None:
            return plain(tensor)
        self.block(index)
        result = plain(tensor)
        self._has_come(index, [result])
        return result

    def _has_come(self, index: int, brought: list[Tensor]) -> None:
        """A GPU only queues a collective: whether its peers have come is known once the stream has done it."""
        for device in {tensor.device for tensor in brought if tensor.is_cuda}:
            if not torch.cuda.is_current_stream_capturing():
                torch.cuda.current_stream(device).synchronize()
        self.done(index)
        self.arrived(brought)

    def _waits(self, blocking: bool) -> tuple[int, int]:
        """(this thread, other threads of the reader's that may still do something)."""
        thread = threading.get_ident()
        if blocking:
            self.blocked.add(thread)
        return thread, busy_beside(self.blocked) if blocking else 0


def row_of(rank: int, index: int, call: Call, frame: FrameType, transport: str | None = None) -> Row:
    """A collective as a row of the ledger, at the reader's line."""
    source, code = reader_line(frame)
    return Row(
        rank=rank,
        index=index,
        op=call.op,
        group=call.ranks,
        shape=call.shape,
        dtype=call.dtype,
        reduce_op=call.reduce_op,
        root=call.root,
        peer=call.peer,
        bytes=call.bytes,
        source=source,
        code=code,
        transport=transport or backend_of(call),
        tag=call.tag,
    )


def exchange(call: Call, transport: str, run: Callable[[], Tensor]) -> Tensor:
    """Run a blocking collective that is none of torch's, and let every recorder see it."""
    frame, group = sys._getframe(1), call.group.group_name
    numbers = [
        recorder.enter(lambda index, rank=recorder.rank: row_of(rank, index, call, frame, transport), group, True)
        for recorder in _active
    ]
    result = run()
    for recorder, index in zip(_active, numbers, strict=True):
        recorder.done(index)
        recorder.arrived([result])
    return result


def is_recorded() -> bool:
    """Whether a recorder watches this process."""
    return bool(_active)


def ledger_so_far() -> Ledger:
    """What the innermost recorder that watches this process has seen; it goes on growing."""
    return _active[-1].ledger
