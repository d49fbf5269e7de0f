"""The reader's copy follows the course, and nothing that the reader wrote is lost: not by an update, not by a kill."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.course.small import (
    ANSWERED,
    CHAPTER,
    EXERCISE,
    PICTURE,
    SCRIPT,
    answer,
    make_course,
    page,
    run,
    shown,
    sources,
    write,
)
from tplearn.course import copy as copies
from tplearn.course.copy import update
from tplearn.course.pages import fingerprint
from tplearn.course.places import GIVEN, HERE

ROOT = Path(__file__).parents[2]
NEWER = page("1 + 2", "print('newer')", outputs="newer\n")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    return make_course(tmp_path / "der Kurs α")


@pytest.fixture
def copy(course: Path) -> Path:
    """A copy in its usual place, just made."""
    assert update(course / HERE, course).kept == []
    return course / HERE


def files(copy: Path) -> list[str]:
    """What a reader sees in the copy."""
    seen = (path.relative_to(copy) for path in copy.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in seen if not any(part.startswith(".") for part in path.parts))


def test_a_copy_holds_every_page_script_and_picture(course: Path, copy: Path) -> None:
    assert files(copy) == [CHAPTER, SCRIPT, EXERCISE, PICTURE, "solutions/01_a.ipynb"]
    for name in files(copy):
        if name.endswith(".ipynb"):
            assert sources(copy / name) == sources(course / name) and shown(copy / name) == shown(course / name)
        else:
            assert (copy / name).read_bytes() == (course / name).read_bytes()


def test_what_was_only_run_is_left_alone_until_the_course_has_news(course: Path, copy: Path) -> None:
    run(copy / CHAPTER)
    assert update(copy, course).kept == [] and shown(copy / CHAPTER) == "what the reader saw\n"
    write(course, CHAPTER, NEWER)
    assert update(copy, course).kept == [] and sources(copy / CHAPTER) == ["1 + 2", "print('newer')"]
    run(copy / CHAPTER)
    write(course, CHAPTER, page("1 + 2", "print('newer')", outputs="shown otherwise\n"))  # outputs alone can be news
    assert update(copy, course).kept == [] and shown(copy / CHAPTER) == "shown otherwise\n"


def test_an_update_says_what_is_new_what_is_newer_and_what_stays(course: Path, copy: Path) -> None:
    assert update(copy, course).lines() == []
    answer(copy / EXERCISE)
    for name in (CHAPTER, EXERCISE):
        write(course, name, NEWER)
    write(course, "chapters/02_c.ipynb", page("3"))
    counts, kept = update(copy, course).lines()
    assert counts == "1 file new and 1 file brought up to date" and kept.startswith(f"{EXERCISE}: yours stays")


@pytest.mark.parametrize("name", [CHAPTER, EXERCISE])
def test_what_was_answered_stays_and_the_news_is_put_beside_it_once(course: Path, copy: Path, name: str) -> None:
    answer(copy / name)
    before = (copy / name).read_bytes()
    assert update(copy, course).kept == [], "without news nothing is said"
    write(course, name, NEWER)
    (line,) = update(copy, course).kept
    assert name in line and "01_a_new.ipynb" in line
    beside = copy / name.replace("01_a", "01_a_new")
    assert sources(beside) == sources(course / name) and (copy / name).read_bytes() == before
    beside.unlink()
    assert update(copy, course).kept == [] and not beside.exists(), "it is said and put there once"


def test_untouched_news_is_replaced_by_newer_news_and_touched_news_is_kept(course: Path, copy: Path) -> None:
    answer(copy / EXERCISE)
    write(course, EXERCISE, NEWER)
    update(copy, course)
    write(course, EXERCISE, page("3"))
    update(copy, course)
    beside = copy / "exercises/01_a_new.ipynb"
    assert sources(beside) == ["3"]
    answer(beside)
    write(course, EXERCISE, page("4"))
    (line,) = update(copy, course).kept
    assert "01_a_new2.ipynb" in line
    assert sources(beside) == [ANSWERED] and sources(copy / "exercises/01_a_new2.ipynb") == ["4"]
    assert sources(copy / EXERCISE)[0] == ANSWERED
    assert sorted((copy / "exercises").glob("*.ipynb"))[0] == copy / EXERCISE, "the reader's own comes first"


def test_a_reader_who_takes_the_news_over_follows_the_course_again(course: Path, copy: Path) -> None:
    answer(copy / EXERCISE)
    write(course, EXERCISE, NEWER)
    update(copy, course)
    (copy / "exercises/01_a_new.ipynb").replace(copy / EXERCISE)
    write(course, EXERCISE, page("3"))
    assert update(copy, course).kept == [] and sources(copy / EXERCISE) == ["3"]


def test_scripts_and_pictures_are_compared_by_their_bytes(course: Path, copy: Path) -> None:
    write(copy, SCRIPT, "print('mine')\n")
    for name in (SCRIPT, PICTURE):
        write(course, name, "newer\n")
    (line,) = update(copy, course).kept
    assert SCRIPT in line and "05_b_new.py" in line
    assert (copy / SCRIPT).read_text() == "print('mine')\n" and (copy / PICTURE).read_text() == "newer\n"


def test_a_deleted_page_comes_back_fresh(course: Path, copy: Path) -> None:
    answer(copy / CHAPTER)
    (copy / CHAPTER).rename(copy / "chapters/my notes.ipynb")
    assert update(copy, course).kept == []
    assert sources(copy / CHAPTER) == sources(course / CHAPTER)
    assert sources(copy / "chapters/my notes.ipynb")[0] == ANSWERED


def test_what_the_course_drops_goes_unless_it_was_touched(course: Path, copy: Path) -> None:
    run(copy / CHAPTER)
    answer(copy / EXERCISE)
    for name in (CHAPTER, EXERCISE):
        (course / name).unlink()
    (line,) = update(copy, course).kept
    assert EXERCISE in line and not (copy / CHAPTER).exists() and sources(copy / EXERCISE)[0] == ANSWERED
    assert update(copy, course).kept == []


def test_a_folder_that_holds_other_things_keeps_them(course: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    mine = write(copy, CHAPTER, page("mine")), write(copy, "diary.txt", "dear"), write(copy, "exercises/x.ipynb", "{")
    (copy / SCRIPT).mkdir(parents=True)  # a folder where the course has a file
    before = [path.read_bytes() for path in mine]
    news = update(copy, course).kept
    assert [path.read_bytes() for path in mine] == before and (copy / SCRIPT).is_dir()
    assert len(news) == 2 and sources(copy / "chapters/01_a_new.ipynb") == sources(course / CHAPTER)
    assert (copy / "chapters/05_b_new.py").is_file()
    assert update(copy, course).kept == []


def test_a_damaged_notebook_of_the_reader_counts_as_touched(course: Path, copy: Path) -> None:
    write(copy, EXERCISE, '{"cells": [')
    write(course, EXERCISE, NEWER)
    assert len(update(copy, course).kept) == 1 and (copy / EXERCISE).read_text() == '{"cells": ['


def test_a_conflict_in_the_course_does_not_reach_the_copy(course: Path, copy: Path) -> None:
    before = (copy / CHAPTER).read_bytes()
    write(course, CHAPTER, "<<<<<<< HEAD\n" + NEWER)
    (line,) = update(copy, course).kept
    assert CHAPTER in line and "conflict" in line and (copy / CHAPTER).read_bytes() == before
    write(course, CHAPTER, NEWER)
    assert update(copy, course).kept == [] and shown(copy / CHAPTER) == "newer\n"


def test_answers_in_the_course_itself_are_copied_and_are_not_lost_when_git_takes_them_back(tmp_path: Path) -> None:
    """Who worked before there were copies has answers in the course's own exercises/."""
    course, copy = make_course(tmp_path / "course"), tmp_path / "copy"
    stub = page("def f(): ...", tplearn={"made": fingerprint(json.loads(page("def f(): ...")))})
    write(course, EXERCISE, stub.replace("def f(): ...", "def f(): return 'mine'"))
    update(copy, course)
    assert sources(copy / EXERCISE) == ["def f(): return 'mine'"]
    write(course, EXERCISE, stub)
    assert len(update(copy, course).kept) == 1 and sources(copy / EXERCISE) == ["def f(): return 'mine'"]


def test_links_of_the_reader_are_not_written_through(course: Path, copy: Path, tmp_path: Path) -> None:
    elsewhere = write(tmp_path, "elsewhere.ipynb", (copy / CHAPTER).read_text())
    before = elsewhere.read_bytes()
    (copy / CHAPTER).unlink()
    (copy / CHAPTER).symlink_to(elsewhere)
    write(course, CHAPTER, NEWER)
    assert update(copy, course).kept == [] and shown(copy / CHAPTER) == "newer\n" and elsewhere.read_bytes() == before


def test_a_clone_may_lie_in_another(course: Path) -> None:
    inner = make_course(course / "inner")
    assert update(inner / HERE, inner).made > 0


@pytest.mark.parametrize("inside", [".", "chapters", "my-course/chapters"])
def test_the_course_itself_is_no_place_for_a_copy(course: Path, tmp_path: Path, inside: str) -> None:
    another = make_course(tmp_path / "another")
    for around in (course, another):
        with pytest.raises(ValueError, match="lies in the course itself; choose a folder outside"):
            update(around / inside, course)


def test_another_python_is_written_into_untouched_pages_only(
    course: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(copy / EXERCISE)
    before = (copy / EXERCISE).read_bytes()
    monkeypatch.setattr(sys, "version", "3.14.15 (of another day)")
    assert update(copy, course).kept == [], "the same course: no news to put beside"
    versions = {name: json.loads((copy / name).read_text())["metadata"] for name in (CHAPTER, EXERCISE)}
    assert versions[CHAPTER]["language_info"]["version"] == "3.14.15" and (copy / EXERCISE).read_bytes() == before
    stamp = (copy / CHAPTER).stat().st_mtime_ns
    assert update(copy, course).kept == [] and (copy / CHAPTER).stat().st_mtime_ns == stamp


KILLED = """
import os, signal, sys
from pathlib import Path
from tplearn.course import copy
def replace(half, path, left=[int(sys.argv[3])], replace=os.replace):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(half, path)
os.replace = replace
copy.update(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("moment", range(12))
def test_a_kill_at_any_moment_leaves_whole_files_and_the_next_call_goes_on(
    course: Path, copy: Path, moment: int
) -> None:
    answer(copy / EXERCISE)
    run(copy / CHAPTER)
    (copy / PICTURE).unlink()
    for name in (CHAPTER, EXERCISE, "solutions/01_a.ipynb"):
        write(course, name, NEWER)
    write(course, SCRIPT, "newer\n")
    before = {name: (copy / name).read_bytes() for name in files(copy)}
    done = subprocess.run([sys.executable, "-c", KILLED, copy, course, str(moment)], cwd=ROOT, capture_output=True)
    assert done.returncode in (0, -signal.SIGKILL) and (done.returncode == 0) == (moment > 8), done.stderr
    assert (copy / EXERCISE).read_bytes() == before[EXERCISE]
    for name in files(copy):
        if name.endswith(".ipynb"):
            assert (copy / name).read_bytes() == before.get(name) or sources(copy / name) == sources(course / CHAPTER)
        else:
            assert (copy / name).read_bytes() in (before.get(name), (course / name).read_bytes())
    update(copy, course)
    assert sources(copy / CHAPTER) == sources(copy / "exercises/01_a_new.ipynb") == ["1 + 2", "print('newer')"]
    assert files(copy) == [CHAPTER, SCRIPT, EXERCISE, "exercises/01_a_new.ipynb", PICTURE, "solutions/01_a.ipynb"]
    assert not list(copy.rglob("*.half")), "nothing half-written stays behind"
    assert update(copy, course).kept == [] and (copy / EXERCISE).read_bytes() == before[EXERCISE]


def test_two_starts_at_once_make_one_whole_copy(course: Path) -> None:
    code = "import sys, pathlib; from tplearn.course import copy; copy.update(*map(pathlib.Path, sys.argv[1:]))"
    command = [sys.executable, "-c", code, course / HERE, course]
    calls = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    assert [call.communicate()[1] for call in calls] == [b""] * 3
    assert len(files(course / HERE)) == 5 and update(course / HERE, course).kept == []


def test_nothing_is_lost_whatever_readers_and_the_course_do(course: Path, copy: Path) -> None:
    """Random steps of both; after each update every text that a reader ever wrote and did not delete is there."""
    seed = random.randrange(2**32)
    chance, written = random.Random(seed), {}
    names = [CHAPTER, EXERCISE, "chapters/02_c.ipynb", "exercises/01_a_new.ipynb"]
    for step in range(60):
        name = chance.choice(names)
        match chance.choice(["answer", "run", "delete", "course", "drop", "rename"]):
            case "answer" if (copy / name).exists():
                written[name] = f"answer {step}"
                write(copy, name, page(written[name]))
            case "run" if (copy / name).exists():
                run(copy / name)
            case "delete":
                (copy / name).unlink(missing_ok=True)
                written.pop(name, None)
            case "course":
                write(course, name, page(f"course {step}"))
            case "drop":
                (course / name).unlink(missing_ok=True)
            case "rename" if (copy / name).exists():
                (copy / name).rename(copy / f"chapters/kept_{step}.ipynb")
                if name in written:
                    written[f"chapters/kept_{step}.ipynb"] = written.pop(name)
        update(copy, course)
        for own, text in written.items():
            assert sources(copy / own) == [text], f"seed {seed}, step {step}: {own}"
        assert update(copy, course).kept == [], f"seed {seed}, step {step}: news are said once"


def test_half_of_a_file_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: the write fails, and the old file stands."""
    path = write(tmp_path, "a.txt", "old")

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        copies._write(path, b"new")
    assert path.read_text() == "old"


def test_what_was_given_lies_hidden(copy: Path) -> None:
    assert (copy / GIVEN / CHAPTER).is_file() and GIVEN.startswith(".")
