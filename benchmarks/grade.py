"""How long a class takes: `tplearn grade` beside `nbgrader autograde` on the same notebooks, in one run.

For classes of several sizes and chapters 02 and 07: students a minute, the most memory of all processes together, and
by how much a student costs more in a larger class. Nothing is asserted. The notebooks are a made-up class of published
solutions, wrong answers and blanks (tests/grading/klass.py). nbgrader is timed on the smallest class: it takes
as long for each student, one after the other.

    python benchmarks/grade.py [--students 20 40 80] [--chapters 02 07] [-j 2]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).parents[1]
GRADE = [str(Path(sys.executable).parent / "tplearn"), "grade"]
LOOK_SECONDS = 0.5
AIMS = {"02": 8, "07": 5}  # times nbgrader
NBGRADER = """
import sys
from pathlib import Path
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config
config = Config()
config.CourseDirectory.root, config.CourseDirectory.course_id = sys.argv[1], "course"
api = NbGraderAPI(config=config)
if sys.argv[2] == "generate":
    done = [api.generate_assignment("tp", force=True)]
else:
    done = [api.autograde("tp", name, force=True) for name in sys.argv[3:]]
failed = [one for one in done if not one["success"]]
sys.exit(failed[0].get("log", "failed") if failed else 0)
"""


@dataclass(frozen=True)
class Taken:
    """seconds by the clock; memory: the most of a process and all below it, in bytes, shared pages counted once."""

    seconds: float
    memory: int


def timed(command: list[str]) -> Taken:
    """Run a command, and look at its memory while it does. Raises RuntimeError where it fails."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    most, over = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, most, over))
    watcher.start()
    _, said = process.communicate()
    seconds = time.perf_counter() - started
    over.set()
    watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} ended with {process.returncode}:\n{said[-2000:]}")
    return Taken(seconds, most[0])


def _watch(pid: int, most: list[int], over: threading.Event) -> None:
    while not over.wait(LOOK_SECONDS):
        try:
            top = psutil.Process(pid)
            most[0] = max(most[0], sum(map(_memory, [top, *top.children(recursive=True)])))
        except psutil.NoSuchProcess:
            return


def _memory(process: psutil.Process) -> int:
    """A process's part of what it has in memory: a page that n processes share counts 1/n."""
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def make_class(folder: Path, size: int, chapter: str) -> list[str]:
    """Write a class's notebooks, a folder a student, and return the students' names."""
    how = ["--students", str(size), "--chapters", chapter, "--plain"]
    subprocess.run([sys.executable, "-m", "tests.grading.klass", str(folder), *how], cwd=ROOT, check=True)
    return sorted(path.name for path in folder.iterdir())


def by_tplearn(place: Path, jobs: int) -> Taken:
    return timed([*GRADE, str(place / "class"), "--out", str(place / "out"), "--seed", "1", "-j", str(jobs)])


def by_nbgrader(place: Path, names: list[str], chapter: str) -> Taken:
    """autograde, student by student; its course is made before the clock starts."""
    course = place / "nbgrader"
    (notebook,) = (ROOT / "solutions").glob(f"{chapter}_*.ipynb")
    _copy(notebook, course / "source" / "tp" / notebook.name)
    timed([sys.executable, "-c", NBGRADER, str(course), "generate"])
    for name in names:
        _copy(place / "class" / name / notebook.name, course / "submitted" / name / "tp" / notebook.name)
    return timed([sys.executable, "-c", NBGRADER, str(course), "autograde", *names])


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def main() -> None:
    """Print a table for the chapters and sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, nargs="+", default=[20, 40, 80])
    parser.add_argument("--chapters", nargs="+", default=["02", "07"])
    parser.add_argument("-j", "--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    given = parser.parse_args()
    sizes = sorted(given.students)
    table = Table("chapter", "grader", "students", "seconds", "students a minute", "× nbgrader", "peak memory")
    growth = []
    rounds = [(chapter, size) for chapter in given.chapters for size in sizes]
    peer: dict[str, float] = {}
    taken: dict[tuple[str, int], Taken] = {}
    for chapter, size in track(rounds, description="classes", console=Console(stderr=True)):
        with tempfile.TemporaryDirectory(prefix="grade-") as folder:
            place = Path(folder)
            place.chmod(0o755)
            names = make_class(place / "class", size, chapter)
            if size == sizes[0]:
                theirs = by_nbgrader(place, names, chapter)
                peer[chapter] = theirs.seconds / size
                table.add_row(*_row(chapter, "nbgrader", size, theirs, peer[chapter]))
            taken[chapter, size] = ours = by_tplearn(place, given.jobs)
            table.add_row(*_row(chapter, "tplearn", size, ours, peer[chapter]))
    for chapter in given.chapters:
        few, many = (taken[chapter, size] for size in (sizes[0], sizes[-1]))
        if len(sizes) > 1:
            each = (many.seconds - few.seconds) / (sizes[-1] - sizes[0])
            growth.append(
                f"{chapter}: {each:.2f} s for each further student ({peer[chapter] / each:.1f}× nbgrader), and "
                f"{few.seconds - each * sizes[0]:.1f} s for the batch; memory × {many.memory / max(1, few.memory):.2f} "
                f"from {sizes[0]} to {sizes[-1]} students"
            )
    console = Console(width=110)
    console.print(table)
    console.print("\n".join(growth))
    aims = ", ".join(f"{times}× in chapter {chapter}" for chapter, times in AIMS.items())
    console.print(f"{given.jobs} at a time, nbgrader one after the other (aims: {aims}; linear in students)")


def _row(chapter: str, grader: str, size: int, taken: Taken, peer: float) -> list[str]:
    ratio = f"{peer * size / taken.seconds:.1f}×"
    a_minute = f"{60 * size / taken.seconds:.0f}"
    return [chapter, grader, str(size), f"{taken.seconds:.0f}", a_minute, ratio, f"{taken.memory / 1e6:.0f} MB"]


if __name__ == "__main__":
    main()
