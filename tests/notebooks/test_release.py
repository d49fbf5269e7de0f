"""Making exercises from solutions, and `tplearn check`: on small notebooks made here."""

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tplearn.checks import find_exercise
from tplearn.grading.notebooks import clean, differences, main, restore
from tplearn.grading.release import as_text, release, stamp
from tplearn.grading.self_check import check_notebook

RIGHT = """def split_columns(weight, world_size):
    \"\"\"weight: [out, in] → p shards.\"\"\"
    ### BEGIN SOLUTION
    if weight.shape[-2] % world_size:
        raise ValueError("no")
    return list(weight.chunk(world_size, dim=-2))
    ### END SOLUTION"""
IMPORTS = "from tplearn.checks import check"
CHECK_CELL = "check(split_columns)"


def notebook_of(*sources: str) -> NotebookNode:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id, cell.execution_count = f"cell-{number}", number
    return notebook


def written(folder: Path, *sources: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "02_small.ipynb"
    path.write_text(as_text(notebook_of(*sources)))
    return path


def test_release_makes_stubs_and_is_idempotent(tmp_path: Path) -> None:
    source = written(tmp_path / "solutions", IMPORTS, RIGHT, CHECK_CELL)
    made = tmp_path / "exercises" / source.name
    assert release(tmp_path / "solutions", tmp_path / "exercises", check_only=True) == [source, made]
    assert not made.exists()
    assert release(tmp_path / "solutions", tmp_path / "exercises") == [source, made]
    before = source.read_bytes(), made.read_bytes()
    assert release(tmp_path / "solutions", tmp_path / "exercises") == []
    assert (source.read_bytes(), made.read_bytes()) == before
    stub = nbformat.read(made, as_version=4).cells[1]
    assert stub.source.endswith('shards."""\n    raise NotImplementedError("your turn: split_columns")')
    assert stub.metadata.nbgrader.grade_id == "split_columns" and stub.metadata.nbgrader.solution
    assert nbformat.read(made, as_version=4).cells[2].metadata.nbgrader.points == find_exercise("split_columns").points


def test_release_does_not_write_over_answers(tmp_path: Path) -> None:
    folders = tmp_path / "solutions", tmp_path / "exercises"
    written(folders[0], IMPORTS, RIGHT, CHECK_CELL)
    made = release(*folders)[1]
    answered = nbformat.read(made, as_version=4)
    answered.cells[2].execution_count = 7  # run, not edited: may be made again
    made.write_text(as_text(answered))
    assert release(*folders) == [made]
    answered.cells[1].source = RIGHT
    made.write_text(as_text(answered))
    with pytest.raises(ValueError, match="02_small.ipynb has been edited: move it out of exercises/"):
        release(*folders)
    assert "return list" in made.read_text()


@pytest.mark.parametrize(
    ("sources", "problem"),
    [
        ((CHECK_CELL,), "has no solution cell before it"),
        ((RIGHT,), "has no check after it"),
        ((RIGHT, RIGHT, CHECK_CELL), "without a check between"),
        ((RIGHT.replace("END", "THE END"), CHECK_CELL), "no end marker"),
        ((RIGHT.replace("split_columns", "other"), CHECK_CELL), "does not define split_columns"),
        ((RIGHT, CHECK_CELL + "\ncheck(split_rows)"), "one check in a cell"),
    ],
)
def test_a_solution_notebook_out_of_order_is_refused(sources: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        stamp(notebook_of(*sources))


@pytest.mark.parametrize(
    ("imports", "answer", "code", "said"),
    [
        (IMPORTS, RIGHT, 0, "forward ✓  refusal ✓"),
        (IMPORTS, "def split_columns(weight, world_size) return 1", 1, "SyntaxError"),
        ("pass", "import os\nos._exit(1)", 1, "The kernel died in cell 2."),
        ("pass", "while True: pass", 1, "Cell 2 took longer than"),
    ],
    ids=["right", "syntax error", "kernel death", "endless cell"],
)
def test_check_notebook_prints_verdicts_and_survives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], imports: str, answer: str, code: int, said: str
) -> None:
    written(tmp_path, imports, answer, CHECK_CELL)
    seconds = 60 if imports == IMPORTS else 3
    assert check_notebook("2", tmp_path, cell_seconds=seconds) == 1, "the chapter's other exercises are missing"
    out = capsys.readouterr().out
    assert said in out
    assert f"02_small: {1 - code} of 5 exercises pass, {5 * (1 - code)} of 40 points" in out
    assert "row_parallel   no check cell was run      0/10" in out


def test_an_unknown_chapter_names_those_that_are_there(tmp_path: Path) -> None:
    written(tmp_path, IMPORTS)
    with pytest.raises(ValueError, match="number '77'.*there are: 02"):
        check_notebook("77", tmp_path)


def test_the_readers_own_notebook_is_checked_and_not_a_newer_version_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, IMPORTS, RIGHT, CHECK_CELL)
    path.with_stem(f"{path.stem}_new").write_text(as_text(notebook_of("1 / 0")))
    check_notebook("02", tmp_path)
    assert capsys.readouterr().out.startswith(f"Checking {path}\nsplit_columns   forward ✓")


def test_stored_notebooks_are_clean_and_comparable(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "import sys\nfor k in range(3):\n    print(k)\n    sys.stdout.flush()",
        "id(object())",
        "{'a': 1}",
    )
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].metadata.tags = ["nbval-ignore-output"]
    path.write_text(as_text(notebook))
    assert main([str(path)]) == 0
    first = path.read_bytes()
    stored = nbformat.read(path, as_version=4)
    assert [len(cell.outputs) for cell in stored.cells] == [1, 0, 1]
    assert stored.cells[0].outputs[0].text == "0\n1\n2\n" and stored.cells[0].metadata == {}
    assert restore(path) == [] and path.read_bytes() == first
    other = nbformat.from_dict(stored)
    assert differences(stored, other) == []
    other.cells[2].outputs[0].data["text/plain"] = "{'a': 2}"
    assert [text[:7] for text in differences(stored, other)] == ["cell 3:"]
    clean(other)
    assert other.cells[2].id == "cell-3"


def test_a_notebook_with_errors_is_not_stored(tmp_path: Path) -> None:
    path = written(tmp_path, "1 / 0", "import sys\nprint('hm', file=sys.stderr)")
    before = path.read_bytes()
    assert restore(path) == ["cell 1: error: ZeroDivisionError: division by zero", "cell 2: stderr: hm"]
    assert path.read_bytes() == before
