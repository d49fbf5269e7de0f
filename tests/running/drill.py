"""Scripts of users, run as `tplearn run` runs them, in this process: the server of the ranks is up already."""

import inspect
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ranks import programs
from tplearn.commands.run import Wish, run
from tplearn.running.program import Program

PROGRAMS = Path(__file__).parent / "programs"
MAIN = """

if __name__ == "__main__":
    dist.init_process_group("gloo")
    dist.barrier()
    {name}()
    dist.destroy_process_group()
"""


@dataclass(frozen=True)
class Said:
    """How a run ended, and what stood on the terminal."""

    code: int
    out: str
    err: str


def script_of(name: str, folder: Path) -> Path:
    """The fault of that name as a user has it: in a script with a group of its own, destroyed at the end."""
    path = folder / f"{name}.py"
    path.write_text(inspect.getsource(programs) + MAIN.format(name=name))
    return path


def run_script(path: Path, ranks: int, capsys: pytest.CaptureFixture, *arguments: str, **wishes: object) -> Said:
    """`tplearn run -n ranks path arguments`. wishes: other options."""
    wish = {"timeout": float("inf"), "record": True, "ledger": False, "json": None, "timeline": None, "output": None}
    capsys.readouterr()
    code = run(Wish(Program(str(path), arguments), ranks, **wish | wishes))
    return Said(code, *capsys.readouterr())
