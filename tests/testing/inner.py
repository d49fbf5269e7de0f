"""Runs of pytest inside a test, as a user starts them: forked from the server, so that none of them imports torch."""

import contextlib
import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from tplearn.forkserver import Child, start_child

SILENT = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # the server has imported the package already
NOT_NEEDED = ["-p", "no:nbval", "-p", "no:hypothesispytest"]  # each takes a second to load, in every process of a run
ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
OUTCOME = "(PASSED|FAILED|SKIPPED|XFAIL|XPASS|ERROR)"
LINE = rf"^(?:\[gw\d\] \[ *\d+%\] )?(?:(\S+?\.py::.+?) )?{OUTCOME}(?: (\S+?\.py::\S.*?))?(?: +\[| *$| \()"


@dataclass(frozen=True)
class Ended:
    """What became of a run: its exit code, all that it printed, and each test's outcome."""

    code: int | None
    output: str

    @property
    def outcomes(self) -> dict[str, str]:
        """By the name that follows the file's."""
        found = re.findall(LINE, self.output.partition("short test summary")[0], re.M)
        return {(before or after).partition("::")[2]: outcome for before, outcome, after in found}

    def section(self, name: str) -> str:
        """What is shown of a test that failed."""
        _, _, rest = self.output.partition(f"_ {name} _")
        return re.split(r"^_{3,} .* _{3,}$|^={3,} ", rest, maxsplit=1, flags=re.M)[0]


def main(folder: str, arguments: list[str], environment: dict[str, str], output: int) -> None:
    """The inner run's process."""
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.stdout, sys.stderr = (open(descriptor, "w", buffering=1, closefd=False) for descriptor in (1, 2))  # noqa: SIM115
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["pytest", *arguments]
    import pytest

    from tplearn.ranks.job import leave

    leave(int(pytest.main(arguments)))


@dataclass(frozen=True)
class Run:
    """An inner run that goes on."""

    child: Child
    output: Connection

    def end(self, seconds: float = 60) -> Ended:
        """Wait until all that could print has ended."""
        text = b""
        with contextlib.suppress(OSError):
            while data := os.read(self.output.fileno(), 1 << 16):
                text += data
        return Ended(self.child.exit_code(seconds), text.decode())


def start_pytest(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Run:
    """`pytest -v ARGUMENTS` in a folder, with a configuration of its own, and none of this project's."""
    if not (folder / "pytest.ini").exists():
        (folder / "pytest.ini").write_text("[pytest]\n")
    output, theirs = Pipe(duplex=False)
    with contextlib.closing(theirs):
        arguments = ["-v", "-p", "no:cacheprovider", "--color=no", *SILENT, *NOT_NEEDED, *arguments]
        child = start_child(f"{__name__}:main", [str(folder), arguments, environment or {}], [theirs.fileno()])
    return Run(child, output)


def run_pytest(folder: Path, *arguments: str) -> Ended:
    """The same, to its end."""
    return start_pytest(folder, *arguments).end()


def run_under_torchrun(folder: Path, ranks: int, *arguments: str) -> list[Ended]:
    """The same in as many processes, each with the environment that torchrun gives a rank."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        there = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1]), "TORCHELASTIC_RUN_ID": "inner"}
    there |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    places = [there | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]
    return [run.end() for run in [start_pytest(folder, *arguments, environment=place) for place in places]]


def program(folder: Path, name: str) -> str:
    """A file of programs/ as a test file in the folder; its name there."""
    shutil.copy(PROGRAMS / f"{name}.py", folder / f"test_{name}.py")
    return f"test_{name}.py"
