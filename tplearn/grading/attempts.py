"""An answer is run in its notebook, and where it fails there, once more beside the course's own cells.

So neither a broken cell above it nor an earlier exercise that went wrong costs twice. Passed either way is passed.
"""

import re
import threading
from dataclasses import dataclass

from tplearn.checks.compare import Failure
from tplearn.checks.exercise import Exercise
from tplearn.checks.probe import shift, shifted
from tplearn.checks.trial import STATUS_OF_FAILURE, Trial, stub_met
from tplearn.checks.verdict import Verdict
from tplearn.grading.answers import Answer
from tplearn.grading.court import CellsFailed, observe_alone, observe_on_hub
from tplearn.grading.image import course_cells, prerequisites, solution_of
from tplearn.grading.room import Room
from tplearn.grading.sitting import Setup
from tplearn.jailed.absent import ABSENT, YOURS

Cells = tuple[tuple[str, str], ...]  # (label, source)
PREPARE_JAX = "tplearn.checks.under_jax:prepare"
ASKED_FOR = re.compile(rf"(?P<path>tplearn[\w.]*) {ABSENT}: (?P<why>[^.]*)\.")
OUT_OF_MEMORY = ("MemoryError", "can't allocate memory")
# What says more than a failure that may be another cell's.
SAYS_MORE = ("wrong", "not attempted", "ready-made")


@dataclass(frozen=True)
class Attempt:
    """What an answer came to. status: as `results.STATUSES` names it.

    elsewhere: what failed is not the answer, but a cell above it, or the stub of another exercise that it calls.
    """

    verdict: Verdict
    status: str
    elsewhere: bool = False


def attempts(exercise: Exercise, answer: Answer) -> tuple[Cells, ...]:
    """What is run, in this order until one passes: the notebook up to the answer, then the answer in the course's."""
    own = tuple((f"cell [{cell.number}]", cell.source) for cell in answer.cells)
    given = [(f"the course's cell [{k}]", source) for k, source in enumerate(course_cells(exercise.name), start=1)]
    needed = [(f"the course's {name}", solution_of(name)) for name in prerequisites(exercise.name)]
    beside = (*given, *needed, own[-1])
    same = [source for _, source in own] == [source for _, source in beside]
    return (own,) if same else (own, beside)


def best_attempt(trial: Trial, room: Room, tries: tuple[Cells, ...], judge: threading.Lock) -> Attempt:
    """The first that passes; else the one that says most about the answer itself.

    judge: held while one is judged, which takes what belongs to the whole process: torch's generator, what is printed.
    """
    first = attempt(trial, room, tries[0], judge)
    if len(tries) == 1 or (first.status in ("passed", "not attempted") and not first.elsewhere):
        return first
    second = attempt(trial, room, tries[1], judge)
    more = second.status in SAYS_MORE and first.status not in SAYS_MORE
    return second if second.status == "passed" or first.elsewhere or more else first


def attempt(trial: Trial, room: Room, cells: Cells, judge: threading.Lock) -> Attempt:
    """Run an answer on the cases of a trial, and judge what it did."""
    exercise = trial.exercise
    room.begin()
    prepare = PREPARE_JAX if exercise.jax else ""
    setup = Setup(exercise.observe, cells, exercise.name, shifted(exercise.observe), prepare, exercise.held)
    try:
        if exercise.ranks:
            seen = observe_on_hub(trial.tried, setup, room.bench, room.timeout, shift=shift)
        else:
            seen = observe_alone(trial.tried, setup, room.bench, room.timeout)
    except CellsFailed as stop:
        verdict = _of_cells(exercise, stop.failure, room.printed)
        return Attempt(verdict, room.limit or _status(exercise, verdict), elsewhere=True)
    with judge:
        verdict = trial.verdict(seen, room.printed)
    ended = verdict.status in STATUS_OF_FAILURE.values()
    status = (ended and room.limit) or _status(exercise, verdict)
    return Attempt(verdict, status, elsewhere=stub_met(exercise, seen) not in (None, exercise.name))


def _of_cells(exercise: Exercise, failure: Failure, printed: str) -> Verdict:
    """The verdict where a cell failed before there was a function to call."""
    status = STATUS_OF_FAILURE.get(failure.kind, "error")
    what = f"{failure.kind}: {failure.text}" if status == "error" else failure.text
    told = f"Running the cells up to your function failed. {what}\n  {failure.detail}"
    return Verdict(exercise, status, explanation=told, printed=printed)


def _status(exercise: Exercise, verdict: Verdict) -> str:
    """The verdict's, or what an error says beside it."""
    asked = ASKED_FOR.search(verdict.explanation) if verdict.status == "error" else None
    if asked and (asked["why"] == YOURS or any(_overlap(asked["path"], path) for path in exercise.ready)):
        return "ready-made"
    if verdict.status == "error" and any(sign in verdict.explanation for sign in OUT_OF_MEMORY):
        return "memory limit"
    return verdict.status


def _overlap(path: str, other: str) -> bool:
    """Whether one dotted name is inside the other, or both end alike: a package hands on what its modules define."""
    same_name = path.rpartition(".")[2] == other.rpartition(".")[2]
    return same_name or f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")
