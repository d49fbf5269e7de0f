"""The reader's copy of the course: what the reader has not touched follows the course, and what they touched is kept.

Beside its files a copy holds, in a hidden folder, each file as the course last gave it. A file is untouched while it
says what that one says; for a notebook that is its cells' sources, because running it is not touching it.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tplearn.course.pages import for_this_python, identity, identity_when_made, is_page
from tplearn.course.places import GIVEN, HERE, is_course

# Solutions belong to it: pages refer to them, and they are opened where the reader works.
PARTS = {
    "chapters": (".ipynb", ".py"),
    "exercises": (".ipynb",),
    "solutions": (".ipynb",),
    "figures": (".svg", ".png"),
}


def update(copy: Path, course: Path) -> list[str]:
    """Make the copy, or bring it up to date, and return what a reader should know, a line each.

    A file is written whole or not at all, and nothing that the reader has written is overwritten or removed: a newer
    version of it is put beside it. A process that is killed on the way leaves the rest to the next call.

    Raises:
        ValueError: `copy` is the course itself, or lies among its files.
        OSError: a file cannot be read or written.
    """
    copy, course = copy.resolve(), course.resolve()
    for around in filter(is_course, (copy, *copy.parents)):
        if copy != around / HERE:
            raise ValueError(f"{copy} lies in the course itself; choose a folder outside {around}, or {around / HERE}")
    given = copy / GIVEN
    given.mkdir(parents=True, exist_ok=True)
    with _locked(given / "lock"):
        python = given / "python"
        same_python = python.is_file() and python.read_text() == sys.version
        names = list(_course_files(course))
        news = [line for name in names for line in _follow(name, copy, course, same_python)]
        news += [line for name in _course_files(given) if name not in names for line in _drop(name, copy)]
        _write(python, sys.version.encode())
    return news


def _course_files(folder: Path) -> Iterator[str]:
    """The files of the course in a folder, such as "chapters/05_ring.py"."""
    for part, endings in PARTS.items():
        for path in sorted((folder / part).glob("*")):
            if path.suffix in endings and not path.name.startswith("."):
                yield f"{part}/{path.name}"


def _follow(name: str, copy: Path, course: Path, same_python: bool) -> Iterator[str]:
    """Bring one file up to date; a line where the reader's version stays and another is put beside it."""
    own, base = copy / name, _read(copy / GIVEN / name)
    new = (course / name).read_bytes()
    if base == new and same_python and own.exists():
        return
    if own.suffix == ".ipynb" and not is_page(new):
        yield f"{name} in {course} is not a notebook; your copy stays as it is. Did a `git pull` end in a conflict?"
        return
    # The new version itself counts as untouched: an earlier call may have been killed after it had written it.
    untouched = {identity(new), identity_when_made(base if base is not None else new)}
    if not os.path.lexists(own) or _is(own, untouched):
        _write(own, for_this_python(new))
    elif base != new:
        beside = next(path for path in _names_beside(own) if not os.path.lexists(path) or _is(path, untouched))
        _write(beside, for_this_python(new))
        yield f"{name} has your changes and stays. The course has a newer version, now beside it: {beside.name}"
    if base != new:
        _write(copy / GIVEN / name, new)


def _drop(name: str, copy: Path) -> Iterator[str]:
    """A file that the course no longer has: gone if untouched."""
    own, base = copy / name, copy / GIVEN / name
    if _is(own, {identity_when_made(base.read_bytes())}):
        own.unlink()
    elif own.exists():
        yield f"{name} is no longer part of the course. Yours stays."
    base.unlink()


def _names_beside(path: Path) -> Iterator[Path]:
    """02_mlp_new.ipynb, 02_mlp_new2.ipynb, …: sorted after the reader's own, which is called 02_mlp.ipynb."""
    number = 1
    while True:
        yield path.with_stem(f"{path.stem}_new{number if number > 1 else ''}")
        number += 1


def _is(path: Path, identities: set[str]) -> bool:
    content = _read(path)
    return content is not None and identity(content) in identities


def _read(path: Path) -> bytes | None:
    """A file's content; None where there is no file."""
    return path.read_bytes() if path.is_file() else None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and not through a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(content)
    os.replace(half, path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however that ends."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
