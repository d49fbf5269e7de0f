"""`tplearn grade` on the twenty submissions: exact points, reasons, nothing left behind; as root, as another user."""

import contextlib
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.grading import twenty
from tests.grading.users import AS_ORDINARY, AS_ROOT, ROOT, STRANGER, prefix
from tplearn.checks import exercises
from tplearn.grading.can_jail import can_jail
from tplearn.grading.inbox import read_inbox

NO_JAIL = can_jail()
pytestmark = pytest.mark.xdist_group("twenty")  # graded once, and not by each worker
needs_jail = pytest.mark.skipif(NO_JAIL is not None, reason=str(NO_JAIL))
GRADE = [str(Path(sys.executable).parent / "tplearn"), "grade"]
# What is graded once more, with another seed and by another user: what tries the jail, and has no time limit.
AGAIN = ("01", "02", "07", "09", "14", "15", "17", "20a")
PR_SET_CHILD_SUBREAPER = 36
END_SECONDS = 20.0  # the server of the judge's own ranks ends when it sees that the judge has
TORCH = "torchinductor"  # a folder that torch makes for itself when it is imported
SHARED = [Path("/dev/shm"), Path("/tmp"), Path("/var/tmp")]


@dataclass(frozen=True)
class Graded:
    """What a run of `tplearn grade` has left. students: those of report.json, by name. left: what should not be."""

    code: int
    printed: str
    students: dict[str, dict]
    left: list[str]

    def marks(self, student: str) -> dict[str, dict]:
        return {mark["name"]: mark for sheet in self.students[student]["sheets"] for mark in sheet["marks"]}

    def totals(self, numbers: tuple[str, ...]) -> dict[str, float]:
        return {number: self.students[f"s{number}"]["earned"] for number in numbers}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user can enter, with the class in it."""
    with tempfile.TemporaryDirectory(prefix="twenty-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        students = twenty.entries(place / "marker" / "written")
        twenty.write_class(place / "all", students)
        twenty.write_class(place / "again", [one for one in students if one.number in AGAIN], broken=False)
        yield place


@pytest.fixture(scope="module")
def students(place: Path) -> dict[str, twenty.Entry]:
    return {one.number: one for one in twenty.entries(place / "marker" / "written")}


@pytest.fixture(scope="module")
def once(place: Path) -> Graded:
    """All of them, by whoever runs the tests."""
    return grade(place, "all", "1", [])


@pytest.fixture(scope="module")
def again(place: Path) -> Graded:
    """Some of them, with another seed: by an ordinary user, where root runs the tests."""
    return grade(place, "again", "2", prefix(AS_ORDINARY) or [])


def grade(place: Path, submissions: str, seed: str, before: list[str]) -> Graded:
    """Grade a folder of the class's; look at processes, files and sockets before and after."""
    marker, own, out = place / "marker", place / f"tmp-{seed}", place / f"out-{seed}"
    for folder in (marker, own, out):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
    before_all, below = digest(place / submissions), set(psutil.Process().children(recursive=True))
    strangers = of_strangers()
    environment = os.environ | {"TMPDIR": str(own), "HOME": str(own)}
    command = [*before, *GRADE, str(place / submissions), "--out", str(out), "--seed", seed, "-j", "2"]
    with adopting():
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
        _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - below, END_SECONDS)
    left = [f"process {each.name()}" for each in alive]
    files = [path for path in own.iterdir() if not path.name.startswith(TORCH)]
    left += [f"file {each}" for each in [*files, *marker.iterdir(), *(of_strangers() - strangers)]]
    left += [line for line in Path("/proc/net/unix").read_text().splitlines() if str(place) in line]
    left += ["a submission has changed"] if digest(place / submissions) != before_all else []
    report = out / "report.json"
    assert report.exists(), done.stdout + done.stderr
    found = {one["student"]: one for one in json.loads(report.read_text())["students"]}
    return Graded(done.returncode, done.stdout + done.stderr, found, left)


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """What outlives the grader becomes a child of this process; later tests' orphans do not."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)


def of_strangers() -> set[Path]:
    """Files in the folders that all share, of users whom only a jail has."""
    found = set()
    for path in [path for shared in SHARED if shared.is_dir() for path in shared.iterdir()]:
        try:
            if path.lstat().st_uid >= STRANGER - 1:
                found.add(path)
        except FileNotFoundError:  # of another program, which has removed it
            continue
    return found


def digest(folder: Path) -> str:
    """Of the names and contents of all files."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        whole.update(f"{path}\0".encode() + path.read_bytes())
    return whole.hexdigest()


@needs_jail
def test_each_gets_exactly_what_is_due(once: Graded, students: dict[str, twenty.Entry]) -> None:
    differ = []
    for one in students.values():
        marks, earned = once.marks(one.student), once.students[one.student]["earned"]
        wrong = {name: marks[name] for name, allowed in one.due.items() if marks[name]["status"] not in allowed}
        differ += [f"{one.number} {one.what}: {earned} points, due are {one.points}: {wrong}"] if wrong else []
        assert wrong or earned == one.points, one.number
    assert not differ, "\n".join(differ)
    assert once.code == 0


@needs_jail
def test_the_reason_says_what_happened(once: Graded, students: dict[str, twenty.Entry]) -> None:
    for one in students.values():
        mark = once.marks(one.student)[twenty.FAULTY[one.chapter]]
        said = " ".join([mark["reason"], mark["misconception"], *mark["notes"]])
        assert [phrase for phrase in one.phrases if phrase not in said] == [], f"{one.number} {one.what}: {said}"


@needs_jail
def test_what_cannot_be_read_is_reported_and_the_batch_goes_on(once: Graded) -> None:
    for name, sentence in twenty.SAID.items():
        student = once.students[f"broken_{name.partition('.')[0]}"]
        assert student["earned"] == 0 and any(sentence in note for note in student["notes"]), student["notes"]
        assert {mark["status"] for sheet in student["sheets"] for mark in sheet["marks"]} == {"unreadable"}
    assert "is a link" in once.students["only_a_link"]["notes"][0]
    assert len(once.students) == len(twenty.entries(Path())) + len(twenty.SAID) + 1


@needs_jail
def test_no_process_file_or_socket_is_left(once: Graded) -> None:
    assert once.left == []


@needs_jail
def test_another_seed_and_another_user_give_the_same_points(once: Graded, again: Graded) -> None:
    assert again.code == 0, again.printed
    assert again.totals(AGAIN) == once.totals(AGAIN)
    assert again.left == []
    assert os.geteuid() != 0 or prefix(AS_ROOT) == [], "root has graded the first time"


def test_a_canvas_and_a_moodle_zip_hold_the_same_class(place: Path, students: dict[str, twenty.Entry]) -> None:
    chapters = {exercise.name: exercise.number[:2] for exercise in exercises()}
    folder = read_inbox(place / "again", chapters)
    assert folder.layout == "folders"
    for layout, pack in (("canvas", twenty.canvas_zip), ("moodle", twenty.moodle_zip)):
        pack(place / f"{layout}.zip", [one for one in students.values() if one.number in AGAIN])
        inbox = read_inbox(place / f"{layout}.zip", chapters)
        assert inbox.layout == layout and not inbox.strays
        handed = [{key: each.notebook for key, each in one.handed.items()} for one in inbox.submissions]
        assert handed == [{key: each.notebook for key, each in one.handed.items()} for one in folder.submissions]
