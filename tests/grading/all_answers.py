"""Hands in every mutant and lazy answer of the course, a notebook each: all must get 0, mutants a name for it.

    python -m tests.grading.all_answers OUT [--chapters 02 07] [--seed 1] [-j 2] [--kinds mutant lazy]

Prints, for each exercise, what has passed, what was not named, and what was named otherwise. The same OUT goes on.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.grading.klass import wrong_answers
from tests.grading.users import ROOT
from tplearn.checks import Exercise, exercises
from tplearn.grading.course_cells import course_cells, prerequisites, solution_of

GRADE = [str(Path(sys.executable).parent / "tplearn"), "grade"]
Names = dict[str, tuple[str, str, str]]  # student -> (exercise, kind, name)


def notebook(exercise: Exercise, source: str) -> dict[str, Any]:
    """A notebook with one answer, below the course's own cells; of its chapter's other exercises it has no cell."""
    above = [*course_cells(exercise.name), *(solution_of(name) for name in prerequisites(exercise.name))]
    marks = {"grade": False, "grade_id": exercise.name, "locked": False, "schema_version": 3, "solution": True}
    cells = [_code(each, {}) for each in above] + [_code(source, {"nbgrader": marks | {"task": False}})]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def write_all(folder: Path, chapters: list[str], kinds: list[str]) -> Names:
    """Write a folder for each wrong answer."""
    names: Names = {}
    for exercise in (one for chapter in chapters for one in exercises(chapter)):
        for k, ((kind, name), source) in enumerate(wrong_answers(exercise).items(), start=1):
            if kind in kinds:
                student = f"{exercise.number}-{k:03}"
                names[student] = exercise.name, kind, name
                (folder / student).mkdir(parents=True, exist_ok=True)
                (folder / student / f"{exercise.number[:2]}.ipynb").write_text(json.dumps(notebook(exercise, source)))
    return names


def found(report: Path, names: Names) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(exercise, kind, name, its mark) of each."""
    for student in json.loads(report.read_text())["students"]:
        exercise, kind, name = names[student["student"]]
        for mark in (mark for sheet in student["sheets"] for mark in sheet["marks"]):
            if mark["name"] == exercise:
                yield exercise, kind, name, mark


def main() -> None:
    """Hand them in and print what came of it; the exit code is 1 where one has passed or was not graded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--chapters", nargs="+", default=[f"{number:02}" for number in range(1, 19)])
    parser.add_argument("--kinds", nargs="+", default=["mutant", "lazy"])
    parser.add_argument("--seed", default="1")
    parser.add_argument("-j", "--jobs", default="2")
    given = parser.parse_args()
    folder, out = given.out / "answers", given.out / "report"
    names = write_all(folder, given.chapters, given.kinds)
    print(f"{len(names)} wrong answers", flush=True)
    command = [*GRADE, str(folder), "--out", str(out), "--seed", given.seed, "-j", given.jobs]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    counts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for exercise, kind, name, mark in found(out / "report.json", names):
        counts[exercise][_kind_of(kind, name, mark)].append(f"{kind} {name!r} ({mark['status']})")
    heads = ("passed wrongly", "not graded", "not named", "named otherwise", "named", "lazy, 0 points")
    table = Table("exercise", *heads)
    for exercise, by_kind in counts.items():
        table.add_row(exercise, *(str(len(by_kind[head])) for head in heads))
    console = Console(width=130, highlight=False)
    console.print(table)
    for exercise, by_kind in counts.items():
        for head in heads[:4]:
            for what in by_kind[head]:
                console.print(f"{exercise}: {head}: {what}", markup=False)
    sys.exit(any(by_kind[head] for by_kind in counts.values() for head in heads[:2]))


def _kind_of(kind: str, name: str, mark: dict[str, Any]) -> str:
    if mark["status"] == "not graded":
        return "not graded"
    if mark["earned"]:
        return "passed wrongly"
    if kind == "lazy":
        return "lazy, 0 points"
    return "named" if mark["misconception"] == name else "named otherwise" if mark["misconception"] else "not named"


def _code(source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


if __name__ == "__main__":
    main()
