"""The reader's copy of the course: what the reader has not touched follows the course, and what they touched is kept.

Beside its files a copy holds, in a hidden folder, each file as the course last gave it. A file is untouched while it
says what that one says; for a notebook that is its cells' sources, because running it is not touching it.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@dataclass
class News:
    """What an update has done.

    made, renewed: how many files are new, and how many follow a change of the course. kept: a line for each file of the
    reader's own that stays where the course has something newer, or nothing any more.
    """

    made: int = 0
    renewed: int = 0
    kept: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What a reader should know."""
        counts = ((self.made, "new"), (self.renewed, "brought up to date"))
        told = [f"{count} file{'s' * (count > 1)} {what}" for count, what in counts if count]
        return [*([" and ".join(told)] if told else []), *self.kept]


def update(copy: Path, course: Path) -> News:
    """Make the copy, or bring it up to date.

    A file is written whole or not at all, and nothing that the reader has written is overwritten or removed: a newer
    version of it is put beside it. A process that is killed on the way leaves the rest to the next call.

    Raises:
        ValueError: `copy` is the course itself, or lies among its files.
        OSError: a file cannot be read or written.
    """
    copy, course = copy.resolve(), course.resolve()
    around = next(filter(is_course, (copy, *copy.parents)), None)  # the innermost: a clone may lie in another
    if around and copy != around / HERE:
        raise ValueError(f"{copy} lies in the course itself; choose a folder outside {around}, or {around / HERE}")
    if copy.is_relative_to(course) and not is_course(course):  # it came in a wheel
        raise ValueError(f"{copy} lies in the installed package; choose a folder outside {course}")
    given = copy / GIVEN
    given.mkdir(parents=True, exist_ok=True)
    with _locked(given / "lock"):
        python = given / "python"
        same_python = python.is_file() and python.read_text() == sys.version
        names, news = list(course_files(course)), News()
        for name in names:
            _follow(name, copy, course, same_python, news)
        for name in course_files(given):
            if name not in names:
                _drop(name, copy, news)
        if not same_python:
            _write(python, sys.version.encode())
    return news


def course_files(folder: Path) -> Iterator[str]:
    """The files of the course in a folder, such as "chapters/05_ring.py"."""
    for part, endings in PARTS.items():
        for path in sorted((folder / part).glob("*")):
            if path.suffix in endings and not path.name.startswith("."):
                yield f"{part}/{path.name}"


def _follow(name: str, copy: Path, course: Path, same_python: bool, news: News) -> None:
    """Bring one file up to date, or put the newer version beside the reader's."""
    own, base = copy / name, _read(copy / GIVEN / name)
    new = (course / name).read_bytes()
    if base == new and same_python and own.exists():
        return
    if own.suffix == ".ipynb" and not is_page(new):
        news.kept.append(
            f"{name}: the file in {course} is not a notebook (did a `git pull` end in a conflict?); your copy stays"
        )
        return
    # The new version itself counts as untouched: an earlier call may have been killed after it had written it.
    untouched = {identity(new), identity_when_made(base if base is not None else new)}
    if not os.path.lexists(own):
        _write(own, for_this_python(new))
        news.made += 1
    elif _is(own, untouched):
        _write(own, for_this_python(new))
        news.renewed += base not in (None, new)
    elif base != new:
        beside = next(path for path in _names_beside(own) if not os.path.lexists(path) or _is(path, untouched))
        _write(beside, for_this_python(new))
        news.kept.append(f"{name}: yours stays, and the course's new version is now beside it, as {beside.name}")
    if base != new:
        _write(copy / GIVEN / name, new)


def _drop(name: str, copy: Path, news: News) -> None:
    """A file that the course no longer has: gone if untouched."""
    own, base = copy / name, copy / GIVEN / name
    if _is(own, {identity_when_made(base.read_bytes())}):
        own.unlink()
    elif own.exists():
        news.kept.append(f"{name}: yours stays, though the course has no such page any more")
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
