"""`tplearn release --for-class`: a folder for a class, with the course but without its solutions and tests.

`make lab` works in it as in the course. The folder remembers the hash of each file that it was given: a second call
brings it up to date, and what a teacher has changed in it stays.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from tplearn.course.places import is_course
from tplearn.grading.keeper import write_whole
from tplearn.grading.release import release

GIVEN = ".tplearn-class.json"  # {file: hash as given}; it also says: this folder was made here
TEMPLATES = Path(__file__).parent / "class_files"
OWN = {"README.md": "README.md", "course.toml": "course.toml", "gitignore": ".gitignore"}
OWN |= {"grade.yml": ".github/workflows/grade.yml"}
TOP = ("pyproject.toml", "setup.py", "constraints.txt", "environment.yml", "Makefile", "LICENSE", "LICENSE-TEXT")
PARTS = ("chapters", "exercises", "figures", "tplearn")
# Widgets show recorded runs, which lie beside the figures. Of tplearn/, any file.
ENDINGS = {"chapters": (".ipynb", ".py"), "exercises": (".ipynb",), "figures": (".svg", ".png", ".json", ".jsonl")}


def for_class(course: Path, out: Path) -> list[str]:
    """Make the folder, or bring it up to date, and return what a teacher should know, a line each.

    Raises:
        ValueError: exercises/ is not what solutions/ make, or `out` lies in the course or holds something else.
        OSError: a file cannot be read or written.
    """
    out = out.resolve()
    if any(map(is_course, out.parents)):
        raise ValueError(f"{out} lies in a course: choose a folder outside")
    stale = release(course / "solutions", course / "exercises", check_only=True)
    if stale:
        names = ", ".join(sorted({path.name for path in stale}))
        raise ValueError(f"exercises/ is not what solutions/ make ({names}): run tplearn release first")
    given = _given(out)
    contents = {name: path.read_bytes() for name, path in _files(course)}
    news = []
    for name, content in contents.items():
        path, hashed = out / name, _hash(content)
        if _is_theirs(path, {given.get(name), hashed}):
            news.append(f"{name}: yours stays, as you have changed it")
        elif not path.exists() or given.get(name) != hashed:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
    for name in given.keys() - contents.keys():
        if not _is_theirs(out / name, {given[name]}):
            (out / name).unlink(missing_ok=True)
    hashes = {name: _hash(content) for name, content in sorted(contents.items())}
    write_whole(out / GIVEN, (json.dumps(hashes, indent=1) + "\n").encode())
    return news


def _given(out: Path) -> dict[str, str]:
    """What the folder was given so far; ValueError where it is no such folder and not empty."""
    record = out / GIVEN
    if record.is_file():
        return json.loads(record.read_bytes())
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} holds something else than a class folder: give a new folder, or an empty one")
    return {}


def _files(course: Path) -> Iterator[tuple[str, Path]]:
    """(name in the class folder, where it comes from)."""
    yield from ((name, TEMPLATES / template) for template, name in OWN.items())
    yield from ((name, course / name) for name in TOP)
    for part in PARTS:
        for path in sorted((course / part).rglob("*")):
            name = path.relative_to(course)
            hidden = any(inside.startswith((".", "__pycache__")) for inside in name.parts)
            if path.is_file() and not hidden and path.suffix in ENDINGS.get(part, (path.suffix,)):
                yield name.as_posix(), path


def _is_theirs(path: Path, hashes: set[str | None]) -> bool:
    """Whether somebody has written the file, and not this command."""
    return path.is_file() and _hash(path.read_bytes()) not in hashes


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
