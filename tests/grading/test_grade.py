"""The command: what it refuses, what a second run does, and what the first line of a report says without a jail."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.grading.made import answered, put
from tplearn.checks import find_exercise
from tplearn.cli import app
from tplearn.grading.can_jail import can_jail
from tplearn.grading.course_cells import course_cells, solution_of
from tplearn.grading.keeper import Keeper, Run
from tplearn.jailed import landlock

NO_JAIL = can_jail()
needs_jail = pytest.mark.skipif(NO_JAIL is not None, reason=str(NO_JAIL))
SPLIT = find_exercise("split_columns")
RIGHT = "\n".join([*course_cells(SPLIT.name), solution_of(SPLIT.name)])
WRONG = "def split_columns(weight, world_size):\n    return list(weight.chunk(world_size, 1))"


def grade(*words: object) -> Result:
    return CliRunner().invoke(app, ["grade", *map(str, words)])


def earned(out: Path) -> dict[str, float]:
    return {one["student"]: one["earned"] for one in json.loads((out / "report.json").read_text())["students"]}


def findings(out: Path) -> set[str]:
    return {path.name for path in out.glob("results/*.json")}


@needs_jail
def test_a_second_run_does_what_has_changed(tmp_path: Path) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    put(inbox, "ada/02.ipynb", answered("split_columns", RIGHT))
    put(inbox, "bob/02.ipynb", answered("split_columns", WRONG))
    done = grade(inbox, "--out", out, "--seed", 5)
    assert done.exit_code == 0, done.output
    assert "Graded in a jail" in done.output and "seed 5: " in done.output
    assert earned(out) == {"ada": SPLIT.points, "bob": 0}
    before, first = findings(out), (out / "index.html").read_bytes()
    assert grade(inbox, "--out", out).exit_code == 0
    assert (findings(out), (out / "index.html").read_bytes()) == (before, first)
    put(inbox, "bob/02.ipynb", answered("split_columns", RIGHT))  # as ada's: known already
    assert grade(inbox, "--out", out).exit_code == 0
    assert earned(out) == {"ada": SPLIT.points, "bob": SPLIT.points}
    assert findings(out) == before
    course = put(tmp_path, "course.toml", b"[points]\nsplit_columns = 77\n")
    assert grade(inbox, "--out", out, "--course", course).exit_code == 0
    assert earned(out) == {"ada": 77, "bob": 77}
    assert findings(out) == before
    assert not list(out.glob(".rooms")) and not list(out.rglob("*.half"))


@needs_jail
def test_without_a_jail_the_first_line_says_so(tmp_path: Path) -> None:
    put(tmp_path / "inbox", "ada/02.ipynb", answered("split_columns", RIGHT))
    done = grade(tmp_path / "inbox", "--out", tmp_path / "out", "--no-jail")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Trusted class only: graded without a jail")
    assert ("Landlock kept answers" in done.stdout) == (landlock.version() > 0)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["landlock"] == (landlock.version() > 0)
    assert earned(tmp_path / "out") == {"ada": SPLIT.points}
    for name in ("gradebook.csv", "students/ada-*.html", "gradescope/ada-*.json"):
        (path,) = (tmp_path / "out").glob(name)
        assert "Trusted class only" in path.read_text()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda place: ["nowhere", "--out", place / "out"], "there is no file or folder 'nowhere'"),
        (lambda place: [put(place, "a/02.ipynb", b"{").parent, "--out", place / "o"], "02.ipynb cannot be read as a"),
        (
            lambda place: [put(place, "02.ipynb", answered("split_rows")), "--out", place],
            "something else than a graded",
        ),
        (lambda place: [put(place, "02.ipynb", answered("split_rows")), "--out", begun(place), "--seed", 3], "seed 7"),
        (lambda place: [put(place, "02.ipynb", answered("split_rows")), "--out", broken(place)], "run.json cannot be"),
    ],
)
def test_what_does_not_work_is_refused_in_a_sentence(make: object, says: str, tmp_path: Path) -> None:
    done = grade(*make(tmp_path))
    assert done.exit_code == 2
    assert done.output.startswith("tplearn: ") and says in done.output
    assert "Traceback" not in done.output


def begun(place: Path) -> Path:
    Keeper(place / "begun", Run(7, "course", "jail")).close()
    return place / "begun"


def broken(place: Path) -> Path:
    return put(place / "broken", "run.json", b"{").parent


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    first = Keeper(tmp_path / "out", Run(7, "course", "jail"))
    with pytest.raises(ValueError, match="another `tplearn grade` is at work"):
        Keeper(tmp_path / "out", Run(7, "course", "jail"))
    first.close()
