"""The thread beside a jail: hears the nursery, keeps the start of what ranks print, and looks at their memory.

Nothing in it waits for a rank. When the ranks together use up the memory, all of them are killed and the nursery stays:
they run one exercise, so which of them holds most is not the question.
"""

import json
import os
import selectors
import socket
import threading
import time

from tplearn.grading.jailed_rank import RankProcess, memory_of, pid_of

LOOK_SECONDS = 0.05
MESSAGE_BYTES = 1 << 16


class Attendant:
    """`ranks`: number -> rank, until it is closed and done. Whoever waits for a change, or adds one, holds `changed`.

    `nursery`: a file that stands for the nursery, None before it lives.
    """

    def __init__(self, control: socket.socket, memory: int) -> None:
        self.ranks: dict[int, RankProcess] = {}
        self.nursery: int | None = None
        self.ready = self.gone = False
        self.changed = threading.Condition()
        self._control, self._memory, self._shared = control, memory, 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._attend, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end, which comes when every process of the jail has gone."""
        self._thread.join()
        self._selector.close()
        if self.nursery is not None:
            os.close(self.nursery)
            self.nursery = None

    def _attend(self) -> None:
        try:
            self._listen()
        finally:  # whatever ends this thread, nobody may wait for what it would have told
            with self.changed:
                self.gone = True
                for rank in self.ranks.values():
                    rank.forget()
                self.changed.notify_all()

    def _listen(self) -> None:
        look = time.monotonic()
        while not self.gone or len(self._selector.get_map()) > 0:
            for key, _ in self._selector.select(LOOK_SECONDS):
                if key.data is None:
                    self._hear()
                elif not key.data.take_output():
                    self._selector.unregister(key.fd)
            if time.monotonic() - look >= LOOK_SECONDS:
                self._look()
                look = time.monotonic()

    def _hear(self) -> None:
        """One message of the nursery (see jailed/nursery.py), or its end."""
        try:
            message, files, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        except OSError:
            message, files = b"", []
        with self.changed:
            if not message:
                self.gone = True
                self._selector.unregister(self._control)
                for rank in self.ranks.values():
                    rank.fail()
            else:
                self._take(*json.loads(message), files=files)
            self.changed.notify_all()

    def _take(self, word: str, number: int = 0, *rest: object, files: list[int]) -> None:
        if word == "born":
            self.nursery = files[0]
        elif word == "ready":
            self.ready = True
            self._shared = memory_of(pid_of(self.nursery))
        elif word == "rank":
            self.ranks[number].start(files[0])
            self._selector.register(self.ranks[number].printed, selectors.EVENT_READ, self.ranks[number])
        elif word == "refused":
            self.ranks[number].refuse(str(rest[0]))
        elif word == "ended":
            self.ranks[number].end(*rest)

    def _look(self) -> None:
        with self.changed:
            self.ranks = {number: rank for number, rank in self.ranks.items() if not rank.done}
            ranks = [rank for rank in self.ranks.values() if rank.ending is None]
        if sum(max(0, rank.memory() - self._shared) for rank in ranks) > self._memory:
            for rank in ranks:
                rank.over_memory = True
                rank.kill()
