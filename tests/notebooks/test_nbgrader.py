"""nbgrader itself: it takes the solutions as they are, and gives points for what passes and for nothing else."""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tplearn.checks import check, exercises

SOLUTIONS = sorted((Path(__file__).parents[2] / "solutions").glob("*.ipynb"))
GRADED = ("02", "07")  # one on simulated ranks, one on gloo


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """nbgrader on a course of its own."""
    api_module = pytest.importorskip("nbgrader.apps.api")
    from traitlets.config import Config

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # nbgrader calls alembic by name
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.CourseDirectory.course_id = "course"
    return api_module.NbGraderAPI(config=config)


def hand_in(folder: Path, paths: list[Path]) -> None:
    folder.mkdir(parents=True)
    for path in paths:
        (folder / path.name).write_bytes(path.read_bytes())


def succeed(result: dict) -> None:
    assert result["success"], result.get("log", "") + (result.get("error") or "")


def test_it_accepts_the_solutions_unchanged(api: Any, tmp_path: Path) -> None:
    hand_in(tmp_path / "source" / "tp", SOLUTIONS)
    succeed(api.generate_assignment("tp", force=True))
    made = sorted((tmp_path / "release" / "tp").glob("*.ipynb"))
    assert [path.name for path in made] == [path.name for path in SOLUTIONS]
    points: dict[str, int] = {}
    for path in made:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code":
                continue
            assert "BEGIN SOLUTION" not in cell.source
            metadata = cell.metadata.get("nbgrader", {})
            assert "NotImplementedError" in cell.source or not metadata.get("solution")
            if metadata.get("grade"):
                points[metadata["grade_id"]] = metadata["points"]
    due = [exercise for path in SOLUTIONS for exercise in exercises(path.name[:2])]
    assert points == {f"check_{exercise.name}": exercise.points for exercise in due}


@pytest.mark.slow
def test_its_autograder_gives_solutions_full_marks_and_untouched_exercises_none(api: Any, tmp_path: Path) -> None:
    source = [path for path in SOLUTIONS if path.name[:2] in GRADED]
    hand_in(tmp_path / "source" / "tp", source)
    succeed(api.generate_assignment("tp", force=True))
    hand_in(tmp_path / "submitted" / "solved" / "tp", source)
    hand_in(tmp_path / "submitted" / "blank" / "tp", sorted((tmp_path / "release" / "tp").glob("*.ipynb"))[-1:])
    for student in ("solved", "blank"):
        succeed(api.autograde("tp", student, force=True))
    total = sum(exercise.points for chapter in GRADED for exercise in exercises(chapter))
    assert {one["student"]: one["score"] for one in api.get_submissions("tp")} == {"solved": total, "blank": 0}


def test_a_check_raises_under_nbgrader_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def split_columns(*args: object) -> None:
        return None

    check(split_columns)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match=r"split_columns: 0 of \d+ points"):
        check(split_columns)
    assert capsys.readouterr().out.count("split_columns   ") == 2, "the verdict is printed first"
