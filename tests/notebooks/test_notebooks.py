"""Every notebook as a reader gets it: chapters and solutions run to their stored outputs, untouched checks fail."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

from tplearn.checks import exercises, judge
from tplearn.checks.registry import find_exercise
from tplearn.grading.release import CHECK, CHECKED, release, tags

ROOT = Path(__file__).parents[2]
CHAPTERS, SOLUTIONS, EXERCISES = (
    sorted((ROOT / part).glob("*.ipynb")) for part in ("chapters", "solutions", "exercises")
)
CELL_SECONDS = 60
# Reports name a cell by its prompt. nbval runs cells without a history: there every prompt is In [1].
PROMPTS = "[prompts]\nregex: cell \\[\\d+\\]\nreplace: cell [n]\n"

HIDING = """
from functools import partial
from importlib.machinery import PathFinder
def find_unhidden(find, name, *where):
    return None if name.split(".")[0] in {hidden} else find(name, *where)
PathFinder.find_spec = partial(find_unhidden, PathFinder.find_spec)
"""


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


def run_nbval(paths: list[Path], mode: str, tmp_path: Path) -> dict[str, int | str]:
    """Runs notebooks of one folder under nbval in a process of its own: outcomes, counted, from the JUnit file."""
    folder = paths[0].parent
    report, prompts = tmp_path / "report.xml", tmp_path / "prompts.ini"
    prompts.write_text(PROMPTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        mode,
        f"--nbval-cell-timeout={CELL_SECONDS}",
        f"--nbval-sanitize-with={prompts}",
        "-q",
        "-p",
        "nbval.plugin",
        "-p",
        "no:cacheprovider",
    ]
    command += [f"--rootdir={folder}", "-c", os.devnull, f"--junitxml={report}"]
    command += [path.name for path in paths]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": as_a_reader(tmp_path)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, env=environment)
    assert report.exists(), done.stdout + done.stderr
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {kind: int(suite.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped")}
    return counts | {"output": done.stdout}


def as_a_reader(folder: Path) -> str:
    """An import path on which no Python finds what only extras install that `make lab` leaves out: all but JAX."""
    required = [text for text in metadata.requires("tplearn") or [] if "extra ==" in text]
    extras = {re.split(r"[=<>; ]", text)[0] for text in required if not text.startswith("jax==")}
    found = metadata.packages_distributions().items()
    hidden = {module for module, owners in found if {owner.lower().replace("_", "-") for owner in owners} <= extras}
    assert {"playwright", "hypothesis", "nbgrader"} <= hidden
    (folder / "sitecustomize.py").write_text(HIDING.format(hidden=sorted(hidden)))
    return str(folder)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@each(CHAPTERS)
def test_a_chapter_runs_to_exactly_its_stored_outputs(path: Path, tmp_path: Path) -> None:
    outcome = run_nbval([path], "--nbval", tmp_path)
    assert outcome["tests"] == len(code_cells(path)), outcome["output"]
    assert not outcome["failures"] + outcome["errors"] + outcome["skipped"], outcome["output"]


WITHOUT_JAX = [path for path in SOLUTIONS if not marks(path)]
TOGETHER = [[path] for path in SOLUTIONS if marks(path)] + [WITHOUT_JAX[k::4] for k in range(4)]


@pytest.mark.parametrize(
    "paths", [pytest.param(paths, id="-".join(p.stem for p in paths), marks=marks(paths[0])) for paths in TOGETHER]
)
def test_solutions_pass_every_check(paths: list[Path], tmp_path: Path) -> None:
    """Three in one process: to start pytest takes as long as some of their checks."""
    outcome = run_nbval(paths, "--nbval-lax", tmp_path)
    assert outcome["tests"] == sum(len(code_cells(path)) for path in paths), outcome["output"]
    assert not outcome["failures"] + outcome["errors"] + outcome["skipped"], outcome["output"]


@each([path for path in EXERCISES if not marks(path)][-1:])
def test_every_check_of_an_untouched_exercise_fails(path: Path, tmp_path: Path) -> None:
    """One stands for all: what a check says of each stub is seen below, without a kernel for every notebook."""
    checks = [cell for cell in code_cells(path) if CHECKED in tags(cell)]
    outcome = run_nbval([path], "--nbval-lax", tmp_path)
    assert outcome["failures"] == len(checks) == len(exercises(path.name[:2])), outcome["output"]
    assert not outcome["errors"] + outcome["skipped"], outcome["output"]


@each(EXERCISES)
def test_an_untouched_stub_is_not_attempted(path: Path) -> None:
    names = {"__name__": "__main__"}
    for cell in code_cells(path):
        if CHECKED not in tags(cell):
            exec(re.sub(r"^%.*", "", cell.source, flags=re.M), names)
    for exercise in exercises(path.name[:2]):
        verdict = judge(exercise, names[exercise.name])
        assert verdict.status == "not attempted" and verdict.earned == 0
        assert f"{exercise.name}   not attempted      0/{exercise.points}" in str(verdict)


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
