"""The inbox: every layout that teachers have, whose a file is, and which of several is graded."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.grading.made import CHAPTERS, answered, put, zipped
from tplearn.grading.inbox import Inbox, read_inbox

OLD, NEW = answered("split_rows", "old"), answered("split_rows", "new")


def read(place: Path) -> Inbox:
    return read_inbox(place, CHAPTERS)


def source(inbox: Inbox, student: str, chapter: str = "02") -> str:
    (one,) = [one for one in inbox.submissions if one.student == student]
    return one.handed[chapter].notebook.cells[-1].source


def students(inbox: Inbox) -> list[tuple[str, str, list[str]]]:
    return [(one.student, one.name, sorted(one.handed)) for one in inbox.submissions]


def test_one_notebook_is_one_student(tmp_path: Path) -> None:
    assert students(read(put(tmp_path, "Ada Lovelace.ipynb", NEW))) == [("Ada Lovelace", "Ada Lovelace", ["02"])]


def test_a_folder_of_notebooks_is_a_file_a_student_sorted(tmp_path: Path) -> None:
    for name in ("öde.ipynb", "bob_LATE.ipynb", "ada.ipynb", "week_02_03_eve.ipynb"):
        put(tmp_path, name, NEW)
    put(tmp_path, "README.md", b"hello")
    put(tmp_path, ".ipynb_checkpoints/ada-checkpoint.ipynb", OLD)
    inbox = read(tmp_path)
    assert [one.student for one in inbox.submissions] == ["ada", "bob", "week_02_03_eve", "öde"]
    assert [one.handed["02"].late for one in inbox.submissions] == [False, True, False, False]
    assert [str(stray) for stray in inbox.strays] == ["README.md belongs to no student, and was left out."]


def test_a_folder_a_student_holds_several_chapters_and_names_do_not_matter(tmp_path: Path) -> None:
    put(tmp_path, "ada/02_column_row.ipynb", answered("tp_mlp"))
    put(tmp_path, "ada/deeper/Untitled.ipynb", NEW)
    put(tmp_path, "ada/torch.py", b"evil")
    put(tmp_path, "bob/homework.pdf", b"%PDF")
    inbox = read(tmp_path)
    assert students(inbox) == [("ada", "ada", ["02", "03"]), ("bob", "bob", [])]
    assert inbox.chapters == ("02", "03")
    assert [str(stray) for stray in inbox.submissions[1].unreadable] == [
        "homework.pdf is no notebook, and was left out."
    ]


@pytest.mark.parametrize("below", ["", "submitted"])
def test_nbgraders_tree_and_its_time(tmp_path: Path, below: str) -> None:
    put(tmp_path / below, "ada/tp/02.ipynb", NEW)
    put(tmp_path / below, "ada/tp/timestamp.txt", b"2026-11-25 14:00:00.250000 UTC\n")
    put(tmp_path / below, "bob/tp/02.ipynb", NEW)
    put(tmp_path / below, "bob/tp/timestamp.txt", b"yesterday Mars/Olympus Mons")
    if below:
        put(tmp_path, "source/tp/02.ipynb", OLD)
    inbox = read(tmp_path)
    assert students(inbox) == [("ada", "ada", ["02"]), ("bob", "bob", ["02"])]
    assert inbox.submissions[0].handed["02"].when == datetime(2026, 11, 25, 14, 0, 0, 250000, tzinfo=UTC)
    assert inbox.submissions[1].handed["02"].when is None
    assert not any(one.unreadable for one in inbox.submissions)


def test_canvas_names_tell_the_user_lateness_and_the_newest_upload(tmp_path: Path) -> None:
    members = {
        "lovelaceada_LATE_1234_99_02-1.ipynb": NEW,
        "lovelaceada_LATE_1234_98_02.ipynb": OLD,
        "babbagecharles_77_101_notes_5_6_02.ipynb": NEW,
        "turingalan_78_102_essay.pdf": b"%PDF",
    }
    inbox = read(zipped(tmp_path / "submissions.zip", members))
    assert inbox.layout == "canvas"
    assert students(inbox) == [
        ("1234", "lovelaceada", ["02"]),
        ("77", "babbagecharles", ["02"]),
        ("78", "turingalan", []),
    ]
    ada, charles, alan = inbox.submissions
    assert source(inbox, "1234") == "new" and ada.handed["02"].late and not charles.handed["02"].late
    assert ada.notes == ("Of chapter 02 the newest notebook is graded, 02-1.ipynb, and not 02.ipynb.",)
    assert charles.handed["02"].file == "notes_5_6_02.ipynb"
    assert alan.unreadable


@pytest.mark.parametrize("form", ["{}_assignsubmission_file/02.ipynb", "{}_assignsubmission_file_/02.ipynb"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_moodle_names_old_and_new(tmp_path: Path, form: str, unpacked: bool) -> None:
    members = {form.format("Ada de_Lovelace_1234567"): NEW, form.format("王 小明_89"): NEW}
    if unpacked:
        for name, content in members.items():
            put(tmp_path / "all", name, content)
    place = tmp_path / "all" if unpacked else zipped(tmp_path / "moodle.zip", members)
    inbox = read(place)
    assert inbox.layout == "moodle"
    assert students(inbox) == [("1234567", "Ada de_Lovelace", ["02"]), ("89", "王 小明", ["02"])]


def test_moodle_without_folders(tmp_path: Path) -> None:
    members = {"Ada Lovelace_12_assignsubmission_file_02.ipynb": NEW, "Bob_13_assignsubmission_onlinetext_o.html": b""}
    inbox = read(zipped(tmp_path / "m.zip", members))
    assert students(inbox) == [("12", "Ada Lovelace", ["02"])]
    assert [stray.file for stray in inbox.strays] == ["Bob_13_assignsubmission_onlinetext_o.html"]


def test_a_zip_of_a_folder_of_its_own_name(tmp_path: Path) -> None:
    inbox = read(zipped(tmp_path / "week 3.zip", {"week 3/ada/02.ipynb": NEW, "week 3/bob.ipynb": NEW}))
    assert [one.student for one in inbox.submissions] == ["ada", "bob"]


def test_the_newest_is_graded_and_an_unreadable_newest_leaves_the_older(tmp_path: Path) -> None:
    old, new = put(tmp_path, "ada/z.ipynb", OLD), put(tmp_path, "ada/a.ipynb", NEW)
    os.utime(old, ns=(1, 1_000))
    os.utime(new, ns=(1, 2_000))
    put(tmp_path, "ada/later.ipynb", NEW[:50])
    inbox = read(tmp_path)
    assert source(inbox, "ada") == "new"
    assert "cut off or damaged" in str(inbox.submissions[0].unreadable[0])
    for path in (old, new):
        os.utime(path, ns=(1, 1_000))
    os.rename(old, tmp_path / "ada/a (1).ipynb")
    assert source(read(tmp_path), "ada") == "old", "of the same age the one with the number is the newer"
