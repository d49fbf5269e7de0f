"""Gradebooks: a plain CSV, the columns that Canvas imports, a Moodle worksheet filled. Each takes a report, gives text.

Where the grader failed the teacher's own cell stays as it was: no 0 is written.
"""

import csv
import html
import io
import re
from collections.abc import Callable, Mapping

from tplearn.grading.course_file import MOODLE
from tplearn.grading.plain import number, one_line
from tplearn.grading.results import NOT_GRADED, Report, Student

CANVAS_WHO = ("Student", "ID", "SIS User ID", "SIS Login ID", "Integration ID", "Root Account", "Section")
ASSIGNMENT = re.compile(r"(?P<title>.+) \(\d+\)")
POSSIBLE = "Points Possible"
MAXIMUM = "Maximum grade"
Rows = list[list[str]]


def gradebook(report: Report) -> str:
    """One row a student, one column an exercise, for any spreadsheet. Write it as "utf-8-sig", or Excel guesses wrong.

    Without a jail a row above the headings says so. A cell that a spreadsheet would take for a formula begins with '.
    """
    exercises = report.exercises
    names = [f"{mark.title} ({mark.points})" for mark in exercises]
    rows = [] if report.jail else [[report.boundary]]
    rows.append(["student", "name", *names, "percent off", "earned", "possible"])
    for one in sorted(report.students, key=lambda one: one.earned is not None):  # not graded first
        marks = {mark.name: mark for mark in one.marks}
        points = [_points(marks[each.name].earned) if each.name in marks else "" for each in exercises]
        off = " ".join(f"{sheet.chapter}: {sheet.deduction}" for sheet in one.sheets if sheet.deduction)
        rows.append([one.student, one.name, *points, off, _points(one.earned), str(one.possible)])
    return _written([[_no_formula(cell) for cell in row] for row in rows])


def canvas(report: Report, export: str, assignment: str) -> str:
    """A CSV that Canvas imports into one assignment, made from the gradebook that the teacher has exported there.

    Args:
        export: the exported CSV's text. Rows are matched by the column ID. Who was not graded here keeps what it says.
        assignment: its title, or its heading in the export, "<title> (<id>)"; "" where the export has only one.

    Raises:
        ValueError: the export has no such columns, or gives the assignment other points than the exercises have.
    """
    rows, separator = _read(export, "ID", "Canvas export")
    head = rows[0]
    assignments = [name for name in head if ASSIGNMENT.fullmatch(name)]
    matching = [name for name in assignments if assignment in ("", name, ASSIGNMENT.fullmatch(name)["title"])]
    if len(matching) != 1:
        how = "several columns" if matching else "no column"
        raise ValueError(
            f"the Canvas export has {how} for assignment = {assignment!r}; it has: {', '.join(assignments) or 'none'}. "
            "Name one of them in course.toml, as [canvas] assignment"
        )
    here, who = head.index(matching[0]), head.index("ID")
    possible = next((row[here] for row in rows[1:] if row[0].strip() == POSSIBLE), "")
    _same_points(possible, report, f"Canvas gives {matching[0]!r}")
    _fill(rows, who, lambda cell: cell, report, {here: lambda one, _: _points(one.earned)})
    kept = [place for place, name in enumerate(head) if name in CANVAS_WHO or place == here]
    return _written([[row[place] for place in kept] for row in rows], separator)


def moodle(report: Report, worksheet: str, headings: Mapping[str, str] = MOODLE) -> str:
    """The grading worksheet that the teacher has downloaded from Moodle, with grades and comments filled in.

    Args:
        worksheet: its text. Rows are matched by the number in the column Identifier; all other cells stay.
        headings: of the columns "identifier", "grade" and "comments" in the site's language.

    Raises:
        ValueError: the worksheet has no such columns, or gives other points than the exercises have.
    """
    rows, separator = _read(worksheet, headings["identifier"], "Moodle worksheet")
    head = rows[0]
    if headings["grade"] not in head:
        raise ValueError(f"the Moodle worksheet has no column {headings['grade']!r}; it has: {', '.join(head)}")
    largest = head.index(MAXIMUM) if MAXIMUM in head else None
    if largest is not None and len(rows) > 1:
        _same_points(rows[1][largest].replace(",", "."), report, "Moodle gives this assignment")
    cells: dict[int, Callable[[Student, list[str]], str]] = {head.index(headings["grade"]): _with_their_comma(largest)}
    if headings["comments"] in head:
        cells[head.index(headings["comments"])] = lambda one, _: comment(one)
    _fill(rows, head.index(headings["identifier"]), _last_number, report, cells)
    return _written(rows, separator)


def comment(student: Student) -> str:
    """What a student is told, as the little HTML that Moodle's comments hold."""
    lines = [student.score, *(sheet.lateness for sheet in student.sheets if sheet.lateness), *student.notes]
    for mark in student.marks:
        lines.append(f"{mark.title}: {_points(mark.earned)}/{mark.points}, {mark.says()}")
    return "<br>".join(html.escape(line) for text in lines for line in text.split("\n"))


def _last_number(cell: str) -> str:
    """Of "Participant 1234", in any language."""
    return (re.findall(r"\d+", cell) or [""])[-1]


def _with_their_comma(largest: int | None) -> Callable[[Student, list[str]], str]:
    """Grades with a comma where the worksheet's own numbers have one."""

    def grade(one: Student, row: list[str]) -> str:
        comma = largest is not None and "," in row[largest]
        return _points(one.earned).replace(".", ",") if comma else _points(one.earned)

    return grade


def _fill(
    rows: Rows,
    who: int,
    key: Callable[[str], str],
    report: Report,
    cells: Mapping[int, Callable[[Student, list[str]], str]],
) -> None:
    """Write into the rows of students who are graded: {column: what of a student goes there}."""
    students = {one.student: one for one in report.students if one.earned is not None}
    for row in rows[1:]:
        one = students.get(key(row[who]))
        if one:
            for place, write in cells.items():
                row[place] = write(one, row)


def _read(text: str, heading: str, what: str) -> tuple[Rows, str]:
    """The rows, all as long as the first, and what separates their cells: sites differ."""
    heads = []
    for separator in (",", ";", "\t"):
        rows = [
            row for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=separator) if row
        ]
        if rows and heading in rows[0]:
            return [row + [""] * (len(rows[0]) - len(row)) for row in rows], separator
        heads.append(rows[0] if rows else [])
    found = one_line(", ".join(max(heads, key=len))) or "nothing"
    raise ValueError(f"the {what} has no column {heading!r}; it has: {found}")


def _same_points(possible: str, report: Report, who: str) -> None:
    due = sum(mark.points for mark in report.exercises)
    try:
        same = not possible.strip() or float(possible) == due
    except ValueError:
        same = False
    if not same:
        raise ValueError(f"{who} {possible.strip()} points, and these exercises have {due}: make the two equal there")


def _points(earned: float | None) -> str:
    return NOT_GRADED if earned is None else number(earned)


def _no_formula(cell: str) -> str:
    return f"'{cell}" if cell[:1] in tuple("=+-@\t") else cell


def _written(rows: Rows, separator: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()
