"""course.toml: what a teacher decides for a class. Every table and every key may be left out.

[course]
title = "Tensor parallelism, autumn 2026"

[deadlines]
timezone = "Europe/Berlin"
"02" = 2026-11-25 23:59:00             # a time in that zone; a day alone means its end
"03" = 2026-12-02T22:00:00Z            # or a time that says its zone

[late]
percent_per_day = 10                   # of what was earned, for each day that has begun
cap = 50                               # not more than so many percent; 100 where it is left out
grace_minutes = 30                     # so late is not late
days_if_only_marked = 1                # where the platform says "late" and no time

[points]
row_parallel = 20                      # instead of the course's 10

[private]
cases = "private_cases.py"             # hidden cases of your own, beside course.toml: see tplearn.grading.private

[canvas]
assignment = "Chapter 02"              # whose column is filled; may be left out where the export has only one

[moodle]                               # the headings of your worksheet, where the site is not in English
identifier = "Kennung"
grade = "Bewertung"
comments = "Feedback als Kommentar"
"""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tplearn.grading.late import Late, moment, zone

KEYS = {
    "course": ("title",),
    "late": ("percent_per_day", "cap", "grace_minutes", "days_if_only_marked"),
    "private": ("cases",),
    "canvas": ("assignment",),
    "moodle": ("identifier", "grade", "comments"),
}
TABLES = (*KEYS, "deadlines", "points")
MOODLE = {"identifier": "Identifier", "grade": "Grade", "comments": "Feedback comments"}
TITLE = "Tensor parallelism"


@dataclass(frozen=True)
class CourseFile:
    """What the file says; without one, `CourseFile()`.

    points: of exercises, by name, where they are not the course's. cases: the file with private cases, or None.
    canvas: the assignment's title in Canvas, or "". moodle: the headings of three columns of a Moodle worksheet.
    """

    title: str = TITLE
    late: Late = field(default_factory=Late)
    points: Mapping[str, int] = field(default_factory=dict)
    cases: Path | None = None
    canvas: str = ""
    moodle: Mapping[str, str] = field(default_factory=lambda: dict(MOODLE))


def read_course_file(path: Path, chapters: Mapping[str, str]) -> CourseFile:
    """Read course.toml.

    Args:
        path: the file; `[private] cases` is looked for in its folder.
        chapters: {exercise's name: its chapter, such as "02"}: what `[points]` and `[deadlines]` may name.

    Raises:
        ValueError: it is no TOML, or a key in it is unknown or has a value that does not work. The message names the
            key, its value, and what would work.
        FileNotFoundError: there is no such file.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is no TOML: {error}") from None
    try:
        return _course(read, path.parent, chapters)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _course(read: dict[str, Any], folder: Path, chapters: Mapping[str, str]) -> CourseFile:
    _known(read, TABLES, "[{}]")
    for name, table in read.items():
        if not isinstance(table, dict):
            raise ValueError(f"{name} = {table!r} is no table; write [{name}] on a line of its own")
        _known(table, KEYS.get(name, tuple(table)), f"{{}} in [{name}]")
    due, late = dict(read.get("deadlines", {})), read.get("late", {})
    timezone = zone(_text("[deadlines] timezone", due.pop("timezone", "UTC")))
    _known(due, sorted(set(chapters.values())), "chapter {} in [deadlines]")
    points = read.get("points", {})
    _known(points, tuple(chapters), "exercise {} in [points]")
    moodle = {key: _text(f"[moodle] {key}", value) for key, value in read.get("moodle", {}).items()}
    return CourseFile(
        title=_text("[course] title", read.get("course", {}).get("title", TITLE)),
        late=Late(
            {chapter: moment(f"[deadlines] {chapter}", value, timezone) for chapter, value in due.items()},
            _whole("[late] percent_per_day", late.get("percent_per_day", 0), 0, 100),
            _whole("[late] cap", late.get("cap", 100), 0, 100),
            _whole("[late] grace_minutes", late.get("grace_minutes", 0), 0, 7 * 24 * 60),
            _whole("[late] days_if_only_marked", late.get("days_if_only_marked", 1), 0, 365),
        ),
        points={name: _whole(f"[points] {name}", value, 1, 1000) for name, value in points.items()},
        cases=_file("[private] cases", read["private"]["cases"], folder) if read.get("private") else None,
        canvas=_text("[canvas] assignment", read["canvas"]["assignment"]) if read.get("canvas") else "",
        moodle=MOODLE | moodle,
    )


def _known(table: Mapping[str, Any], names: Collection[str], what: str) -> None:
    """Every key is one of the names, or a ValueError says which was meant."""
    for key, value in table.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
            works = f"did you mean {' or '.join(near)}?" if near else f"these work: {', '.join(names)}"
            raise ValueError(f"there is no {what.format(key)} (it has the value {value!r}); {works}")


def _whole(key: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{key} = {value!r} must be a whole number from {least} to {most}")
    return value


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'{key} = {value!r} must be a text in quotes that is not empty, such as "{TITLE}"')
    return value


def _file(key: str, value: Any, folder: Path) -> Path:
    path = folder / _text(key, value)
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(
            f"{key} = {value!r} must name a Python file in {folder} or below it, such as 'private_cases.py'"
        )
    return path
