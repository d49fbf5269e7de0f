"""Where the course is, and where the reader works: in a copy of it, so that no `git pull` meets what the reader did."""

import contextlib
import os
from pathlib import Path

HERE = "my-course"  # in the course's folder; git ignores it
ELSEWHERE = "tplearn-course"  # in the home folder, where the course's folder cannot be written
GIVEN = ".tplearn-course"  # in a copy: what the course has given so far, file by file. It also says: this is a copy
CLONE = Path(__file__).parents[2]  # where this package lies beside chapters/, unless it came in a wheel
PACKED = Path(__file__).with_name("files")  # the same folders in a wheel, where setup.py puts them


def course_folder() -> Path:
    """The folder that holds chapters/: the clone that this package lies in, or what its wheel brought along.

    Raises FileNotFoundError when there is none.
    """
    for folder in (CLONE, PACKED):
        if (folder / "chapters").is_dir():
            return folder
    raise FileNotFoundError(f"the course is missing: there is no chapters/ in {CLONE}, and none in {PACKED}")


def clone_folder() -> Path:
    """The same, where the course itself can be worked on. Raises FileNotFoundError for a package without a clone."""
    if is_course(CLONE):
        return CLONE
    raise FileNotFoundError(
        f"this needs a clone of the course, and this tplearn came without one, in {Path(__file__).parents[1]}; "
        "a clone has its own: make lab there sets it up"
    )


def is_course(folder: Path) -> bool:
    """Whether the folder holds the course itself: a copy has no tplearn/."""
    return (folder / "chapters").is_dir() and (folder / "tplearn").is_dir()


def copy_folder() -> Path:
    """The reader's copy: the one that the current folder lies in, else my-course in the clone.

    Without a clone, or where it cannot be written, it is tplearn-course in the home folder. It need not exist yet.
    """
    here = Path.cwd()
    around = next((folder for folder in (here, *here.parents) if (folder / GIVEN).is_dir()), None)
    if around:
        return around
    try:
        own = clone_folder() / HERE
    except FileNotFoundError:
        return Path.home() / ELSEWHERE
    writable = own if own.exists() else own.parent
    return own if writable.is_dir() and os.access(writable, os.W_OK | os.X_OK) else Path.home() / ELSEWHERE


def exercises_folder() -> Path:
    """Where exercise notebooks are: in the reader's copy, else in the current folder or above it, else in the clone.

    Raises FileNotFoundError when there are none.
    """
    here = Path.cwd()
    folders = [copy_folder(), here, *here.parents]
    with contextlib.suppress(FileNotFoundError):  # those that came in a wheel are for copies
        folders.append(clone_folder())
    for folder in folders:
        if (folder / "exercises").is_dir():
            return folder / "exercises"
    raise FileNotFoundError(
        f"no exercises/ folder in {here} or above it; cd to your copy of the course, or make one: `tplearn start DIR`"
    )
