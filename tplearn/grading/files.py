"""The files of a folder or a zip, named one by one and read only when asked: nothing is unpacked onto the disk.

What an archive says about itself is not believed: its names and links may lead anywhere, its sizes may be wrong.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

FILES = 50_000
ARCHIVE_BYTES = 4 * 2**30  # read from one zip in all, after unpacking
UNSEEN = ("__MACOSX", "Thumbs.db", "desktop.ini")  # what systems leave behind; names that begin with a dot as well


@dataclass(frozen=True)
class Found:
    """A file. path: with /, below the folder or in the zip. changed: orders files by age, and is no time of a clock.

    read(most) gives its bytes; ValueError where it cannot be read or has more than `most`. The text of the error, and
    `refused` where the file must not even be opened, continue the sentence "02.ipynb ...".
    """

    path: str
    changed: tuple[int, ...]
    read: Callable[[int], bytes]
    refused: str = ""


def files(place: Path) -> list[Found]:
    """All files of a folder, of a zip, or the one file itself, sorted by path.

    Raises:
        ValueError: there is nothing of that name, it is a zip that cannot be opened, or it holds more than FILES files.
    """
    if not place.exists():
        raise ValueError(f"there is no file or folder {str(place)!r}: give a folder, a zip or a notebook")
    if place.is_dir():
        found = _of_folder(place)
    elif place.suffix.lower() == ".zip":
        found = _of_zip(place)
    else:
        found = iter([_on_disk(place, place.name)])
    kept: list[Found] = []
    for one in found:
        parts = PurePosixPath(one.path).parts
        if any(part.startswith(".") and part != ".." or part in UNSEEN for part in parts):
            continue
        if len(kept) == FILES:
            raise ValueError(f"{place.name} holds more than {FILES} files: give the folder of the submissions alone")
        kept.append(one)
    return sorted(kept, key=lambda one: one.path)


def _of_folder(place: Path) -> Iterator[Found]:
    for folder, below, names in os.walk(place):
        here = Path(folder)
        links = [name for name in below if (here / name).is_symlink()]
        for name in (*names, *links):
            yield _on_disk(here / name, (here / name).relative_to(place).as_posix())


def _on_disk(path: Path, name: str) -> Found:
    seen = path.lstat()
    refused = ""
    if stat.S_ISLNK(seen.st_mode):
        refused = "is a link, and links are not followed. Put the file itself there."
    elif not stat.S_ISREG(seen.st_mode):
        refused = "is no ordinary file."

    def read(most: int) -> bytes:
        try:
            with open(path, "rb") as file:
                return _capped(file.read(most + 1), most)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}.") from None

    return Found(name, (seen.st_mtime_ns,), read, refused)


def _of_zip(place: Path) -> Iterator[Found]:
    try:
        archive = zipfile.ZipFile(place)  # stays open as long as somebody holds what it found
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{place.name} cannot be opened as a zip ({error}): download it again") from None
    left = [ARCHIVE_BYTES]
    for member in archive.infolist():
        if not member.is_dir():
            yield _in_zip(archive, member, left)


def _in_zip(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: list[int]) -> Found:
    name = member.filename.replace("\\", "/")
    path = PurePosixPath(name)
    refused = ""
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":" or not name:
        refused = "has a name that leads out of the archive."
    elif stat.S_ISLNK(member.external_attr >> 16):
        refused = "is a link, and links are not followed. Put the file itself there."
    elif member.flag_bits & 1:
        refused = "is locked with a password."
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refused = "is packed in a way that is not read here: pack it again as an ordinary zip."

    def read(most: int) -> bytes:
        if left[0] <= 0:
            raise ValueError(f"was not read: more than {ARCHIVE_BYTES // 2**30} GB came out of this archive before it.")
        try:
            with archive.open(member) as file:
                content = file.read(most + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
            raise ValueError("cannot be unpacked: the archive is damaged in this place.") from None
        left[0] -= len(content)
        return _capped(content, most)

    return Found(name, member.date_time, read, refused)


def _capped(content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise ValueError(f"is larger than {most // 2**20} MB. Clear its outputs, save it, and hand it in again.")
    return content
