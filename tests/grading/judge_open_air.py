"""The judge's side of the tests of ranks without walls: what Landlock keeps from them, and what is left of them."""

import os
import site
import sysconfig
import tempfile
from pathlib import Path

import tplearn
from tests.grading.jailing import answer, ending, jail, start


def landlocked() -> dict:
    """What a rank can read, list, make and harm, beside another rank, and what is left when both have gone."""
    root = Path(tplearn.__file__).parent.parent
    with tempfile.TemporaryDirectory() as place, jail(walls=False) as it:
        mine = Path(place, "mine.ipynb")
        mine.write_text("the judge's")
        other = start(it, "inside_open_air:settle")
        theirs = answer(other)
        secret = os.path.join(theirs, "secret")
        read = [*sorted((root / "solutions").glob("*.ipynb"))[:3], root / "tplearn" / "checks" / "check.py", mine]
        read += [secret, "/etc/passwd", "/proc/self/environ", f"/proc/{os.getpid()}/maps"]
        library = Path(sysconfig.get_path("stdlib"), "pydoc_data", "__init__.py")
        shown = [library, Path(site.getsitepackages()[0], "psutil", "__init__.py"), "/proc/cpuinfo"]
        folders = [root, root / "tplearn" / "checks", place, theirs, Path(theirs).parent, "/tmp", "/", library.parent]
        victims = [mine, secret, library]
        given = [list(map(str, each)) for each in ([*read, *shown], folders, victims)]
        before = _state(victims)
        rank = start(it, "inside_open_air:roam", [*given, os.getpid()])
        inside = answer(rank)
        end = ending(rank)
        rank.close()
        gone = not Path(inside["place"]).exists() and Path(theirs).exists()
        calls = answer(start(it, "inside_open_air:calls"))
        same = _state(victims) == before
        there = {str(path): Path(path).exists() for path in [*read, *shown, *folders]}
        work = Path(theirs).parent
    found = {"inside": inside, "ending": end, "gone": gone, "calls": calls, "there": there, "same": same}
    return {**found, "shown": list(map(str, shown)), "library": str(library.parent), "left": work.exists()}


def _state(paths: list) -> list[tuple]:
    """What harm would change."""
    told = [Path(path).stat() for path in paths]
    return [(one.st_ino, one.st_size, one.st_mode, one.st_mtime_ns, one.st_nlink) for one in told]
