"""From a submitted notebook to the student's code cells by exercise. Nothing of it is run or parsed as Python.

Of each code cell only `source` and `metadata.nbgrader` are read. Outputs, tags, kernel and the points that a notebook
claims count for nothing.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tplearn.grading.magics import without_magics
from tplearn.grading.plain import one_line

NOTEBOOK_BYTES = 8 * 2**20
CODE_CHARACTERS = 2**20
CELLS = 5000


class Unreadable(ValueError):
    """A file that is no notebook that can be graded; its text continues the sentence "02.ipynb ..."."""


@dataclass(frozen=True)
class Cell:
    """A code cell. number: its place among all cells of the notebook, from 1, as a reader counts them.

    source: as the student wrote it, line for line: where a line was for IPython only, `pass` stands in its place.
    """

    number: int
    source: str


@dataclass(frozen=True)
class Answer:
    """One exercise's answer: the code cells up to and with it, in order, and what has to be said about them."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()

    @property
    def cell(self) -> Cell:
        """The answer itself."""
        return self.cells[-1]


@dataclass(frozen=True)
class Notebook:
    """The code cells of a notebook. ids: grade_id → the places in `cells` that carry it, in order."""

    cells: tuple[Cell, ...]
    ids: Mapping[str, tuple[int, ...]]
    removed: Mapping[int, tuple[str, ...]]  # cell number → its lines that were for IPython only

    def answer(self, name: str) -> Answer | None:
        """The answer to the exercise of that name, or None. Of several cells with its grade_id the last one counts."""
        places = self.ids.get(name, ())
        if not places:
            return None
        cells, notes = self.cells[: places[-1] + 1], []
        if len(places) > 1:
            found = ", ".join(str(self.cells[place].number) for place in places)
            notes.append(f"Cells {found} all carry this exercise's grade_id: the last one counts.")
        for cell in cells:
            lines = self.removed.get(cell.number, ())
            if lines:
                what = "a line" if len(lines) == 1 else f"{len(lines)} lines"
                notes.append(f"In cell {cell.number} {what} for IPython did not run here: {one_line(lines[0], 60)}")
        return Answer(cells, tuple(notes))

    def chapter(self, chapters: Mapping[str, str]) -> str | None:
        """The chapter that most of its answers belong to, by {exercise's name: chapter}; None if it has no answer."""
        votes = Counter(chapters[name] for name in self.ids if name in chapters)
        return min(votes, key=lambda chapter: (-votes[chapter], chapter)) if votes else None


def read_notebook(content: bytes, names: Collection[str]) -> Notebook:
    """The code cells of a notebook of format 4, without cells that are the course's own checks.

    Args:
        content: the file, of at most NOTEBOOK_BYTES.
        names: of the exercises; the grade_id of an answer is its exercise's name.

    Raises:
        Unreadable: it is too large, no JSON, no notebook, of another format, or without one answer cell.
    """
    cells, ids, removed, characters = [], {}, {}, 0
    for number, cell in enumerate(_cells(content), start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source, marks = _source(cell.get("source")), _marks(cell)
        if source is None or marks.get("grade") is True and marks.get("solution") is not True:
            continue
        characters += len(source)
        if characters > CODE_CHARACTERS:
            raise Unreadable(f"holds more than {CODE_CHARACTERS} characters of code: an exercise needs a few thousand.")
        grade_id = marks.get("grade_id")
        if isinstance(grade_id, str) and grade_id in names:
            ids[grade_id] = (*ids.get(grade_id, ()), len(cells))
        source, lines = without_magics(source)
        if lines:
            removed[number] = lines
        cells.append(Cell(number, source))
    if not ids:
        raise Unreadable(
            "has no answer cell of this course: it is another notebook, or its cells have lost their marks."
        )
    return Notebook(tuple(cells), ids, removed)


def _cells(content: bytes) -> list[Any]:
    if len(content) > NOTEBOOK_BYTES:
        raise Unreadable(
            f"is larger than {NOTEBOOK_BYTES // 2**20} MB. Clear its outputs, save it, and hand it in again."
        )
    if not content.strip():
        raise Unreadable("is empty. Save the notebook, and hand it in again.")
    try:
        read = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Unreadable("cannot be read as a notebook: it is cut off or damaged. Hand it in again.") from None
    if not isinstance(read, dict) or not isinstance(read.get("cells", read.get("worksheets")), list):
        raise Unreadable("is JSON, but no notebook. Hand in the .ipynb that you worked in.")
    if type(read.get("nbformat")) is not int or read["nbformat"] != 4 or "cells" not in read:
        found = one_line(repr(read.get("nbformat")), 20)
        raise Unreadable(f"is a notebook of format {found}, and 4 is due. Open it in JupyterLab, save it, hand it in.")
    if len(read["cells"]) > CELLS:
        raise Unreadable(f"has {len(read['cells'])} cells: more than {CELLS} are not read.")
    return read["cells"]


def _source(source: Any) -> str | None:
    """A cell's text, which nbformat keeps as a string or as a list of lines; None where it is neither."""
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        return None
    unix = source.replace("\r\n", "\n").replace("\r", "\n")
    return unix.encode("utf-8", "replace").decode()  # a lone surrogate is no text, and cannot be sent on


def _marks(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell's nbgrader metadata."""
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return marks if isinstance(marks, dict) else {}
