"""Every notebook as a reader gets it: chapters and solutions run to their stored outputs, untouched checks fail."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from tests.notebooks.under_nbval import run_nbval
from tplearn.checks import exercises, judge
from tplearn.checks.registry import find_exercise
from tplearn.grading.release import CHECK, CHECKED, release, tags

ROOT = Path(__file__).parents[2]
CHAPTERS, SOLUTIONS, EXERCISES = (
    sorted((ROOT / part).glob("*.ipynb")) for part in ("chapters", "solutions", "exercises")
)
UNDER_JAX = ("15",)
WITH_JAX = (
    pytest.mark.xdist_group("jax"),
    pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed; `make lab` installs it"),
)


def marks(path: Path) -> Sequence[pytest.MarkDecorator]:
    """A notebook under JAX is skipped where it is missing."""
    return WITH_JAX if path.name.startswith(UNDER_JAX) else ()


def each(paths: list[Path]) -> pytest.MarkDecorator:
    """One test for each notebook that is run."""
    own = [pytest.param(path, id=f"{path.parent.name}-{path.stem}", marks=marks(path)) for path in paths]
    return pytest.mark.parametrize("path", own)


def each_as_text(paths: list[Path]) -> pytest.MarkDecorator:
    """One test for each notebook that is only read."""
    return pytest.mark.parametrize("path", paths, ids=lambda path: f"{path.parent.name}-{path.stem}")


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def together(paths: list[Path], processes: int) -> pytest.MarkDecorator:
    """One test for so many lists of notebooks: to start pytest takes as long as some of them. JAX has its own."""
    plain = [path for path in paths if not marks(path)]
    lists = [[path] for path in paths if marks(path)] + [plain[k::processes] for k in range(processes)]
    own = [pytest.param(some, id="-".join(path.stem[:2] for path in some), marks=marks(some[0])) for some in lists]
    return pytest.mark.parametrize("paths", own)


@together(CHAPTERS, 6)
def test_chapters_run_to_exactly_their_stored_outputs(paths: list[Path], tmp_path: Path) -> None:
    outcome = run_nbval(paths, "--nbval", tmp_path)
    assert outcome["tests"] == sum(len(code_cells(path)) for path in paths), outcome["output"]
    assert not outcome["failures"] + outcome["errors"] + outcome["skipped"], outcome["output"]


@each([path for path in SOLUTIONS if path.name[:2] == "05"])
def test_solutions_pass_in_a_kernel(path: Path, tmp_path: Path) -> None:
    """One on real ranks stands for all, which are judged below without a kernel for each."""
    outcome = run_nbval([path], "--nbval-lax", tmp_path)
    assert outcome["tests"] == len(code_cells(path)), outcome["output"]
    assert not outcome["failures"] + outcome["errors"] + outcome["skipped"], outcome["output"]


@each(EXERCISES[:1])
def test_every_check_of_an_untouched_exercise_fails(path: Path, tmp_path: Path) -> None:
    """One stands for all: what a check says of each stub is seen below, without a kernel for every notebook."""
    checks = [cell for cell in code_cells(path) if CHECKED in tags(cell)]
    outcome = run_nbval([path], "--nbval-lax", tmp_path)
    assert outcome["failures"] == len(checks) == len(exercises(path.name[:2])), outcome["output"]
    assert not outcome["errors"] + outcome["skipped"], outcome["output"]


@each(SOLUTIONS)
def test_a_solution_passes_with_its_stored_verdicts_and_a_stub_is_not_attempted(path: Path) -> None:
    """Both on the same cases, which some chapters take long to make. For a stub the first case says what all would,
    and under JAX, where each verdict has a process of its own, the first stub."""
    solved, untouched = defined_in(path), defined_in(EXERCISES[0].parent / path.name)
    stored = {name: cell.outputs[0].text for cell in code_cells(path) for name in CHECK.findall(cell.source)}
    for exercise in exercises(path.name[:2]):
        cases = exercise.cases(torch.Generator().manual_seed(secrets.randbelow(2**31)))
        verdict = judge(replace(exercise, cases=lambda _, cases=cases: cases), solved[exercise.name])
        assert verdict.passed and f"{verdict}\n" == stored[exercise.name]
        if exercise.jax and not exercise.number.endswith(".1"):
            continue
        verdict = judge(replace(exercise, cases=lambda _, cases=cases: cases[:1]), untouched[exercise.name])
        assert verdict.status == "not attempted" and verdict.earned == 0
        assert f"{exercise.name}   not attempted      0/{exercise.points}" in str(verdict)


def defined_in(path: Path) -> dict[str, Any]:
    """What a notebook's cells define when they run here, all but its checks."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in code_cells(path):
        if CHECKED not in tags(cell):
            exec(re.sub(r"^%.*", "", cell.source, flags=re.M), names)
    return names


def test_the_exercises_are_exactly_what_release_makes() -> None:
    assert release(ROOT / "solutions", ROOT / "exercises", check_only=True) == [], "run: tplearn release"
    assert [path.name for path in EXERCISES] == [path.name for path in SOLUTIONS]


@each_as_text(CHAPTERS + SOLUTIONS + EXERCISES)
def test_no_code_cell_would_be_left_out_by_nbval(path: Path) -> None:
    unrun = [cell.source for cell in code_cells(path) if cell.execution_count is None]
    assert not unrun, f"these cells were never run: {unrun}"


@each_as_text(SOLUTIONS)
def test_a_solution_announces_its_exercises_as_the_registry_has_them(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    headings = [line.removeprefix("## ") for text in prose for line in text.splitlines() if line.startswith("## ")]
    due = exercises(path.name[:2])
    assert headings == [exercise.heading for exercise in due]
    checked = [name for cell in code_cells(path) for name in CHECK.findall(cell.source)]
    assert checked == [exercise.name for exercise in due]
    for text in re.split(r"^## ", "\n\n".join(prose), flags=re.MULTILINE)[1:]:
        assert text.count("<summary>Hint") == 3, f"three hints are due in:\n{text}"
        assert "> **Predict first.**" in text, f"a prediction is due in:\n{text}"
    total = sum(exercise.points for exercise in due), sum(exercise.minutes for exercise in due)
    for stated in re.findall(r"(\d+) points · (\d+) minutes", prose[0]):
        assert tuple(map(int, stated)) == total


@each_as_text(EXERCISES)
def test_an_untouched_exercise_holds_no_solution_and_the_passing_verdict(path: Path) -> None:
    for cell in code_cells(path):
        assert "SOLUTION" not in cell.source
        if CHECKED not in tags(cell):
            assert not cell.outputs
            continue
        (name,) = CHECK.findall(cell.source)
        (output,) = cell.outputs
        points = find_exercise(name).points
        assert output.text.startswith(f"{name} ") and output.text.endswith(f" {points}/{points}\n")
        assert cell.source == f"check({name})"
