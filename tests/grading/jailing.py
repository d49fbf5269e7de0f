"""How the judge's programs start a jail and ranks that run the tests' own functions, and hear them."""

import contextlib
import json
import os
import select
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tplearn
from tplearn.grading.jail import Jail
from tplearn.grading.jailed_rank import RankProcess
from tplearn.jailed.limits import Limits

SECONDS = 60.0


@contextlib.contextmanager
def image() -> Iterator[Path]:
    """A folder with the sources of tplearn/jailed and the tests' inside_*.py."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        jailed, compiled = Path(tplearn.__file__).parent / "jailed", shutil.ignore_patterns("__pycache__")
        shutil.copytree(jailed, place / "tplearn" / "jailed", ignore=compiled)
        for source in Path(__file__).parent.glob("inside_*.py"):
            shutil.copy(source, place)
        yield place


@contextlib.contextmanager
def jail(modules: Sequence[str] = (), memory: int = 1 << 30, **given: Any) -> Iterator[Jail]:
    """A jail with that image; without modules it is up in 0.1 s."""
    with image() as folder, Jail.start([folder], modules=modules, memory=memory, **given) as it:
        yield it


def start(it: Jail, function: str, given: object = "", **limits: int) -> RankProcess:
    """A rank that runs a function, and what it reads. Of "module:function" the first part may be missing.

    It is inside_jail then, or with threads inside_threads.
    """
    if ":" not in function:
        function = f"{'inside_threads' if limits.get('threads') else 'inside_jail'}:{function}"
    rank = it.rank(function, Limits(**limits))
    with contextlib.suppress(BrokenPipeError):  # one that reads nothing may have ended
        os.write(rank.write_fd, (given if isinstance(given, str) else json.dumps(given)).encode() or b"\n")
    return rank


def answer(rank: RankProcess) -> object:
    """The line that a rank says; None where it ends without one."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([rank.read_fd], [], [], SECONDS)
        if not ready:
            raise TimeoutError("the rank says nothing")
        if not (part := os.read(rank.read_fd, 1 << 20)):
            return None
        line += part
    return json.loads(line)


def ending(rank: RankProcess) -> list:
    """[exit code, reason, the same in words]."""
    end = rank.wait(SECONDS)
    return [end.code, end.reason, rank.how_it_ended(0)] if end else [None, "it goes on", rank.how_it_ended(0)]
