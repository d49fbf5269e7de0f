"""Ranks without walls, from outside: what they are shown, how their folders go, and the kernel's own numbers."""

import errno
import os
import re
import site
import subprocess
import sys
from pathlib import Path

import pytest

from tplearn.grading import open_air
from tplearn.grading.open_air import readable, remove
from tplearn.jailed import landlock

HEADER = Path("/usr/include/linux/landlock.h")


def test_a_package_that_is_installed_for_real_is_left_out_and_its_neighbours_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("tplearn/checks", "torch", "inner/submissions", "inner/numpy"):
        (tmp_path / "site" / name).mkdir(parents=True)
    (tmp_path / "site" / "six.py").touch()
    (tmp_path / "site" / "out").symlink_to(tmp_path)
    monkeypatch.setattr(open_air, "SYSTEM", ())
    monkeypatch.setattr(open_air, "libraries", lambda: {tmp_path / "site"})
    monkeypatch.setattr(open_air, "own_folders", lambda: [tmp_path / "site" / "tplearn", tmp_path / "nowhere"])
    shown = readable([tmp_path / "image"], [tmp_path / "site" / "inner" / "submissions", tmp_path])
    names = [place.relative_to(tmp_path).as_posix() for place in shown]
    assert names == ["image", "site/inner/numpy", "site/six.py", "site/torch"]


def test_of_an_editable_install_the_packages_are_shown_as_they_are() -> None:
    packages = Path(site.getsitepackages()[0]).resolve()
    assert (packages in readable([], [])) == (not (packages / "tplearn").exists())
    assert not [place for place in readable([], []) if place.name == "tplearn"]


def test_a_folder_goes_however_deep_closed_or_full_of_links_and_what_links_name_stays(tmp_path: Path) -> None:
    kept, work = tmp_path / "kept", tmp_path / "work"
    for folder in (kept, work):
        folder.mkdir()
    (kept / "file").touch()
    (work / "link").symlink_to(kept)
    inner = work
    for _ in range(300):
        inner = inner / "deep"
        inner.mkdir()
        (inner / "link").symlink_to(kept)
        (inner / "file").touch(0)
    inner.chmod(0)
    kept.chmod(0o755)
    remove(work)
    assert not work.exists() and [each.name for each in kept.iterdir()] == ["file"]
    assert kept.stat().st_mode & 0o777 == 0o755


def test_all_that_a_version_of_the_interface_can_refuse_is_asked_for() -> None:
    """The bits as landlock(7) lists them by version."""
    assert [landlock.handled(known)[0].bit_length() for known in range(1, 8)] == [13, 14, 15, 15, 16, 16, 16]
    assert [landlock.handled(known)[1:] for known in range(1, 8)] == [(0, 0)] * 3 + [(3, 0)] * 2 + [(3, 3)] * 2


def test_the_numbers_are_the_kernels() -> None:
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}")
    told = dict(re.findall(r"#define LANDLOCK_ACCESS_FS_(\w+)\s+\(1ULL << (\d+)\)", HEADER.read_text()))
    known = [name for name in told if hasattr(landlock, name)]
    assert len(known) >= 8
    assert {name: getattr(landlock, name) for name in known} == {name: 1 << int(told[name]) for name in known}


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_a_kernel_without_it_goes_on_without(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(landlock, "_call", refuse)
    assert landlock.version() == 0 and landlock.keep_only([], [], ".") is False


def test_what_the_kernel_refuses_for_another_reason_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 1)
    call, refused = landlock._call, landlock.RESTRICT_SELF

    def refuse(number: int, *arguments: object) -> int:
        if number in (refused, landlock.CREATE_RULESET, landlock.ADD_RULE):
            raise OSError(errno.EINVAL, "refused")
        return call(number, *arguments)

    monkeypatch.setattr(landlock, "_call", refuse)
    with pytest.raises(OSError, match="refused"):
        landlock.keep_only([], [], ".")


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("known", range(1, landlock.version() + 1))
def test_what_older_kernels_know_is_enough_to_keep_a_file(known: int, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "secret").write_text("x")
    code = f"""from tplearn.jailed import landlock
landlock.version = lambda: {known}
assert landlock.keep_only([], [], "work")
open("work/made", "w").close()
for act in (lambda: open("secret"), lambda: open("secret", "a"), lambda: __import__("os").remove("secret")):
    try:
        act()
    except PermissionError:
        print("refused")"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["refused"] * 3, done.stderr
    assert (tmp_path / "work" / "made").exists()
