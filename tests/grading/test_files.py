"""What an inbox meets: names and archives that lie, links and pipes, files that nobody can read."""

import os
import stat
import zipfile
from pathlib import Path

import pytest

from tests.grading.made import CHAPTERS, answered, put, zipped
from tplearn.grading.answers import NOTEBOOK_BYTES
from tplearn.grading.inbox import Inbox, read_inbox

OLD, NEW = answered("split_rows", "old"), answered("split_rows", "new")


def read(place: Path) -> Inbox:
    return read_inbox(place, CHAPTERS)


def test_foreign_and_broken_files_are_reported_and_the_batch_goes_on(tmp_path: Path) -> None:
    broken = {
        "cut": NEW[: len(NEW) // 2],
        "empty": b"",
        "binary": os.urandom(500),
        "foreign": answered("of another course"),
        "big": b" " * (NOTEBOOK_BYTES + 1),
    }
    for name, content in broken.items():
        put(tmp_path, f"{name}.ipynb", content)
    put(tmp_path, "good.ipynb", NEW)
    inbox = read(tmp_path)
    assert {one.student for one in inbox.submissions if one.handed} == {"good"}
    for one in inbox.submissions:
        assert len(one.unreadable) == (one.student != "good")
        assert all(str(stray).endswith(".") and len(str(stray)) < 200 for stray in one.unreadable)


def test_links_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    put(tmp_path / "teacher", "secret.ipynb", NEW)
    put(tmp_path / "in", "ada/02.ipynb", NEW)
    (tmp_path / "in/ada/link.ipynb").symlink_to(tmp_path / "teacher/secret.ipynb")
    (tmp_path / "in/bob").symlink_to(tmp_path / "teacher")
    os.mkfifo(tmp_path / "in/ada/pipe.ipynb")  # reading it would wait for ever
    inbox = read(tmp_path / "in")
    assert [one.student for one in inbox.submissions] == ["ada"]
    assert [str(stray) for stray in inbox.submissions[0].unreadable] == [
        "link.ipynb is a link, and links are not followed. Put the file itself there.",
        "pipe.ipynb is no ordinary file.",
    ]


def test_an_archive_that_lies_costs_nothing_but_its_own_members(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link/02.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = zipfile.ZipInfo("lzma/02.ipynb")
    packed.compress_type = zipfile.ZIP_LZMA
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../../out.ipynb", "up/../../out.ipynb", "good/02.ipynb", "__MACOSX/good/._02.ipynb"):
            archive.writestr(name, NEW)
        archive.writestr("bomb/02.ipynb", b"0" * (200 * 2**20))
        archive.writestr(link, "../../secret")
        archive.writestr(packed, NEW)
    before = sorted(tmp_path.rglob("*"))
    inbox = read(path)
    assert sorted(tmp_path.rglob("*")) == before and not (tmp_path.parent / "out.ipynb").exists()
    said = {one.student: [stray.says for stray in one.unreadable] for one in inbox.submissions}
    assert [one.student for one in inbox.submissions if one.handed] == ["good"]
    assert "leads out of the archive" in said[".."][0] and "leads out" in said["up"][0]
    assert "larger than 8 MB" in said["bomb"][0] and "is a link" in said["link"][0] and "packed" in said["lzma"][0]


def test_what_comes_out_of_an_archive_is_capped_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tplearn.grading.files.ARCHIVE_BYTES", 3 * NOTEBOOK_BYTES)
    members = {f"{number:02d}/02.ipynb": b" " * (2 * NOTEBOOK_BYTES) for number in range(10)}
    inbox = read(zipped(tmp_path / "all.zip", members))
    assert sum("was not read" in one.unreadable[0].says for one in inbox.submissions) == 7


def test_a_damaged_member_is_reported(tmp_path: Path) -> None:
    path = zipped(tmp_path / "all.zip", {"ada/02.ipynb": OLD * 50, "bob/02.ipynb": NEW})
    content = bytearray(path.read_bytes())
    content[60:70] = bytes(10)
    path.write_bytes(content)
    ada, bob = read(path).submissions
    assert "damaged" in ada.unreadable[0].says and bob.handed


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none", None, "no file or folder"),
        ("a.zip", b"PK\x03\x04", "cannot be opened as a zip"),
        ("a.txt", b"", "holds no"),
    ],
)
def test_a_place_with_nothing_in_it_is_said(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        put(tmp_path, name, content)
    with pytest.raises(ValueError, match=says):
        read(tmp_path / name)


def test_names_that_would_look_alike_are_kept_apart(tmp_path: Path) -> None:
    inbox = read(zipped(tmp_path / "all.zip", {"a\x01/02.ipynb": NEW, "a\x02/02.ipynb": NEW, "a\u202eb/02.ipynb": NEW}))
    names = [one.student for one in inbox.submissions]
    assert len(set(names)) == 3 and all(name.isprintable() for name in names)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tplearn.grading.files.FILES", 2)
    for name in "abc":
        put(tmp_path, f"{name}.ipynb", NEW)
    with pytest.raises(ValueError, match="more than 2 files"):
        read(tmp_path)
