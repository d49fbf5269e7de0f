"""The course's own cells: what stands above an exercise's answer, the published solutions, and what each builds on."""

import ast
import json
from functools import cache
from typing import Any

from tplearn.checks.registry import find_exercise
from tplearn.course.places import course_folder


@cache
def course_cells(name: str) -> tuple[str, ...]:
    """The code cells above an exercise's answer in its exercise notebook, without answers and checks.

    Raises ValueError where no exercise is called that.
    """
    return tuple(source for kind, source in above(name) if not kind)


def above(name: str) -> list[tuple[str, str]]:
    """(the exercise's name, or "" for a cell of no exercise; source) of each cell above the answer, without checks."""
    found = []
    for kind, source in _cells("exercises", find_exercise(name).number[:2]):
        if kind == name:
            return found
        found.append((kind, source))
    raise ValueError(f"no cell of the exercise notebook has the grade_id {name!r}; `tplearn release` gives it one")


@cache
def stub_of(name: str) -> str:
    """The answer cell as it is handed out. Raises ValueError where no exercise is called that."""
    return dict(_cells("exercises", find_exercise(name).number[:2]))[name]


@cache
def solution_of(name: str) -> str:
    """The published solution: the source of the answer cell; "" where the course was handed out without solutions.

    Raises ValueError where no exercise is called that.
    """
    return dict(_cells("solutions", find_exercise(name).number[:2])).get(name, "")


@cache
def prerequisites(name: str) -> tuple[str, ...]:
    """The exercises above it in its notebook whose answers its published solution uses, and theirs, in that order."""
    order = [kind for kind, _ in above(name) if kind]
    home = {defined: earlier for earlier in order for defined in _defined(solution_of(earlier))}
    used = {home[word] for word in _used(solution_of(name)) if word in home}
    used |= {deeper for earlier in used for deeper in prerequisites(earlier)}
    return tuple(earlier for earlier in order if earlier in used)


def chapter_title(number: str) -> str:
    """The name of a chapter, such as "Column and row", as its exercise notebook gives it. number: such as "02"."""
    heading = "".join(_notebook("exercises", number)[0]["source"]).partition("\n")[0]
    return heading.partition(" · ")[2]


def _defined(source: str) -> set[str]:
    """The functions and classes that a cell defines."""
    return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _used(source: str) -> set[str]:
    """The names that a cell reads."""
    nodes = ast.walk(ast.parse(source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


@cache
def _cells(folder: str, number: str) -> tuple[tuple[str, str], ...]:
    """As `above`, of a whole notebook."""
    found = []
    for cell in _notebook(folder, number):
        marks = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and not marks.get("grade"):
            found.append((marks.get("grade_id", ""), "".join(cell["source"])))
    return tuple(found)


@cache
def _notebook(folder: str, number: str) -> list[dict[str, Any]]:
    path = next((course_folder() / folder).glob(f"{number}_*.ipynb"), None)
    if path is None:
        return []  # a class has no solutions
    return json.loads(path.read_text(encoding="utf-8"))["cells"]
