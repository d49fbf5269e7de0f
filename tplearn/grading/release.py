"""Makes exercises/NN.ipynb from solutions/NN.ipynb: solutions become stubs, and both get what nbgrader and nbval read.

A solution notebook has, for each exercise, one code cell with `### BEGIN SOLUTION` … `### END SOLUTION`, and after it
one check cell that holds the line `check(name)`. Points come from the registry; nbval finds the checks by their tag.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tplearn.checks.compare import NOT_ATTEMPTED
from tplearn.checks.registry import find_exercise
from tplearn.course.pages import fingerprint

CHECKED = "nbval-check-output"  # the cell tag: nbval compares what this cell shows, also in its lax mode
REGION = re.compile(r"^([ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^[ \t]*### END SOLUTION[ \t]*$", re.S | re.M)
CHECK = re.compile(r"^check\((\w+)\)[ \t]*$", re.M)


def release(solutions: Path, exercises: Path, check_only: bool = False) -> list[Path]:
    """Write the exercises, and the metadata into the solutions; return the files that were not as they should be.

    With `check_only` nothing is written. The same solutions give the same bytes, so a second call returns [].

    Raises:
        ValueError: a check cell without a solution cell before it, or the other way round; an unknown exercise;
            an exercise notebook that would be written over and has somebody's answers in it. Nothing is written then.
    """
    texts: dict[Path, str] = {}
    for source in sorted(solutions.glob("*.ipynb")):
        notebook = nbformat.read(source, as_version=4)
        stamp(notebook, source.name)
        texts |= {source: as_text(notebook), exercises / source.name: as_text(untouched(notebook))}
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if not check_only:
        _refuse_to_lose_answers([path for path in changed if path.parent == exercises and path.exists()])
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
    return changed


def _refuse_to_lose_answers(paths: list[Path]) -> None:
    """An exercise notebook knows which sources it was made with. Others mean that a reader has worked in it."""
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        if notebook.metadata.get("tplearn", {}).get("made") != fingerprint(notebook):
            raise ValueError(f"{path.name} has been edited: move it out of {path.parent.name}/ to have it made again")


def stamp(notebook: NotebookNode, name: str = "notebook") -> None:
    """Give solution cells and check cells nbgrader's metadata (schema 3) and no other cell; checks also nbval's tag."""
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)
    for exercise_name, answer, test in graded_cells(notebook, name):
        common = {"schema_version": 3, "task": False}
        answer.metadata["nbgrader"] = common | {
            "grade": False,
            "grade_id": exercise_name,
            "locked": False,
            "solution": True,
        }
        test.metadata["nbgrader"] = common | {
            "grade": True,
            "grade_id": f"check_{exercise_name}",
            "locked": True,
            "points": find_exercise(exercise_name).points,
            "solution": False,
        }
        test.metadata["tags"] = sorted({*tags(test), CHECKED})


def tags(cell: NotebookNode) -> list[str]:
    """A cell's tags: words in its metadata, which a page does not show."""
    return list(cell.metadata.get("tags", []))


def untouched(notebook: NotebookNode) -> NotebookNode:
    """The exercise notebook of a stamped solution notebook: stubs for solutions, outputs only under the checks.

    Execution counts stay: nbval leaves out a cell that has none.
    """
    made = nbformat.from_dict(notebook)
    name = ""
    for cell in made.cells:
        if cell.cell_type != "code":
            continue
        if REGION.search(cell.source):
            name = cell.metadata["nbgrader"]["grade_id"]
            cell.source = REGION.sub(rf'\1raise NotImplementedError("{NOT_ATTEMPTED}: {name}")', cell.source)
        if CHECKED not in tags(cell):
            cell.outputs = []
    made.metadata["tplearn"] = {"made": fingerprint(made)}
    return made


def graded_cells(notebook: NotebookNode, name: str = "notebook") -> Iterator[tuple[str, NotebookNode, NotebookNode]]:
    """(exercise's name, solution cell, check cell), in order."""
    answer: NotebookNode | None = None
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        checks = CHECK.findall(cell.source)
        if "### BEGIN SOLUTION" in cell.source:
            if answer is not None or not REGION.search(cell.source):
                problem = "follows another without a check between them" if answer is not None else "has no end marker"
                raise ValueError(f"{name}: this solution cell {problem}:\n{cell.source}")
            answer = cell
        elif len(checks) == 1:
            if answer is None:
                raise ValueError(f"{name}: check({checks[0]}) has no solution cell before it")
            if not re.search(rf"^(def|class) {checks[0]}\b", answer.source, re.M):
                raise ValueError(f"{name}: the cell before check({checks[0]}) does not define {checks[0]}")
            yield checks[0], answer, cell
            answer = None
        elif checks:
            raise ValueError(f"{name}: one check in a cell, not {len(checks)}:\n{cell.source}")
    if answer is not None:
        raise ValueError(f"{name}: this solution cell has no check after it:\n{answer.source}")


def as_text(notebook: Any) -> str:
    """The notebook's file: sorted keys, one-blank indent, one newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"
