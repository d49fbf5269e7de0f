"""Answers from notebooks: only sources and grade ids count, and no notebook, however made, stops the batch."""

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.grading.made import CHAPTERS, answered, code, notebook, text
from tplearn.checks import exercises
from tplearn.grading.answers import CELLS, CODE_CHARACTERS, NOTEBOOK_BYTES, Unreadable, read_notebook
from tplearn.grading.magics import without_magics

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_of_the_course_gives_its_answers_by_exercise(path: Path) -> None:
    read = read_notebook(path.read_bytes(), CHAPTERS)
    assert read.chapter(CHAPTERS) == path.name[:2]
    assert list(read.ids) == [exercise.name for exercise in exercises(path.name[:2])]
    cells = json.loads(path.read_text())["cells"]
    for name in read.ids:
        answer = read.answer(name)
        assert answer.cell.source == "".join(cells[answer.cell.number - 1]["source"]), "at the place a reader counts"
        assert not any("check(" in cell.source and "def " not in cell.source for cell in answer.cells[1:])
        assert answer.notes == ()


def test_an_answer_comes_with_the_students_own_cells_above_it() -> None:
    read = read_notebook(
        notebook(
            text(),
            code(["import torch\n", "HELP = 1"]),
            code("def split_columns(): ...", "split_columns"),
            code("check(split_columns)", "check_split_columns", grade=True),
            text(),
            code("def helper(): ..."),
            code("def split_rows(): ...", "split_rows"),
            code("after = 1"),
        ),
        CHAPTERS,
    )
    assert [cell.number for cell in read.answer("split_columns").cells] == [2, 3]
    assert [cell.number for cell in read.answer("split_rows").cells] == [2, 3, 6, 7]
    assert read.answer("split_rows").cells[0].source == "import torch\nHELP = 1"
    assert read.answer("row_parallel") is None


def test_of_two_cells_with_one_id_the_last_counts_and_is_said() -> None:
    read = read_notebook(notebook(code("first", "split_rows"), text(), code("second", "split_rows")), CHAPTERS)
    answer = read.answer("split_rows")
    assert answer.cell.source == "second"
    assert answer.notes == ("Cells 1, 3 all carry this exercise's grade_id: the last one counts.",)


def test_lines_for_ipython_leave_every_other_line_in_its_place() -> None:
    source = "%matplotlib inline\nx = (7\n % 2)\nif x:\n    !pip install \\\n        torch\ny = '''\n%kept\n'''"
    read = read_notebook(notebook(code(source, "split_rows")), CHAPTERS)
    answer = read.answer("split_rows")
    assert answer.cell.source.split("\n") == [
        *("pass", "x = (7", " % 2)", "if x:", "    pass", "", "y = '''", "%kept", "'''")
    ]
    assert answer.notes == ("In cell 1 3 lines for IPython did not run here: %matplotlib inline",)


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("%%bash\nrm -r x", "pass\n"),
        ("\n%%writefile torch.py\nx = 1", "pass\n\n"),
        ("%%time\nf()", "pass\nf()"),
        ("x = 5 \\\n% 3", "x = 5 \\\n% 3"),
        ("# it's\n%magic", "# it's\npass"),
        ('x = "a # (b"\n%magic', 'x = "a # (b"\npass'),
        ("x = '\\'('\n!ls", "x = '\\'('\npass"),
        ('""""a"""\n!ls', '""""a"""\npass'),
        ("x = [1,\n!ls", "x = [1,\n!ls"),
        ("", ""),
    ],
)
def test_what_is_for_ipython_is_told_from_what_is_pythons(source: str, python: str) -> None:
    assert without_magics(source)[0] == python


@given(st.text(st.sampled_from("%!\"'#\\([{)]}\n ab="), max_size=60))
def test_lines_keep_their_numbers_and_python_stays_as_it_is(source: str) -> None:
    kept, removed = without_magics(source)
    assert kept.count("\n") == source.count("\n")
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return
    assert kept == source and not removed, "what Python can read has nothing for IPython in it"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (answered("split_rows")[:-40], "cut off or damaged"),
        (b"\xff\xfe\x00garbage", "cut off or damaged"),
        (b"[" * 100_000, "cut off or damaged"),
        (b'{"cells": ' + b"9" * 5000 + b"}", "cut off or damaged"),
        (b"[1, 2]", "is JSON, but no notebook"),
        (b'{"cells": {}}', "is JSON, but no notebook"),
        (notebook(code("x", "split_rows"), nbformat=5), "of format 5, and 4 is due"),
        (notebook(code("x", "split_rows"), nbformat=True), "of format True, and 4 is due"),
        (b'{"worksheets": [], "nbformat": 3}', "of format 3, and 4 is due"),
        (notebook(code("x", "of another course")), "has no answer cell of this course"),
        (notebook(code("x", ["split_rows"]), code("x", 7), code("x", {})), "has no answer cell of this course"),
        (notebook(*[text()] * (CELLS + 1)), f"has {CELLS + 1} cells"),
        (answered("split_rows", "#" * (CODE_CHARACTERS + 1)), "characters of code"),
        (b" " * (NOTEBOOK_BYTES + 1), "is larger than 8 MB"),
    ],
)
def test_what_cannot_be_graded_is_said_in_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        read_notebook(content, CHAPTERS)


def test_cells_that_are_no_cells_are_left_out() -> None:
    odd = [None, 7, {}, {"cell_type": "code"}, {"cell_type": "code", "source": {"a": 1}, "metadata": 3}, code([1, 2])]
    read = read_notebook(notebook(*odd, code("x = '\ud800'", "split_rows")), CHAPTERS)
    assert [cell.number for cell in read.answer("split_rows").cells] == [7]
    assert read.answer("split_rows").cell.source == "x = '?'", "a lone surrogate could not be sent to a jail"


def test_the_chapter_is_the_one_that_most_answers_belong_to() -> None:
    cells = [code("", name) for name in ("tp_mlp", "split_rows", "split_columns")]
    assert CHAPTERS["tp_mlp"] == "03"
    assert read_notebook(notebook(*cells), CHAPTERS).chapter(CHAPTERS) == "02"


def test_points_and_checks_that_a_notebook_claims_count_for_nothing() -> None:
    forged = code("def split_rows(): ...", "split_rows")
    forged["metadata"]["nbgrader"] |= {"points": 1000, "grade": True}
    read = read_notebook(notebook(code("print('PASS')", "check_split_rows", grade=True), forged), CHAPTERS)
    assert [cell.source for cell in read.answer("split_rows").cells] == ["def split_rows(): ..."]
