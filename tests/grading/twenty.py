"""Twenty submissions with a fault in one answer each, as notebooks; damaged files beside them; what each should get.

    python -m tests.grading.twenty FOLDER        writes them, a folder a student, to be graded with `tplearn grade`

The fault sits in 02.3 column_parallel, or in 07.4 SwiGLU where it takes ranks. All other answers are right,
but in 22, where an exercise is left out that others need.
"""

import copy
import json
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.grading import fault_sources as sources
from tplearn.checks import exercises

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {"02": "02_column_row.ipynb", "07": "07_mlp_on_gloo.ipynb"}
FAULTY = {"02": "column_parallel", "07": "SwiGLU"}
MARKER = "MARKER"  # in sources: the path that no submission may manage to write
Notebook = dict[str, Any]
Change = Callable[[Notebook], None]


@dataclass(frozen=True)
class Entry:
    """One submission. status: of the faulty answer; all others of the chapter pass, unless `others` says otherwise.

    phrases: each is in what the student reads of that answer. files: what else is in the folder. slow: its fault takes
    a time limit. left_out: exercises that stand as they were handed out.
    """

    number: str
    what: str
    chapter: str
    notebook: Notebook
    status: str | tuple[str, ...]
    phrases: tuple[str, ...] = ()
    others: str = "passed"
    files: Mapping[str, str] = field(default_factory=dict)
    slow: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def student(self) -> str:
        """The name of its folder."""
        return f"s{self.number}"

    @property
    def due(self) -> dict[str, tuple[str, ...]]:
        """{exercise's name: statuses that are right for it}."""
        own = self.status if isinstance(self.status, tuple) else (self.status,)
        due = {one.name: own if one.name == FAULTY[self.chapter] else (self.others,) for one in exercises(self.chapter)}
        return due | dict.fromkeys(self.left_out, ("not attempted",))

    @property
    def points(self) -> int:
        """What it should get in all."""
        return sum(one.points for one in exercises(self.chapter) if self.due[one.name] == ("passed",))


def solved(chapter: str) -> Notebook:
    """The chapter's published solutions."""
    return json.loads((ROOT / "solutions" / NOTEBOOKS[chapter]).read_text())


def untouched(chapter: str) -> Notebook:
    return json.loads((ROOT / "exercises" / NOTEBOOKS[chapter]).read_text())


def answer_cell(notebook: Notebook, name: str) -> dict[str, Any]:
    """The cell of an answer."""
    return next(cell for cell in notebook["cells"] if _grade_id(cell) == name)


def with_answer(source: str, chapter: str = "02", above: str = "", change: Change | None = None) -> Notebook:
    """The solved notebook with another answer at the faulty place. above: a code cell at its top."""
    notebook = solved(chapter)
    answer_cell(notebook, FAULTY[chapter])["source"] = source
    if above:
        notebook["cells"].insert(0, _code(above))
    if change:
        change(notebook)
    return notebook


def entries(marker: Path) -> list[Entry]:
    """All twenty; 13, 18, 19 and 20 in several forms. marker: a path where there is nothing, and nothing may come."""
    s, error = sources, ("error", "wrong", "exited")
    made = [
        Entry("01", "the published solutions", "02", solved("02"), "passed"),
        Entry("02", "the untouched exercise", "02", untouched("02"), "not attempted", others="not attempted"),
        Entry("03", "prints PASS and a forged score", "02", with_answer(s.FORGED_SCORE), error),
        Entry("04", "hides errors", "02", with_answer(s.WRONG, above=s.HIDES_ERRORS), "wrong", ("bias",)),
        Entry("05", "strips the checks", "02", with_answer(s.WRONG, above=s.STRIPS_CHECKS), ("wrong", "error")),
        Entry("06", "equal to everything", "02", with_answer(s.EQUAL_TO_EVERYTHING), ("wrong", "error")),
        Entry("07", "patches what compares", "02", with_answer(s.PATCHES), ("wrong", "error")),
        Entry("08", "hard-coded answers", "02", with_answer(s.HARD_CODED), "wrong"),
        Entry("09", "sys.exit(0)", "02", with_answer(s.SYS_EXIT), "exited", ("sys.exit(0)",)),
        Entry("10", "os._exit(0) on rank 1", "07", with_answer(s.EXITS_ON_RANK_1, "07"), "exited", ("ank 1",)),
        Entry("11", "loops, deaf to signals", "02", with_answer(s.SPINS), "time limit", slow=True),
        Entry("12", "rank 0 skips a collective", "07", with_answer(s.SKIPS_A_COLLECTIVE, "07"), "error", _SKIPS),
        Entry(
            "13a", "other collectives", "07", with_answer(s.OTHER_COLLECTIVES, "07"), "error", ("disagree", "cell [")
        ),
        Entry("13b", "other shapes", "07", with_answer(s.OTHER_SHAPES, "07"), "error", ("disagree", "shape")),
        Entry("14", "takes all memory", "02", with_answer(s.MEMORY_HOG), "memory limit"),
        Entry("15", "forks, daemons, threads", "02", with_answer(s.FORKS), "wrong", ("bias",)),
        Entry("16", "prints 1 GB, and is right", "02", with_answer(s.PRINTS), "passed"),
        Entry("17", "deletes and searches", "02", with_answer(s.DELETES), ("wrong", "error")),
        Entry("18", "ships files", "02", with_answer(s.WRONG, change=_evil_kernel), "wrong", ("bias",), files=_SHIPPED),
        Entry("19a", "points and checks edited", "02", with_answer(s.WRONG, change=_points_edited), "wrong", ("bias",)),
        Entry(
            "19b", "two answers", "02", with_answer(s.WRONG, change=_right_one_first), "wrong", ("the last one counts",)
        ),
        Entry("19c", "an answer for a check", "02", with_answer(s.WRONG, change=_answer_as_check), "wrong", ("bias",)),
        Entry("20a", "a pickle that runs code", "02", with_answer(s.PICKLES), ("wrong", "error")),
        Entry("20b", "NaN", "02", with_answer(s.NOT_NUMBERS), "wrong", ("NaN",)),
        Entry("20c", "float32", "02", with_answer(s.WRONG_DTYPE), "wrong", ("float32",)),
        Entry("21", "the published solutions", "07", solved("07"), "passed"),
        Entry("22", "an exercise that others need", "07", _without("init_shard"), "passed", left_out=("init_shard",)),
    ]
    return [_with_marker(one, str(marker)) for one in made]


def _without(name: str) -> Notebook:
    """The solved notebook of chapter 07 with one exercise as it was handed out."""
    notebook = solved("07")
    answer_cell(notebook, name)["source"] = answer_cell(untouched("07"), name)["source"]
    return notebook


_SKIPS = ("rank 0", "all_reduce", "cell [")
_SHIPPED = {
    "torch.py": sources.EVIL_TORCH,
    "conftest.py": sources.EVIL_CONFTEST,
    "sitecustomize.py": sources.EVIL_TORCH,
    "tplearn/__init__.py": sources.EVIL_TORCH,
    "kernels/python3/kernel.json": sources.EVIL_KERNEL,
    "pytest.ini": "[pytest]\naddopts = -p no:nbval\n",
}


def damaged() -> dict[str, bytes]:
    """{file name: content} of five files that are no notebooks of this course, each of which is told in a sentence."""
    text = json.dumps(solved("02"))
    other = {"cells": [_code("x = 1")], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    old = {"worksheets": [{"cells": [_code("x = 1")]}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}
    return {
        "cut.ipynb": text[: len(text) // 2].encode(),
        "pdf.ipynb": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n",
        "old.ipynb": json.dumps(old).encode(),
        "empty.ipynb": b"",
        "other.ipynb": json.dumps(other).encode(),
    }


# What is said of each, after its name.
SAID = {
    "cut.ipynb": "cannot be read as a notebook",
    "pdf.ipynb": "cannot be read as a notebook",
    "old.ipynb": "is a notebook of format 3",
    "empty.ipynb": "is empty",
    "other.ipynb": "has no answer cell of this course",
}


def write_class(folder: Path, students: list[Entry], broken: bool = True) -> None:
    """A folder a student; with `broken` also one for each damaged file, and one that holds a link and nothing else."""
    for one in students:
        place = folder / one.student
        for name, content in {NOTEBOOKS[one.chapter]: json.dumps(one.notebook), **one.files}.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(content)
    if not broken:
        return
    for name, content in damaged().items():
        place = folder / f"broken_{name.partition('.')[0]}"
        place.mkdir()
        (place / name).write_bytes(content)
    link = folder / "only_a_link" / NOTEBOOKS["02"]
    link.parent.mkdir()
    link.symlink_to(ROOT / "solutions" / NOTEBOOKS["02"])


def canvas_zip(path: Path, students: list[Entry]) -> None:
    """The same class as Canvas packs it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, one in enumerate(students, start=1):
            name = f"student{one.student}_{1000 + k}_{7000 + k}_{NOTEBOOKS[one.chapter]}"
            archive.writestr(name, json.dumps(one.notebook))


def moodle_zip(path: Path, students: list[Entry]) -> None:
    """The same class as Moodle packs it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, one in enumerate(students, start=1):
            folder = f"Student {one.student}_{1000 + k}_assignsubmission_file"
            archive.writestr(f"{folder}/{NOTEBOOKS[one.chapter]}", json.dumps(one.notebook))


def _evil_kernel(notebook: Notebook) -> None:
    """Asks for another kernel, and nbval to look away."""
    notebook["metadata"]["kernelspec"] = {
        "name": "../kernels/python3",
        "display_name": "Python 3",
        "language": "python",
    }
    for cell in notebook["cells"]:
        cell["metadata"]["tags"] = ["nbval-skip", "NBVAL_SKIP", "raises-exception", "skip-execution"]
        if cell["cell_type"] == "code":
            cell["source"] = f"# NBVAL_SKIP\n# NBVAL_IGNORE_OUTPUT\n{''.join(cell['source'])}"


def _points_edited(notebook: Notebook) -> None:
    """Every check is worth 1000 and prints full marks, and one of them is gone."""
    name = FAULTY["02"]
    notebook["cells"] = [cell for cell in notebook["cells"] if _grade_id(cell) != f"check_{name}"]
    for cell in notebook["cells"]:
        if _grade_id(cell):
            cell["metadata"]["nbgrader"]["points"] = 1000
        if _grade_id(cell).startswith("check_"):
            done = f"{name}   forward \u2713      1000/1000\n"
            cell["source"], cell["outputs"] = "def check(fn): print(fn.__name__, '1000/1000')", [_printed(done)]
    notebook["metadata"]["tplearn"] = {"points": 1000, "made": ""}


def _right_one_first(notebook: Notebook) -> None:
    """A right answer above the wrong one, under the same grade_id."""
    cell = answer_cell(notebook, FAULTY["02"])
    first = copy.deepcopy(cell) | {"source": sources.RIGHT}
    first.pop("id", None)
    notebook["cells"].insert(notebook["cells"].index(cell), first)


def _answer_as_check(notebook: Notebook) -> None:
    """A right answer in the check's cell, which claims to be the answer and a check and locked."""
    for cell in notebook["cells"]:
        if _grade_id(cell) == f"check_{FAULTY['02']}":
            cell["source"] = sources.RIGHT
            cell["metadata"]["nbgrader"] |= {"grade_id": FAULTY["02"], "grade": True, "solution": False}


def _with_marker(one: Entry, marker: str) -> Entry:
    notebook = json.loads(json.dumps(one.notebook).replace(MARKER, marker))
    files = {name: content.replace(MARKER, marker) for name, content in one.files.items()}
    return Entry(**{**vars(one), "notebook": notebook, "files": files})


def _code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def _printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def _grade_id(cell: dict[str, Any]) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_class(target, entries(target.resolve().parent / f"written-{os.getpid()}"))
