"""Where the reader works, from wherever the commands are called; and that git never sees it."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from tests.course.small import ANSWERED, CHAPTER, EXERCISE, answer, make_course, page, run, shown, sources, write
from tplearn.cli import app
from tplearn.course import places
from tplearn.course.copy import update
from tplearn.course.places import ELSEWHERE, HERE, clone_folder, copy_folder, course_folder, exercises_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course that the package is said to come from, and a home folder of the test's own."""
    made = make_course(tmp_path / "the course")
    monkeypatch.setattr(places, "CLONE", made)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return made


def test_the_course_is_where_the_package_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert course_folder() == ROOT


def test_the_copy_is_my_course_unless_one_stands_in_another(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert copy_folder() == course / HERE
    another = tmp_path / "another"
    update(another, course)
    assert copy_folder() == course / HERE
    for inside in (another, another / "chapters"):
        monkeypatch.chdir(inside)
        assert copy_folder() == another


def test_where_the_course_cannot_be_written_the_copy_is_in_the_home_folder(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:  # root may write anywhere; the bits of the mode count for everybody else
        monkeypatch.setattr(os, "access", lambda path, mode: bool(Path(path).stat().st_mode & 0o200))
    course.chmod(0o555)
    assert copy_folder() == tmp_path / "home" / ELSEWHERE
    course.chmod(0o755)
    (course / HERE).write_text("a file of this name is no folder")
    assert copy_folder() == tmp_path / "home" / ELSEWHERE
    update(copy_folder(), course)
    assert exercises_folder() == tmp_path / "home" / ELSEWHERE / "exercises"


def test_exercises_are_found_in_the_copy_first_wherever_one_stands(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(course / "chapters")
    assert exercises_folder() == course / "exercises", "without a copy those of the course"
    update(course / HERE, course)
    for folder in (course / "chapters", course, tmp_path, course / HERE / "chapters"):
        monkeypatch.chdir(folder)
        assert exercises_folder() == course / HERE / "exercises"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of an installed package: the course is packed in it, and no clone is near."""
    monkeypatch.setattr(places, "CLONE", tmp_path / "site-packages")
    monkeypatch.setattr(places, "PACKED", make_course(tmp_path / "site-packages/files"))
    (places.PACKED / "tplearn").rmdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return places.PACKED


def test_what_came_in_a_wheel_is_copied_and_left_alone(wheel: Path, tmp_path: Path) -> None:
    assert course_folder() == wheel and copy_folder() == tmp_path / "home" / ELSEWHERE
    with pytest.raises(FileNotFoundError, match="needs a clone"):
        clone_folder()
    for inside in (wheel, wheel / "chapters", wheel / "mine"):
        with pytest.raises(ValueError, match="lies in the installed package; choose a folder outside"):
            update(inside, wheel)
    assert update(copy_folder(), course_folder()).lines() == ["5 files new"]
    assert exercises_folder() == copy_folder() / "exercises"


def test_a_package_without_its_course_says_where_it_looked(wheel: Path, tmp_path: Path) -> None:
    shutil.rmtree(wheel)
    with pytest.raises(FileNotFoundError, match=f"the course is missing: .*{re.escape(str(wheel))}"):
        course_folder()


def test_the_package_alone_finds_exercises_nearby_or_says_so(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match="no exercises/ folder in .*tplearn start DIR"):
        exercises_folder()
    (tmp_path / "exercises").mkdir()
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert exercises_folder() == tmp_path / "exercises"


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_git_sees_nothing_of_what_a_reader_does_and_pulls_without_a_conflict(tmp_path: Path) -> None:
    upstream = make_course(tmp_path / "upstream")
    write(upstream, "tplearn/__init__.py", "")
    shutil.copy(ROOT / ".gitignore", upstream)
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "one")):
        git(upstream, *words)
    git(tmp_path, "clone", "-q", str(upstream), "clone")
    clone = tmp_path / "clone"
    copy = clone / HERE
    update(copy, clone)
    run(copy / CHAPTER)
    answer(copy / EXERCISE)
    write(copy, "chapters/scratch.ipynb", page("mine"))
    assert git(clone, "status", "--porcelain") == ""
    for name in (CHAPTER, EXERCISE):
        write(upstream, name, page("newer", outputs="newer\n"))
    git(upstream, "commit", "-qam", "two")
    git(clone, "pull", "-q")
    assert git(clone, "status", "--porcelain") == ""
    assert len(update(copy, clone).kept) == 1
    assert shown(copy / CHAPTER) == "newer\n" and sources(copy / EXERCISE)[0] == ANSWERED
    assert git(clone, "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the whole course, made by the command."""
    copy = tmp_path_factory.mktemp("Kursübung α") / "mein Kurs"
    done = CliRunner().invoke(app, ["start", str(copy)])
    assert done.exit_code == 0 and str(copy) in done.output
    return copy


LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)|(?:src|href)=\"(?!https?:|#)([^\"#]+)")


def test_every_link_of_a_page_leads_somewhere_in_the_copy(real: Path) -> None:
    pages = [path for part in ("chapters", "exercises", "solutions") for path in (real / part).glob("*.ipynb")]
    assert {path.relative_to(real).as_posix() for path in pages} == {
        path.relative_to(ROOT).as_posix()
        for part in ("chapters", "exercises", "solutions")
        for path in (ROOT / part).glob("*.ipynb")
    }
    links = 0
    for path in pages:
        for cell in nbformat.read(path, as_version=4).cells:
            for link in LINK.findall(cell.source) if cell.cell_type == "markdown" else ():
                target = (path.parent / (link[0] or link[1])).resolve()
                assert target.exists() and target.is_relative_to(real), f"{path.name}: {link}"
                links += 1
    assert links > 50


def test_the_second_start_is_fast_and_writes_nothing(real: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in real.rglob("*") if path.is_file() and path.name != "lock"}
    start = time.process_time()  # not the clock's: other tests may run beside this one
    assert update(real, ROOT).kept == []
    seconds = time.process_time() - start
    after = {path: path.stat().st_mtime_ns for path in before}
    assert before == after
    assert seconds < 0.3


@pytest.mark.parametrize("folder", [ROOT, ROOT / "chapters"])
def test_the_command_refuses_the_course_itself_in_one_line(folder: Path) -> None:
    done = CliRunner().invoke(app, ["start", str(folder)])
    assert done.exit_code == 2 and "lies in the course itself" in done.output and "Traceback" not in done.output


def test_the_command_says_in_one_line_what_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, "file", "")
    done = CliRunner().invoke(app, ["start", str(tmp_path / "file" / "copy")])
    assert done.exit_code == 2 and str(tmp_path / "file") in done.output and done.output.count("\n") == 1
