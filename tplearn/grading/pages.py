"""HTML pages: one for each student, one of the class for the teacher. Self-contained, without scripts or network.

Everything that a student or a file has named is escaped by the templates, and the pages forbid scripts to the browser.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tplearn.grading.plain import number
from tplearn.grading.results import STATUSES, Mark, Report, Student

TEMPLATES = Path(__file__).parent / "templates"
MOST_FREQUENT = 12


def student_page(report: Report, student: Student) -> str:
    """The page that a student may see: points, a word, one reason, the misconception, a hint. No `Mark.detail`."""
    return _rendered("student.html", report=report, student=student)


def class_page(report: Report, links: Mapping[str, str] | None = None) -> str:
    """The teacher's page: what is not graded, scores by exercise, misconceptions, every student, what was printed.

    links: {student: address of their page, relative to this one}.
    """
    graded = [mark for one in report.students for mark in one.marks]
    names = [mark.name for mark in report.exercises]
    by_name: dict[str, list[Mark]] = {name: [] for name in names}
    for mark in graded:
        by_name[mark.name].append(mark)
    students = sorted(report.students, key=lambda one: one.earned is not None)  # not graded first
    return _rendered(
        "class.html",
        report=report,
        exercises=[_exercise_row(marks) for marks in by_name.values()],
        statuses=[status for status in STATUSES if any(mark.status == status for mark in graded)],
        misconceptions=_misconceptions(graded, len(report.students)),
        students=[_student_row(one, names, (links or {}).get(one.student, "")) for one in students],
        noted=[one for one in report.students if one.notes],
        detailed=[(one, mark) for one in report.students for mark in one.marks if mark.detail],
    )


def _exercise_row(marks: list[Mark]) -> dict[str, Any]:
    """How one exercise went: a bar, and a row of the table beside it."""
    exercise = marks[0]
    counts = Counter(mark.status for mark in marks)
    passed, students = counts["passed"], len(marks)
    return {
        "label": exercise.title,
        "points": exercise.points,
        "students": students,
        "counts": counts,
        "share": passed / students,
        "value": f"{passed} of {students}",
        "words": f"{passed} of {students} students pass",
    }


def _misconceptions(marks: list[Mark], students: int) -> list[dict[str, Any]]:
    """The most frequent ones, with the first sentence that was said to somebody about each."""
    said: dict[tuple[str, str], str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for mark in marks:
        if mark.misconception:
            counts[mark.title, mark.misconception] += 1
            said.setdefault((mark.title, mark.misconception), mark.reason)
    frequent = sorted(counts, key=lambda key: (-counts[key], key))[:MOST_FREQUENT]
    return [
        {
            "name": name,
            "label": f"{name} ({title.partition(' ')[0]})",
            "exercise": title,
            "says": said[title, name],
            "share": counts[title, name] / counts[frequent[0]],  # bars against the most frequent one
            "value": counts[title, name],
            "words": f"{counts[title, name]} of {students} students",
        }
        for title, name in frequent
    ]


def _student_row(one: Student, names: list[str], link: str) -> dict[str, Any]:
    marks = {mark.name: mark for mark in one.marks}
    off = ", ".join(f"{sheet.chapter}: {sheet.deduction}" for sheet in one.sheets if sheet.deduction)
    return {"student": one, "link": link, "off": off, "marks": [marks.get(name) for name in names]}


def _rendered(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values) + "\n"


@cache
def _templates() -> Any:
    """The templates, which escape whatever is put into them, and fail where a value is missing."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number
    return made
