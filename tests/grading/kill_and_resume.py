"""Kills a grade with SIGKILL at random moments and resumes it until it is done: the reports are an undisturbed run's.

python -m tests.grading.kill_and_resume [10]         kills so many times
"""

import filecmp
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.grading.klass import make_class
from tests.grading.users import ROOT

GRADE = [str(Path(sys.executable).parent / "tplearn"), "grade"]
STUDENTS, SEED = 6, "11"
GONE_SECONDS = 10.0  # in which every process of a killed grader ends


def kill_and_resume(kills: int, students: int = STUDENTS) -> list[str]:
    """What differs between the two folders of reports: nothing, where all is well. Prints what it does.

    Raises:
        RuntimeError: the grader failed, or a process of a killed one goes on.
    """
    draw = random.Random(seed := secrets.randbits(32))
    print(f"moments drawn with seed {seed}")
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        make_class(place / "class", students, chapters=("02",), faults=False)
        started = time.monotonic()
        _finish(_start(place, "undisturbed"))
        whole = time.monotonic() - started
        print(f"undisturbed: {whole:.1f} s")
        done = 0
        while done < kills:
            after = draw.uniform(0, whole)
            process = _start(place, "killed")
            try:
                process.wait(after)
                _finish(process)  # it was faster than that: what is there already is graded no more
                print(f"after {after:.1f} s it was done; begun anew")
                _empty(place / "killed", draw)
            except subprocess.TimeoutExpired:
                done += 1
                _kill(process)
                print(
                    f"kill {done} after {after:.1f} s: {len(list((place / 'killed').glob('results/*.json')))} findings"
                )
        _finish(_start(place, "killed"))
        return different(place / "undisturbed", place / "killed")


def different(one: Path, other: Path) -> list[str]:
    """Files that are in one of the folders only, or are not the same byte for byte; half-written ones do not count."""
    names = {
        path.relative_to(place)
        for place in (one, other)
        for path in place.rglob("*")
        if path.is_file() and path.suffix != ".half"
    }
    return sorted(
        str(name)
        for name in names
        if not ((one / name).exists() and (other / name).exists())
        or not filecmp.cmp(one / name, other / name, shallow=False)
    )


def _start(place: Path, out: str) -> subprocess.Popen:
    command = [*GRADE, str(place / "class"), "--out", str(place / out), "--seed", SEED, "-j", "2"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen) -> None:
    _, said = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"tplearn grade ended with {process.returncode}:\n{said}")


def _kill(process: subprocess.Popen) -> None:
    """SIGKILL, and wait until all that it had started is gone too."""
    below = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(below, GONE_SECONDS)
    if alive:
        raise RuntimeError(f"these go on after the grader was killed: {alive}")


def _empty(out: Path, draw: random.Random) -> None:
    """Forget some findings, so that there is something to do again."""
    findings = sorted(out.glob("results/*.json"))
    for path in draw.sample(findings, max(1, len(findings) * 2 // 3)):
        path.unlink()


if __name__ == "__main__":
    differ = kill_and_resume(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    print("the reports are the same" if not differ else f"these differ: {', '.join(differ)}")
    sys.exit(bool(differ))
