"""Where the course is, and where the reader works: in a copy of it, so that no `git pull` meets what the reader did."""

import contextlib
import os
from pathlib import Path

HERE = "my-course"  # in the course's folder; git ignores it
ELSEWHERE = "tplearn-course"  # in the home folder, where the course's folder cannot be written
GIVEN = ".tplearn-course"  # in a copy: what the course has given so far, file by file. It also says: this is a copy


def course_folder() -> Path:
    """The folder that holds chapters/: where this package was installed from, else the current folder or one above it.

    Raises FileNotFoundError when there is none.
    """
    here = Path.cwd()
    for folder in (Path(__file__).parents[2], here, *here.parents):
        if is_course(folder):
            return folder
    raise FileNotFoundError(
        f"no chapters/ folder beside the tplearn package, in {here}, or above it; run this inside the course's folder"
    )


def is_course(folder: Path) -> bool:
    """Whether the folder holds the course itself: a copy has no tplearn/."""
    return (folder / "chapters").is_dir() and (folder / "tplearn").is_dir()


def copy_folder() -> Path:
    """The reader's copy: the one that the current folder lies in, else my-course in the course's folder.

    Where the course's folder cannot be written, it is tplearn-course in the home folder. It need not exist yet.

    Raises FileNotFoundError when the course's folder is not found.
    """
    here = Path.cwd()
    around = next((folder for folder in (here, *here.parents) if (folder / GIVEN).is_dir()), None)
    if around:
        return around
    own = course_folder() / HERE
    writable = own if own.exists() else own.parent
    return own if writable.is_dir() and os.access(writable, os.W_OK | os.X_OK) else Path.home() / ELSEWHERE


def exercises_folder() -> Path:
    """Where exercise notebooks are: in the reader's copy, else in the current folder or above it, else in the course.

    Raises FileNotFoundError when there are none.
    """
    here = Path.cwd()
    folders = [here, *here.parents]
    with contextlib.suppress(FileNotFoundError):  # the package alone, without the course: notebooks may still be here
        folders = [copy_folder(), *folders, course_folder()]
    for folder in folders:
        if (folder / "exercises").is_dir():
            return folder / "exercises"
    raise FileNotFoundError(f"no exercises/ folder in {here} or above it; `tplearn start DIR` makes one")
