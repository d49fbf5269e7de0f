"""Notebooks, zips and reports that the tests make for themselves."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from tplearn.checks import exercises
from tplearn.grading.results import Mark, Report, Sheet, Student

CHAPTERS = {exercise.name: exercise.number[:2] for exercise in exercises()}
HOSTILE = "</title><script>alert(1)</script>\"'&\x1b[31m\ud800\u202etxt"
CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,Chapter 02 (991),Other (992),Final Score
,,,,,Manual Posting,,
    Points Possible,,,,,15,10,(read only)
"Lovelace, Ada",11,s11,ada,"A, B",,5,50
"Bob, Bob",12,s12,bob,A,3,6,60
"Cyd, Cyd",13,s13,cyd,A,7,7,70
"Dan, Dan",14,s14,dan,A,8,8,80
"Student, Test",99,,test,A,,,
"""
MOODLE = """Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (grade),Feedback comments
Participant 11,Ada Lovelace,ada@example.org,Submitted,,"15,00",-,
Participant 12,Bob,bob@example.org,Submitted,,"15,00",-,old
Participant 13,Cyd,cyd@example.org,Submitted,"7,00","15,00",-,old
Participant 14,Dan,dan@example.org,No submission,,"15,00",-,
"""
BIAS = "Your result minus the truth is (tp − 1) · bias. Every rank added it before the sum."


def code(source: Any, grade_id: Any = None, grade: bool = False) -> dict[str, Any]:
    """A code cell; with a grade_id it is an answer, and with `grade` a check."""
    marks = {"grade_id": grade_id, "grade": grade, "solution": not grade, "schema_version": 3, "task": False}
    metadata = {"nbgrader": marks} if grade_id is not None else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": 1}


def text(source: str = "words") -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(*cells: dict[str, Any], **changed: Any) -> bytes:
    """A notebook's file."""
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | changed).encode()


def answered(name: str, source: str = "def f(): ...") -> bytes:
    """A notebook with one answer."""
    return notebook(text(), code(source, name))


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def rows(text: str, separator: str = ",") -> list[list[str]]:
    """Of a CSV."""
    return list(csv.reader(io.StringIO(text), delimiter=separator))


def mark(name: str, status: str, reason: str = "", **more: Any) -> Mark:
    """A mark of one of chapter 02's exercises."""
    exercise = next(one for one in exercises("02") if one.name == name)
    return Mark(exercise.number, name, exercise.points, status, reason, **more)


def student(key: str, *marks: Mark, name: str = "", notes: tuple[str, ...] = (), **sheet: Any) -> Student:
    return Student(key, name or key, (Sheet("02", "Column and row", marks, "02.ipynb", **sheet),), notes)


def report(*students: Student, jail: str = "bubblewrap 0.8.0", **more: Any) -> Report:
    return Report("Tensor parallelism, autumn 2026", 7, "0123abcd", jail, students, **more)


def small_class(**more: Any) -> Report:
    """Three students: one is right, one shows misconceptions and is late, one could not be graded."""
    passed = mark("row_parallel", "passed")
    right = student("11", mark("split_columns", "passed"), passed, name="Ada Lovelace")
    wrong = mark(
        "row_parallel", "wrong", BIAS, misconception="bias × tp", hint="where the bias enters.", detail="SECRET"
    )
    late = {"deduction": 20, "lateness": "Handed in 1 day 3 hours after the deadline: 20 % less."}
    bob = student("12", mark("split_columns", "passed"), wrong, name=HOSTILE, notes=("02.pdf is no notebook.",), **late)
    broken = mark("row_parallel", "not graded", "The jail did not start.")
    return report(bob, student("13", mark("split_columns", "not attempted"), broken), right, **more)
