"""Where a worker runs answers to one exercise: a jail with what the exercise may see, and fresh ranks for each."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tplearn.checks.exercise import Case, Exercise
from tplearn.grading.image import build_image, modules_of
from tplearn.grading.jail import MODULES, Jail
from tplearn.grading.jailed_rank import RankProcess
from tplearn.jailed.limits import Limits

CPU_SECONDS = 10  # of one process, for all cases of an exercise; the course's own answers need less than 2
CPU_SECONDS_JAX = 60  # programs are compiled
PATIENCE = 3  # so many times as long may it take by the clock, on a busy machine


class Room:
    """A jail for one exercise, and a bench for `observe_on_hub`: each call gives that many fresh ranks.

    cases: of which the answers will be run on some. place: a folder for the image. hidden: folders that no answer may
    see. walls: False for no jail.

    Ranks of one answer are gone before those of the next are there. The jail's first process runs no answer.
    Use it as a context manager, from a thread that lives as long as it does.
    """

    def __init__(
        self, exercise: Exercise, cases: Sequence[Case], place: Path, hidden: Sequence[Path], walls: bool
    ) -> None:
        self.exercise, self._cases, self._place = exercise, cases, place
        self._modules = modules_of(exercise)
        jax = any(module.partition(".")[0] == "jax" for module in self._modules)  # on its page, if not in its driver
        seconds = CPU_SECONDS_JAX if jax else CPU_SECONDS
        self.limits = Limits(cpu_seconds=seconds, threads=jax)
        self.timeout = float(PATIENCE * seconds)
        self._hidden, self._walls = hidden, walls
        self._used: list[RankProcess] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as held:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(dir=self._place)))
            build_image(self.exercise, folder, self._cases)
            modules = (*MODULES, *self._modules)
            jail = Jail.start([folder], hidden=self._hidden, modules=modules, walls=self._walls)
            self._jail = held.enter_context(jail)
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def begin(self) -> None:
        """Another answer comes: what the one before it has printed, and how it ended, is forgotten."""
        self._used = []

    @contextlib.contextmanager
    def bench(self, size: int) -> Iterator[list[RankProcess]]:
        """So many fresh ranks, which end with it."""
        ranks: list[RankProcess] = []
        try:
            for _ in range(size):
                ranks.append(self._jail.rank(limits=self.limits))
            yield ranks
        finally:
            for rank in ranks:
                rank.close()
            self._used += ranks

    @property
    def limit(self) -> str:
        """The limit that ended a rank since `begin`: "time limit", "memory limit", or "" for none."""
        return next((rank.ending.reason for rank in self._used if rank.ending and rank.ending.reason), "")

    @property
    def printed(self) -> str:
        """What was printed since `begin`, by all ranks one after the other."""
        return "".join(rank.output() for rank in self._used)
