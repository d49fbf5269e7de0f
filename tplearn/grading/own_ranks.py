"""Ranks without a jail, for the course's own answers: references and mutants. They too reach each other by the hub."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tplearn.forkserver import Child, start_child
from tplearn.jailed.rank import main
from tplearn.ranks import values

END_SECONDS = 10.0


@dataclass(frozen=True)
class OwnRank:
    """The judge's ends of a rank's pipes, and its process."""

    read_fd: int
    write_fd: int
    child: Child

    def end(self) -> None:
        """Kill it, and close what is left."""
        if self.child.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)
            self.child.exit_code(END_SECONDS)
        self.child.status.close()
        os.close(self.read_fd)
        os.close(self.write_fd)

    def how_it_ended(self, seconds: float) -> str:
        code = self.child.exit_code(seconds)
        if code is None:
            return "ended"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def own_ranks(answer: Callable[..., Any] | None = None) -> Callable[[int], contextlib.AbstractContextManager]:
    """A bench for `observe_on_hub`: that many fresh processes that have `answer`, or wait for cells that define one."""

    @contextlib.contextmanager
    def bench(size: int) -> Iterator[list[OwnRank]]:
        ranks: list[OwnRank] = []
        with tempfile.TemporaryDirectory(prefix="tplearn-") as folder:
            values.dump(answer, Path(folder, "answer"))
            try:
                for _ in range(size):
                    ranks.append(_start(f"{folder}/answer"))
                yield ranks
            finally:
                for rank in ranks:
                    rank.end()

    return bench


def _start(answer: str) -> OwnRank:
    reads, told = os.pipe()
    heard, writes = os.pipe()
    try:
        child = start_child(f"{__name__}:live", [answer], [reads, writes])
    finally:
        os.close(reads)
        os.close(writes)
    return OwnRank(heard, told, child)


def live(answer: str, read_fd: int, write_fd: int) -> None:
    """A rank's process. What it prints interests nobody."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    main(read_fd, write_fd, values.load(Path(answer)))
