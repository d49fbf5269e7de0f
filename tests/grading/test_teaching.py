"""TEACHING.md: what it shows works, and what it names is there."""

import json
import re
from pathlib import Path

import pytest
import torch
import typer.main

from tests.grading.made import CHAPTERS, put, report, small_class
from tplearn.checks import find_exercise, judge
from tplearn.cli import app
from tplearn.grading.can_jail import APPARMOR
from tplearn.grading.course_file import KEYS, CourseFile, read_course_file
from tplearn.grading.private import with_private
from tplearn.grading.publish import FOLDERS, TEMPLATED, publish
from tplearn.grading.results_json import as_json

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "TEACHING.md").read_text()


def block(language: str, holds: str) -> str:
    """The one block of that language that holds a text."""
    (found,) = [text for text in re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.S | re.M) if holds in text]
    return found


def test_its_private_cases_are_judged(tmp_path: Path) -> None:
    path = put(tmp_path, "private_cases.py", block("python", "def row_parallel").encode())
    (exercise,) = with_private([find_exercise("row_parallel")], CourseFile(cases=path)).values()
    assert [case.tp for case in exercise.cases(torch.Generator().manual_seed(1))] == [1, 2, 3, 4, 8]
    verdict = judge(exercise, exercise.reference, 1)
    assert verdict.passed and verdict.sizes[8]
    assert judge(exercise, exercise.mutants[0].answer, 1).misconception == exercise.mutants[0].name


def test_its_course_file_is_read_and_shows_every_table(tmp_path: Path) -> None:
    put(tmp_path, "private_cases.py", b"")
    text = block("toml", "[deadlines]")
    course = read_course_file(put(tmp_path, "course.toml", text.encode()), CHAPTERS)
    assert course.points == {"row_parallel": 20} and course.late.deadlines["02"].utcoffset()
    for table, keys in KEYS.items():
        assert f"[{table}]" in text and all(f"{key} = " in text for key in keys)


def test_its_autograder_for_classroom_50_writes_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, *_ = small_class().students
    put(tmp_path, "report/report.json", as_json(report(ada)).encode())
    monkeypatch.chdir(tmp_path)
    for name in ("CLASSROOM", "ASSIGNMENT", "OWNER", "SUBMISSION_TAG", "COMMIT_URL", "RELEASE_URL"):
        monkeypatch.setenv(name, "x")
    exec(compile(block("python", "classroom50"), "autograder.py", "exec"), {})
    assert json.loads((tmp_path / "result.json").read_text())["score"] == 15


def test_commands_and_options_that_it_names_exist() -> None:
    commands = typer.main.get_command(app).commands
    called = re.findall(r"tplearn (grade|release|doctor|check)\b([^\n`]*)", GUIDE)
    assert {name for name, _ in called} == {"grade", "release", "doctor", "check"}
    for name, rest in called:
        options = {
            option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.partition("#")[0])) <= options
    table = set(re.findall(r"^\| `(--?[a-z-]+)", GUIDE, re.M)) | set(re.findall(r", `(--[a-z]+) [A-Z]", GUIDE))
    assert table == {opt for parameter in commands["grade"].params for opt in parameter.opts if opt[0] == "-"} - {
        "--jobs"
    }


def test_files_that_it_names_are_those_that_are_written(tmp_path: Path) -> None:
    publish(small_class(), tmp_path, CourseFile(), None, None)
    written = {path.name for path in tmp_path.iterdir()} | set(TEMPLATED)
    section = GUIDE.partition("## What you get")[2].partition("###")[0]
    named = set(re.findall(r"`([a-z]+)(?:/[^`]*)?`|`([a-z]+\.[a-z]+)`", section))
    assert {one or other for one, other in named} == written and set(FOLDERS) < written
    assert (ROOT / "CONTRIBUTING.md").exists() and APPARMOR.partition(": ")[2] in GUIDE
