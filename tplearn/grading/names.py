"""Whose file is this? What Canvas, Moodle, nbgrader and plain folders write into the names of files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# <lastfirst>[_LATE]_<user id>_<attachment id>_<file name>, all in one folder. Canvas's ids have no leading zero.
CANVAS = re.compile(r"(?P<name>.+?)(?P<late>_LATE)?_(?P<id>[1-9]\d*)_(?P<upload>[1-9]\d*)_(?P<file>[^/]+)", re.S)
# <Full name>_<number>_assignsubmission_file/…; before Moodle 3.x with a final _, and without folders a file name.
MOODLE = re.compile(r"(?P<name>[^/]+)_(?P<id>\d+)_assignsubmission_file_?[/_](?P<file>.+)", re.S)
AGAIN = re.compile(r"-(\d+)$")  # what Canvas puts behind the name of a file that is handed in again
NBGRADER = "submitted"


@dataclass(frozen=True)
class Owner:
    """A file's student. student: what rows of a gradebook are matched by. name: as the platform shows it.

    upload: a larger one was handed in later. file: its name without what the platform has put before it.
    """

    student: str
    name: str
    file: str
    late: bool = False
    upload: tuple[int, ...] = ()


def owners(paths: Sequence[str], archive: str = "") -> tuple[str, list[Owner | None]]:
    """How the files are laid out ("canvas", "moodle", "folders", "files") and, in order, whose each is; None: nobody's.

    archive: the name of the zip they are in, without its ending. A folder of that name around all of them is left out.
    """
    inside = [path.removeprefix(f"{archive}/") for path in paths]
    paths = inside if archive and all(path.startswith(f"{archive}/") for path in paths) else list(paths)
    if any(MOODLE.fullmatch(path) for path in paths):
        return "moodle", [_moodle(path) for path in paths]
    notebooks = [path for path in paths if is_notebook(path)]
    if notebooks and all("/" not in path and CANVAS.fullmatch(path) for path in notebooks):
        return "canvas", [_canvas(path) for path in paths]
    if any(path.startswith(f"{NBGRADER}/") for path in paths):
        start = f"{NBGRADER}/"
        return "folders", [_plain(path.removeprefix(start)) if path.startswith(start) else None for path in paths]
    return ("folders" if any("/" in path for path in paths) else "files"), [_plain(path) for path in paths]


def is_notebook(path: str) -> bool:
    """Whether a file's name says that it is a notebook."""
    return path.lower().endswith(".ipynb")


def _moodle(path: str) -> Owner | None:
    found = MOODLE.fullmatch(path)
    return Owner(found["id"], found["name"], found["file"]) if found else None


def _canvas(path: str) -> Owner | None:
    found = CANVAS.fullmatch(path)
    if not found:
        return None
    again = AGAIN.search(PurePosixPath(found["file"]).stem)
    upload = (int(found["upload"]), int(again[1]) if again else 0)
    return Owner(found["id"], found["name"], found["file"], bool(found["late"]), upload)


def _plain(path: str) -> Owner | None:
    """A folder a student, or a file a student: then only a notebook has one."""
    folder, slash, file = path.partition("/")
    if slash:
        return Owner(folder, folder, file)
    parts = PurePosixPath(path)
    late = parts.stem.endswith("_LATE")
    student = parts.stem.removesuffix("_LATE")
    return Owner(student, student, path, late) if is_notebook(path) and student else None
