"""The folder for a class: it runs, it holds no solution, it keeps what a teacher has changed; and its workflow."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from tests.grading.made import CHAPTERS
from tplearn.cli import app
from tplearn.grading.course_file import read_course_file
from tplearn.grading.for_class import GIVEN, TEMPLATES, TOP, for_class
from tplearn.grading.release import REGION

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((TEMPLATES / "grade.yml").read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real course, by the command."""
    out = tmp_path_factory.mktemp("class") / "tp"
    result = CliRunner().invoke(app, ["release", "--for-class", str(out)])
    assert result.exit_code == 0 and "course.toml in it is yours to fill in" in result.output
    return out


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one page, with what every class folder has beside it."""
    for name in (*TOP, "tplearn/a.py"):
        put(tmp_path / "course" / name, name)
    for name in ("chapters/00.ipynb", "figures/a.svg", "tests/test_a.py", "tplearn/__pycache__/a.pyc"):
        put(tmp_path / "course" / name, name)
    return tmp_path / "course"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_solution_and_no_test_is_in_it(made: Path) -> None:
    pages = [*made.glob("exercises/*.ipynb"), *made.glob("chapters/*.ipynb")]
    assert {path.name for path in pages} == {
        path.name for part in ("exercises", "chapters") for path in (ROOT / part).glob("*.ipynb")
    }
    assert not (made / "solutions").exists() and not (made / "tests").exists()
    solved = [
        region[0]
        for path in (ROOT / "solutions").glob("*.ipynb")
        for cell in json.loads(path.read_text())["cells"]
        if (region := REGION.search("".join(cell["source"])))
    ]
    cells = {"".join(cell["source"]) for path in pages for cell in json.loads(path.read_text())["cells"]}
    assert len(solved) == len(CHAPTERS)
    for region in solved:
        body = "\n".join(region.split("\n")[1:-1])
        assert body.strip() and not any(body in cell for cell in cells)


def test_the_course_in_it_is_the_one_that_its_own_package_opens(made: Path) -> None:
    code = "from tplearn.course.places import course_folder, copy_folder; print(course_folder(), copy_folder())"
    run = subprocess.run([sys.executable, "-c", code], cwd=made, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(made.resolve()), str(made.resolve() / "my-course")]
    assert read_course_file(made / "course.toml", CHAPTERS).title == "Tensor parallelism"
    uncommented = re.sub(r"^# (?=\[|\"|\w+ =)", "", (made / "course.toml").read_text(), flags=re.M)
    put(made.parent / "private_cases.py", "")
    put(made.parent / "course.toml", uncommented)
    assert read_course_file(made.parent / "course.toml", CHAPTERS).points == {"row_parallel": 20}


def test_a_second_call_changes_nothing_and_keeps_what_a_teacher_has_changed(course: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert for_class(course, out) == []
    first = contents(out)
    assert {"chapters/00.ipynb", "tplearn/a.py", ".github/workflows/grade.yml", ".gitignore"} < set(first)
    assert not any("pyc" in name or name.startswith("tests") for name in first)
    assert for_class(course, out) == [] and contents(out) == first
    put(out / "course.toml", "mine")
    put(out / "notes.md", "mine")
    put(course / "chapters/00.ipynb", "newer")
    (course / "figures/a.svg").unlink()
    assert for_class(course, out) == ["course.toml: yours stays, as you have changed it"]
    changed = contents(out)
    assert changed["course.toml"] == changed["notes.md"] == b"mine" and changed["chapters/00.ipynb"] == b"newer"
    assert "figures/a.svg" not in changed and "figures/a.svg" not in json.loads(changed[GIVEN])


def test_another_folder_is_refused_and_left_as_it_is(course: Path, tmp_path: Path) -> None:
    put(tmp_path / "other/thesis.tex", "mine")
    for place, says in (
        (tmp_path / "other", "holds something else than a class folder"),
        (course / "out", "lies in a course"),
    ):
        with pytest.raises(ValueError, match=says):
            for_class(course, place)
    assert contents(tmp_path / "other") == {"thesis.tex": b"mine"} and not (course / "out").exists()


def steps() -> list[dict[str, str]]:
    return WORKFLOW["jobs"]["grade"]["steps"]


def test_the_workflow_is_one_that_github_reads() -> None:
    assert WORKFLOW[True] == "push", "YAML reads the key `on` so, and GitHub knows"
    assert WORKFLOW["permissions"] == {"contents": "read"} and "timeout-minutes" in WORKFLOW["jobs"]["grade"]
    assert all(("uses" in step) != ("run" in step) for step in steps())
    for step in steps():
        if "run" in step:
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)


def test_each_command_of_the_workflow_is_one_that_there_is() -> None:
    commands = typer.main.get_command(app).commands
    lines = [line.split() for step in steps() for line in step.get("run", "").splitlines()]
    called = [words[1:] for words in lines if words[:1] == [".venv/bin/tplearn"]]
    assert called == [["grade", "inbox", "--out", "report", "--course", "course.toml"]]
    for name, *words in called:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known
    targets = [words[2:] for words in lines if words[:1] == ["make"]]
    makefile = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")
    assert targets == [[".venv/.lab", ".venv/.jax"]]
    assert all(f"\n{target}:" in makefile for target in targets[0])


def test_the_workflow_collects_a_students_notebooks_in_one_folder(tmp_path: Path) -> None:
    (collect,) = [step["run"] for step in steps() if step.get("id") == "inbox"]
    environment = {"PATH": "/usr/bin:/bin", "NOTEBOOKS": WORKFLOW["env"]["NOTEBOOKS"], "GITHUB_REPOSITORY": "tp/ada"}
    environment |= {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}

    def run() -> str:
        subprocess.run(["bash", "-e", "-c", collect], cwd=tmp_path, env=environment, check=True)
        return (tmp_path / "GITHUB_OUTPUT").read_text().split("\n")[-2]

    assert run() == "count=0" and "make lab" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    for name in ("02 a.ipynb", "03.ipynb"):
        put(tmp_path / "my-course/exercises" / name, "{}")
    assert run() == "count=2"
    assert sorted(path.name for path in (tmp_path / "inbox/ada").iterdir()) == ["02 a.ipynb", "03.ipynb"]
