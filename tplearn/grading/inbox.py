"""What was handed in: a folder or a zip becomes one submission a student, each with one notebook a chapter.

Whatever cannot be read is reported with a sentence, and the others go on.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

from tplearn.grading.answers import NOTEBOOK_BYTES, Notebook, Unreadable, read_notebook
from tplearn.grading.files import Found, files
from tplearn.grading.names import Owner, is_notebook, owners
from tplearn.grading.plain import one_line

TIMESTAMP = "timestamp.txt"  # nbgrader's: when this folder was handed in
STAMP_BYTES = 200


@dataclass(frozen=True)
class Handed:
    """One chapter's notebook as handed in. file: its name in the inbox.

    late: the platform has marked it so. when: the time that nbgrader has noted, or None: a file's own time says when it
    was copied, so it is not used.
    """

    file: str
    chapter: str
    notebook: Notebook
    late: bool = False
    when: datetime | None = None


@dataclass(frozen=True)
class Stray:
    """A file that is not graded, and why: `says` is a sentence about `file`."""

    file: str
    says: str

    def __str__(self) -> str:
        """As one sentence."""
        return f"{self.file} {self.says}"


@dataclass(frozen=True)
class Submission:
    """What one student has handed in: by chapter one notebook, the newest; and what could not be read or is not graded.

    A chapter that is due and not in `handed` is "unreadable" where `unreadable` has something, else "missing".
    """

    student: str
    name: str
    handed: Mapping[str, Handed] = field(default_factory=dict)
    unreadable: tuple[Stray, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inbox:
    """All submissions, by student, and the files that belong to no student. layout: see tplearn.grading.names."""

    layout: str
    submissions: tuple[Submission, ...]
    strays: tuple[Stray, ...] = ()

    @property
    def chapters(self) -> tuple[str, ...]:
        """Those of which at least one notebook was handed in."""
        return tuple(sorted({chapter for one in self.submissions for chapter in one.handed}))


def read_inbox(place: Path, chapters: Mapping[str, str]) -> Inbox:
    """Read a folder of notebooks, a folder of students' folders, nbgrader's submitted/, a platform's zip, one notebook.

    Args:
        place: the folder or file. Links in it are not followed, and nothing is unpacked.
        chapters: {exercise's name: its chapter, such as "02"}. A notebook belongs to the chapter whose exercises it
            answers, whatever its name is.

    Raises:
        ValueError: there is nothing there, the zip cannot be opened, or no file in it belongs to a student.
    """
    found = files(place)
    layout, whose = owners([one.path for one in found], place.stem if place.suffix.lower() == ".zip" else "")
    stamps = _stamps(found)
    drawers: dict[str, _Drawer] = {}
    strays = []
    for one, owner in zip(found, whose, strict=True):
        if owner is None:
            strays.append(Stray(one_line(one.path), "belongs to no student, and was left out."))
        elif PurePosixPath(one.path).name != TIMESTAMP:
            drawer = drawers.setdefault(owner.student, _Drawer(owner))
            drawer.put(one, owner, stamps.get(str(PurePosixPath(one.path).parent)), chapters)
    if not drawers:
        raise ValueError(
            f"{place.name} holds no submission: notebooks, folders of notebooks, or a platform's zip are due"
        )
    return Inbox(layout, tuple(drawers[student].closed() for student in sorted(drawers)), tuple(strays))


class _Drawer:
    """One student's files, while they are read."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.kept: dict[str, list[tuple[tuple, Handed]]] = {}
        self.unreadable: list[Stray] = []

    def put(self, one: Found, owner: Owner, when: datetime | None, chapters: Mapping[str, str]) -> None:
        try:
            if one.refused:
                raise Unreadable(one.refused)
            if not is_notebook(owner.file):
                raise Unreadable("is no notebook, and was left out.")
            notebook = read_notebook(one.read(NOTEBOOK_BYTES), chapters)
        except ValueError as error:
            self.unreadable.append(Stray(one_line(owner.file), str(error)))
            return
        chapter = notebook.chapter(chapters)
        age = (when or datetime.min.replace(tzinfo=UTC), owner.upload, one.changed, _again(owner.file), owner.file)
        self.kept.setdefault(chapter, []).append(
            (age, Handed(one_line(owner.file), chapter, notebook, owner.late, when))
        )

    def closed(self) -> Submission:
        """The newest of each chapter."""
        handed, notes = {}, []
        for chapter, several in sorted(self.kept.items()):
            *older, (_, newest) = sorted(several, key=lambda pair: pair[0])
            handed[chapter] = newest
            if older:
                others = ", ".join(sorted(one.file for _, one in older))
                notes.append(f"Of chapter {chapter} the newest notebook is graded, {newest.file}, and not {others}.")
        name = one_line(self.owner.name)
        return Submission(_shown(self.owner.student), name, handed, tuple(self.unreadable), tuple(notes))


def _shown(student: str) -> str:
    """A student's key as a report can hold it; two that would then look alike are kept apart."""
    shown = one_line(student)
    digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return shown if shown == student else f"{shown} ({digest})"


def _again(file: str) -> int:
    """02.ipynb, 02-1.ipynb, 02 (2).ipynb: 0, 1, 2."""
    found = re.search(r"(?:-| \()(\d{1,4})\)?$", PurePosixPath(file).stem)
    return int(found[1]) if found else 0


def _stamps(found: list[Found]) -> dict[str, datetime]:
    """{folder: when it was handed in}, from nbgrader's timestamps such as "2026-11-25 14:00:00.000000 UTC"."""
    stamps = {}
    for one in found:
        path = PurePosixPath(one.path)
        if path.name == TIMESTAMP and not one.refused:
            try:
                day, time, zone = one.read(STAMP_BYTES).decode().split()
                stamps[str(path.parent)] = datetime.fromisoformat(f"{day} {time}").replace(tzinfo=ZoneInfo(zone))
            except (ValueError, KeyError, OSError):  # KeyError: no time zone of that name
                continue
    return stamps
