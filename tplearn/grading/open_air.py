"""Ranks without walls: what they may read where the kernel has Landlock, and how their work folders go."""

import os
import secrets
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from tplearn.grading.bubblewrap import libraries, own_folders

SYSTEM = ("/lib", "/lib64", "/etc/ld.so.cache", "/proc/cpuinfo")  # torch chooses its kernels by the last


def readable(image: Sequence[Path], hidden: Sequence[Path]) -> list[Path]:
    """What a rank may read: the image, the system's libraries, Python's and the installed packages, without tplearn.

    Landlock cannot take away what lies in a folder that it gives, so where one of those to hide does, it is the rest of
    that folder that is given. All are real paths.
    """
    closed = [place.resolve() for place in (*own_folders(), *hidden) if place.is_dir()]
    places = sorted({place.resolve() for place in (*libraries(), *map(Path, SYSTEM)) if place.exists()})
    return [*image, *(part for place in places for part in _without(place, closed))]


def _without(place: Path, closed: Sequence[Path]) -> Iterator[Path]:
    """The place, or what is in it as far as it is not closed. Links in it lead to what is given or not by itself."""
    if place in closed:
        return
    if not any(each.is_relative_to(place) for each in closed):
        yield place
        return
    for inside in sorted(place.iterdir()):
        if not inside.is_symlink():
            yield from _without(inside, closed)


def remove(folder: Path) -> None:
    """Remove a folder that nobody uses any more, whatever is in it.

    What lies in a folder in it is moved up: so no path gets too long, and no depth takes too many files or frames.
    """
    names = (folder / f"{secrets.token_hex(8)}-{number}" for number in count())
    while inside := list(folder.iterdir()):
        for each in inside:
            if each.is_symlink() or not each.is_dir():
                each.unlink()
                continue
            each.chmod(0o700)
            for below in each.iterdir():
                if below.is_dir() and not below.is_symlink():
                    below.chmod(0o700)  # a folder that is moved must be writable itself
                os.rename(below, next(names))
            each.rmdir()
    folder.rmdir()
