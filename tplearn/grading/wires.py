"""The judge's ends of the pipes to all ranks. It reads and writes only what goes without waiting, and keeps a cap."""

import contextlib
import os
import selectors
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from tplearn.jailed.forms import FRAME, WireError
from tplearn.jailed.wire import Inbox, encode

END_SECONDS = 1.0  # for a process whose pipe has ended to end itself
PIECE = 1 << 20  # bytes read of one rank before the next has its turn
QUEUED = 2 * FRAME  # bytes that may wait for one rank


@dataclass(frozen=True)
class Gone:
    """A rank's pipe has ended. how: what became of its process, such as "was killed by SIGKILL"."""

    how: str


class Channel(Protocol):
    """A rank as the judge holds it: it reads what the rank says, and writes what it is told."""

    read_fd: int
    write_fd: int

    def how_it_ended(self, seconds: float) -> str:
        """What became of its process, once it has ended or so much time is over: the rest of "Rank 1 …"."""


class Wires:
    """Messages to and from ranks."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = list(channels)
        self._inboxes = [Inbox() for _ in channels]
        self._out: list[deque[memoryview]] = [deque() for _ in channels]
        self._gone: set[int] = set()
        self._selector = selectors.DefaultSelector()
        for rank, channel in enumerate(channels):
            os.set_blocking(channel.read_fd, False)
            os.set_blocking(channel.write_fd, False)
            self._selector.register(channel.read_fd, selectors.EVENT_READ, rank)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def tell(self, rank: int, message: list[Any]) -> None:
        """Say it as soon as the rank reads. Raises WireError where it is too much for a frame, or for the queue."""
        data = encode(message)
        if sum(map(len, self._out[rank])) + len(data) > QUEUED:
            raise WireError(f"more than {QUEUED} bytes wait for rank {rank}, which does not read")
        self._out[rank].append(memoryview(data))
        self._write(rank)

    def hear(self, seconds: float) -> Iterator[tuple[int, Any]]:
        """What has come until then, as (rank, message): a WireError where it is none, or Gone."""
        for key, events in self._selector.select(max(0.0, seconds)):
            rank = key.data
            if events & selectors.EVENT_WRITE:
                self._write(rank)
            if events & selectors.EVENT_READ and rank not in self._gone:
                yield from self._read(rank)

    def _read(self, rank: int) -> Iterator[tuple[int, Any]]:
        try:
            data = os.read(self._channels[rank].read_fd, PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave(rank)
            yield rank, Gone(self._channels[rank].how_it_ended(END_SECONDS))
            return
        inbox = self._inboxes[rank]
        try:
            inbox.feed(data)
            while rank not in self._gone and (taken := inbox.take()) is not None:
                yield rank, taken[0]
        except WireError as error:
            self._leave(rank)
            yield rank, error

    def _write(self, rank: int) -> None:
        descriptor, queue = self._channels[rank].write_fd, self._out[rank]
        try:
            while queue:
                written = os.write(descriptor, queue[0])
                queue[0] = queue[0][written:]
                if not len(queue[0]):
                    queue.popleft()
        except BlockingIOError:
            if descriptor not in self._selector.get_map():
                self._selector.register(descriptor, selectors.EVENT_WRITE, rank)
            return
        except OSError:  # nobody reads any more; that it is gone is heard on the other pipe
            queue.clear()
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)

    def _leave(self, rank: int) -> None:
        self._gone.add(rank)
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._channels[rank].read_fd)
