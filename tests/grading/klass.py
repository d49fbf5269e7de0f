"""A class of students, made up: published solutions, the course's wrong answers as cells, blanks, and faults.

    python -m tests.grading.klass FOLDER [--students 200] [--seed 0] [--chapters 02 07] [--plain]

Everybody hands in a notebook for each chapter. The same seed gives the same notebooks.
"""

import argparse
import functools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.checks.answers import Alone, tables
from tests.grading import twenty
from tests.grading.source_of import importable_for, source_of
from tplearn.checks import Exercise, exercises

ROOT = Path(__file__).parents[2]
# Of ten answers so many are the published one, a mutant, a lazy one, the stub.
KINDS = {"solution": 5, "mutant": 3, "lazy": 1, "blank": 1}
FAULTS = 0.05  # of the notebooks of a chapter that has faults


def make_class(
    folder: Path, students: int = 200, seed: int = 0, chapters: Sequence[str] = ("02", "07"), faults: bool = True
) -> list[str]:
    """Write the notebooks, a folder a student, and return the students' names.

    faults: a notebook in twenty is one of `twenty.entries`, and some answers hang; without, each answer ends by itself.
    """
    draw = random.Random(seed)
    broken = [one for one in twenty.entries(folder / "never-written") if not one.slow]
    names = [f"student{number:03}" for number in range(1, students + 1)]
    for name in names:
        for chapter in chapters:
            fit = [one for one in broken if one.chapter == chapter]
            if faults and fit and draw.random() < FAULTS:
                notebook = draw.choice(fit).notebook
            else:
                notebook = _mixed(chapter, draw, faults)
            path = folder / name / _path("solutions", chapter).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(notebook))
    return names


def _mixed(chapter: str, draw: random.Random, hangs: bool) -> dict[str, Any]:
    """A solved notebook with some of its answers replaced."""
    notebook, stubs = (json.loads(_path(folder, chapter).read_text()) for folder in ("solutions", "exercises"))
    for exercise in exercises(chapter):
        kind = draw.choices(list(KINDS), list(KINDS.values()))[0]
        if kind == "solution":
            continue
        cell = twenty.answer_cell(notebook, exercise.name)
        if kind == "blank":
            cell["source"] = twenty.answer_cell(stubs, exercise.name)["source"]
        else:
            cell["source"] = draw.choice(_cells(exercise.name, kind, hangs))
    return notebook


@functools.cache
def _cells(name: str, kind: str, hangs: bool) -> tuple[str, ...]:
    """The mutants, or lazy answers, of an exercise as cells."""
    return tuple(source for (own, _), source in wrong_answers(_exercise(name), hangs).items() if own == kind)


def wrong_answers(exercise: Exercise, hangs: bool = True) -> dict[tuple[str, str], str]:
    """{("mutant" or "lazy", its name): its cell}. hangs: also those that end a run, or never end it."""
    importable = importable_for(exercise.name, _path("solutions", exercise.number[:2]))
    answers: dict[tuple[str, str], Any] = {
        ("mutant", mutant.name): mutant.answer for mutant in exercise.mutants if hangs or not mutant.alone
    }
    for name, answer in tables("LAZY")[exercise.name].items():
        if hangs or not isinstance(answer, Alone):
            answers["lazy", name] = answer.answer if isinstance(answer, Alone) else answer
    return {key: source_of(answer, exercise.name, importable) for key, answer in answers.items()}


@functools.cache
def _exercise(name: str) -> Exercise:
    return next(exercise for exercise in exercises() if exercise.name == name)


def _path(folder: str, chapter: str) -> Path:
    (path,) = (ROOT / folder).glob(f"{chapter}_*.ipynb")
    return path


def main() -> None:
    """Write a class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chapters", nargs="+", default=["02", "07"])
    parser.add_argument("--plain", action="store_true", help="without faults")
    given = parser.parse_args()
    make_class(given.folder, given.students, given.seed, given.chapters, not given.plain)


if __name__ == "__main__":
    main()
