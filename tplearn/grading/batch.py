"""Grades many answers: workers take them exercise by exercise, because a jail is started for one exercise.

What is told apart here is whose fault something is. Where the grader fails, the answer is "not graded", never 0 points.
"""

import contextlib
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tplearn.checks.check import missing_for
from tplearn.checks.exercise import Exercise
from tplearn.checks.trial import Trial
from tplearn.grading.attempts import Cells, best_attempt
from tplearn.grading.keeper import Keeper
from tplearn.grading.marks import mark_of
from tplearn.grading.results import NOT_GRADED, Mark
from tplearn.grading.room import Room


@dataclass(frozen=True)
class Task:
    """An answer to be graded. tries: what is run for it (see `attempts`). key: of its finding."""

    exercise: str
    tries: tuple[Cells, ...]
    key: str


class Batch:
    """The tasks of a run, each key once, and the workers that do them.

    exercises: by name. hidden: folders that no answer may see. walls: whether there are jails. done: told each key.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        exercises: Mapping[str, Exercise],
        keeper: Keeper,
        *,
        hidden: Sequence[Path],
        walls: bool,
        done: Callable[[str, Mark], None],
    ) -> None:
        self.marks: dict[str, Mark] = {}
        self._exercises, self._keeper, self._hidden, self._walls, self._done = exercises, keeper, hidden, walls, done
        self._left = {task.key: task for task in reversed(tasks)}
        self._at_work: Counter[str] = Counter()  # workers, by exercise
        self._trials: dict[str, Trial | Exception] = {}
        self._queue = threading.Lock()
        self._judge = threading.Lock()  # torch's generator, and what is printed, belong to the whole process
        self._stop = threading.Event()

    def run(self, workers: int) -> None:
        """Do everything, with so many workers. An interrupt ends them, and what they had finished is kept."""
        for key in list(self._left):
            if mark := self._keeper.get(key):
                self._finish(self._left.pop(key), mark)
        threads = [threading.Thread(target=self._work) for _ in range(min(workers, len(self._left)))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._stop.set()
            for thread in threads:
                if thread.ident:
                    thread.join()

    def _work(self) -> None:
        exercise = ""
        with contextlib.ExitStack() as held:
            room: Room | None = None
            while (task := self._next(exercise)) and not self._stop.is_set():
                if task.exercise != exercise or room is None:
                    held.close()
                    exercise, room = task.exercise, None
                try:
                    trial = self._trial(exercise)
                    room = room or held.enter_context(
                        Room(trial.exercise, trial.cases, self._keeper.rooms, self._hidden, self._walls)
                    )
                    mark = self._graded(trial, room, task)
                except Exception as error:  # the grader's own: the batch goes on
                    held.close()
                    room = None
                    self._finish(task, self._failed(task, error))
                else:
                    self._keeper.put(task.key, mark)
                    self._finish(task, mark)

    def _next(self, exercise: str) -> Task | None:
        """A task of the same exercise, else one of an exercise that few work at and that has many left."""
        with self._queue:
            self._at_work[exercise] -= 1
            left = Counter(task.exercise for task in self._left.values())
            if not left:
                return None
            chosen = exercise if exercise in left else min(left, key=lambda name: (self._at_work[name], -left[name]))
            self._at_work[chosen] += 1
            key = next(key for key in reversed(self._left) if self._left[key].exercise == chosen)
            return self._left.pop(key)

    def _trial(self, name: str) -> Trial:
        """The exercise's cases and reference, once for all answers. Raises what that has raised."""
        with self._judge:
            if name not in self._trials:
                exercise = self._exercises[name]
                try:
                    if missing := missing_for(exercise):
                        raise RuntimeError(missing)
                    self._trials[name] = Trial(exercise, self._keeper.run.seed)
                except Exception as error:
                    self._trials[name] = error
            found = self._trials[name]
        if isinstance(found, Exception):
            raise found
        return found

    def _graded(self, trial: Trial, room: Room, task: Task) -> Mark:
        found = best_attempt(trial, room, task.tries, self._judge)
        return mark_of(found.verdict, found.status)

    def _failed(self, task: Task, error: Exception) -> Mark:
        exercise = self._exercises[task.exercise]
        reason = "The grader failed here, and not this answer."
        detail = "".join(traceback.format_exception(error))
        return Mark(exercise.number, exercise.name, exercise.points, NOT_GRADED, reason, detail=detail)

    def _finish(self, task: Task, mark: Mark) -> None:
        with self._queue:
            self.marks[task.key] = mark
        self._done(task.key, mark)
