"""The one result that all reports come from: what each exercise of each student came to. As JSON, see results_json.

Nothing in it depends on when or how fast it was made, so that the same answers and the same seed give the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

from tplearn.grading.plain import number, one_line, plain

STATUSES = ("passed", "wrong", "error", "not attempted", "ready-made", "time limit", "memory limit", "exited")
STATUSES += ("unreadable", "missing", "not graded")
NOT_GRADED = "not graded"  # the grader failed, and not the answer: it has no points, not 0 points
SHORT = ("number", "name", "misconception", "chapter", "title", "notebook", "student", "course", "jail", "file")


class _Fit:
    """Makes every text of a dataclass fit for a report, whoever wrote it."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if isinstance(value, str):
                object.__setattr__(self, each.name, one_line(value) if each.name in SHORT else plain(value))
            elif isinstance(value, tuple | list):
                fit = tuple(plain(item) if isinstance(item, str) else item for item in value)
                object.__setattr__(self, each.name, fit)


@dataclass(frozen=True)
class Mark(_Fit):
    """What one exercise came to, for one student.

    reason, misconception, hint: for the student; they hold no hidden inputs. notes: sentences that change no points
    (lines that did not run here, a ledger that is the answer's own word). detail: for the teacher only, never in what
    a student sees: what was printed, a traceback, an answer that is the published one.
    """

    number: str
    name: str
    points: int
    status: str
    reason: str = ""
    misconception: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    detail: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for a status that there is not, or points that cannot be."""
        super().__post_init__()
        if self.status not in STATUSES:
            raise ValueError(f"status = {self.status!r} of {self.name} is none of {', '.join(STATUSES)}")
        if type(self.points) is not int or self.points < 0:
            raise ValueError(f"points = {self.points!r} of {self.name} must be a whole number from 0 on")

    @property
    def passed(self) -> bool:
        """Whether the answer is right on every case."""
        return self.status == "passed"

    @property
    def earned(self) -> int | None:
        """Points: all or none; None where the grader failed."""
        return None if self.status == NOT_GRADED else self.points if self.passed else 0

    @property
    def title(self) -> str:
        """As in the notebook: "02.3 row_parallel"."""
        return f"{self.number} {self.name}"

    def says(self) -> str:
        """For a student, in plain text, one thing a line."""
        lines = [self.status + (f": {self.reason}" if self.reason else "")]
        lines += [f"Misconception: {self.misconception}"] if self.misconception else []
        lines += [f"Look at: {self.hint}"] if self.hint else []
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True)
class Sheet(_Fit):
    """One chapter of one student. notebook: the file that is graded. deduction: percent taken off for lateness."""

    chapter: str
    title: str
    marks: tuple[Mark, ...]
    notebook: str = ""
    deduction: int = 0
    lateness: str = ""

    @property
    def earned(self) -> float | None:
        """Points after the deduction, to the hundredth; None where something is not graded."""
        earned = [mark.earned for mark in self.marks]
        if None in earned:
            return None
        return sum(earned) * (100 - self.deduction) / 100  # type: ignore[arg-type]

    @property
    def possible(self) -> int:
        """Points that could be earned."""
        return sum(mark.points for mark in self.marks)


@dataclass(frozen=True)
class Student(_Fit):
    """One student. student: what gradebooks match by. notes: about the files that were handed in."""

    student: str
    name: str
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Those of all chapters."""
        return tuple(mark for sheet in self.sheets for mark in sheet.marks)

    @property
    def earned(self) -> float | None:
        """Points of all chapters; None where something is not graded."""
        earned = [sheet.earned for sheet in self.sheets]
        return None if None in earned else round(sum(earned), 2)  # type: ignore[arg-type]

    @property
    def possible(self) -> int:
        """Points that could be earned."""
        return sum(sheet.possible for sheet in self.sheets)

    @property
    def score(self) -> str:
        """In words: "30 of 40 points"."""
        return f"{NOT_GRADED if self.earned is None else number(self.earned)} of {self.possible} points"


@dataclass(frozen=True)
class Report(_Fit):
    """A graded batch; students are kept sorted. seed: of the hidden inputs. course: a hash of what judged.

    jail: what held the answers, such as "bubblewrap 0.8.0"; "" where nothing did. strays: sentences about files that
    belong to no student. landlock: without a jail, whether the kernel kept answers from files that were not theirs.
    own_books: exercises whose ledger is kept where the answer runs.
    """

    title: str
    seed: int
    course: str
    jail: str
    students: tuple[Student, ...]
    strays: tuple[str, ...] = ()
    landlock: bool = False
    own_books: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Sort the students; raise ValueError where two are called the same."""
        super().__post_init__()
        students = sorted(self.students, key=lambda one: one.student)
        twice = sorted({one.student for one, other in pairwise(students) if one.student == other.student})
        if twice:
            raise ValueError(f"each student must be there once, but these are there twice: {', '.join(twice)}")
        object.__setattr__(self, "students", tuple(students))

    @property
    def boundary(self) -> str:
        """The first line of every report."""
        if self.jail:
            return f"Graded in a jail ({self.jail}): no answer could reach the judge, another answer or the network."
        without = "Trusted class only: graded without a jail"
        if self.landlock:
            return (
                f"{without}. Landlock kept answers from the judge's files, but they ran as processes of the same user."
            )
        return f"{without}, so an answer could read the judge's files and forge its grade."

    @property
    def not_graded(self) -> Iterator[tuple[Student, Mark]]:
        """Where the grader itself failed: listed first in every report."""
        return ((one, mark) for one in self.students for mark in one.marks if mark.status == NOT_GRADED)

    @property
    def exit_code(self) -> int:
        """2 where something is not graded, else 0."""
        return 2 if any(self.not_graded) else 0

    @property
    def exercises(self) -> tuple[Mark, ...]:
        """Each exercise of the batch once, by number, as some student's mark of it."""
        found: dict[str, Mark] = {}
        for mark in (mark for one in self.students for mark in one.marks):
            found.setdefault(mark.name, mark)
        return tuple(sorted(found.values(), key=lambda mark: _order(mark.number)))


def _order(number: str) -> tuple[str, int, str]:
    """02.10 comes after 02.9."""
    chapter, _, last = number.partition(".")
    return (chapter, int(last) if last.isdecimal() else 0, number)
