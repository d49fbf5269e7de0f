"""`tplearn grade`: from a folder of submissions to a folder of reports."""

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import tplearn
from tplearn.checks.registry import exercises
from tplearn.course.places import course_folder
from tplearn.grading.batch import Batch
from tplearn.grading.bubblewrap import version
from tplearn.grading.can_jail import can_jail
from tplearn.grading.course_file import CourseFile, read_course_file
from tplearn.grading.gather import Gathered
from tplearn.grading.inbox import read_inbox
from tplearn.grading.keeper import Keeper, Run, seed_for
from tplearn.grading.private import with_private
from tplearn.grading.publish import publish
from tplearn.grading.results import NOT_GRADED, Mark, Report
from tplearn.jailed import landlock


@dataclass(frozen=True)
class Order:
    """What the command line asks for. workers: answers that are run at a time. See `tplearn grade --help`."""

    submissions: Path
    out: Path
    workers: int
    seed: int | None = None
    course: Path | None = None
    canvas: Path | None = None
    moodle: Path | None = None
    jail: bool = True


def grade(order: Order) -> int:
    """Grade, write the reports, say what came out; the exit code: 2 where the grader failed on something, else 0.

    Raises:
        ValueError: an option, a file or a folder does not work; the message says which would.
        RuntimeError: student code cannot be jailed here, and `order.jail` asks for it.
    """
    chapters = {exercise.name: exercise.number[:2] for exercise in exercises()}
    course = read_course_file(order.course, chapters) if order.course else CourseFile()
    inbox = read_inbox(order.submissions, chapters)
    if not inbox.chapters:
        found = [str(stray) for one in inbox.submissions for stray in one.unreadable]
        raise ValueError(" ".join([f"{order.submissions} holds no exercise notebook that can be read.", *found[:3]]))
    reason = can_jail() if order.jail else None
    if reason:
        raise RuntimeError(f"{reason} Or grade a class that you trust with --no-jail.")
    jail, alone = (version(), False) if order.jail else ("", landlock.version() > 0)
    run = Run(seed_for(order.out, order.seed), course_hash(course), jail, alone)
    keeper = Keeper(order.out, run)
    gathered = Gathered(inbox, with_private(exercises(), course), keeper)
    with _shown(gathered) as done:
        hidden = [place.resolve() for place in (order.submissions, order.out, course_folder()) if place.is_dir()]
        batch = Batch(gathered.tasks, gathered.exercises, keeper, hidden=hidden, walls=order.jail, done=done)
        batch.run(order.workers)
    keeper.close()
    report = gathered.report(run, course, batch.marks)
    publish(report, order.out, course, order.canvas, order.moodle)
    _tell(report, order.out)
    return report.exit_code


def course_hash(course: CourseFile) -> str:
    """Of all that judges: the package, the course's notebooks, torch, and the class's own cases."""
    root = course_folder()
    package = Path(tplearn.__file__).parent
    files = [*package.rglob("*.py"), *root.glob("solutions/*.ipynb"), *root.glob("exercises/*.ipynb")]
    digest = hashlib.sha256(torch.__version__.encode())
    for path in [*sorted(files), *([course.cases] if course.cases else [])]:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


@contextmanager
def _shown(gathered: Gathered) -> Iterator[Callable[[str, Mark], None]]:
    """A progress bar on stderr: answers done, students done, and what the grader failed on."""
    waiting: dict[str, set[str]] = {}  # student -> keys that are not done
    for (student, _), key in gathered.keys.items():
        waiting.setdefault(student, set()).add(key)
    counts: Counter[str] = Counter()
    columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TextColumn("answers"))
    note = TextColumn("{task.fields[note]}")
    # The judge redirects sys.stderr for moments, so the bar holds the file itself.
    with Progress(*columns, note, TimeRemainingColumn(), console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("", total=len(gathered.tasks), note="")

        def done(key: str, mark: Mark) -> None:
            for student in [student for student, keys in waiting.items() if keys <= {key}]:
                del waiting[student]
            for keys in waiting.values():
                keys.discard(key)
            counts["failed"] += mark.status == NOT_GRADED
            students = len(gathered.inbox.submissions)
            failed = f", {counts['failed']} not graded" if counts["failed"] else ""
            bar.update(task, advance=1, note=f"{students - len(waiting)} of {students} students{failed}")

        yield done


def _tell(report: Report, out: Path) -> None:
    """What came out, in a few lines."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(report.boundary)
    statuses = Counter(mark.status for one in report.students for mark in one.marks)
    told = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    console.print(f"{len(report.students)} students, {len(report.exercises)} exercises, seed {report.seed}: {told}.")
    for one in report.students:
        for note in one.notes:
            console.print(f"{one.student}: {note}", markup=False)
    for stray in report.strays:
        console.print(stray, markup=False)
    console.print(f"The class: {out / 'index.html'}", markup=False)
