"""The same script under torchrun and under `tplearn run`: what each rank prints, the exit codes, what it finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running.drill import PROGRAMS, run_script

TUTORIALS = ("ddp", "fsdp2", "dtensor", "pipelining")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


def environment() -> dict[str, str]:
    """Without what a rank has in it."""
    return {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "OMP_NUM_THREADS")}


def under_torchrun(ranks: int, folder: Path, *words: str) -> tuple[int, list[str]]:
    """(exit code, what each rank printed to stdout)."""
    command = [*TORCHRUN, f"--nproc-per-node={ranks}", f"--log-dir={folder}", "--redirects=3", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment())
    logs = {path.parent.name: path.read_text() for path in folder.glob("*/attempt_0/*/stdout.log")}
    assert sorted(logs, key=int) == [str(rank) for rank in range(ranks)], done.stderr
    return done.returncode, [logs[str(rank)] for rank in range(ranks)]


def printed(folder: Path, ranks: int) -> list[str]:
    """What `--output folder` holds."""
    return [(folder / f"rank{rank}.out").read_text() for rank in range(ranks)]


@pytest.mark.slow
def test_the_tutorials_print_the_same(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    paths = [str(PROGRAMS / f"{name}.py") for name in TUTORIALS]
    several = PROGRAMS / "several.py"
    code, theirs = under_torchrun(2, tmp_path / "theirs", str(several), *paths)
    (tmp_path / "ours").mkdir()
    said = run_script(several, 2, capsys, *paths, output=tmp_path / "ours")
    assert (code, said.code) == (0, 0), said.err
    assert printed(tmp_path / "ours", 2) == theirs
    assert all(text.count("---") == len(TUTORIALS) and text.count("\n") > 15 for text in theirs)


@pytest.mark.slow
def test_a_script_finds_the_same_around_it(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, words = PROGRAMS / "surroundings.py", (f"{tmp_path}/again", "--lr", "3", "-n", "--", "-m")
    code, theirs = under_torchrun(2, tmp_path / "theirs", str(script), *words)
    (tmp_path / "ours").mkdir()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    said = run_script(script, 2, capsys, *words, output=tmp_path / "ours")
    assert (code, said.code) == (0, 0), said.err
    assert printed(tmp_path / "ours", 2) == theirs
    assert "ZeroDivisionError" in said.err and theirs[0].endswith("at exit\n")


ENDS = {"sys.exit(0)": 0, "sys.exit(3)": 1, "sys.exit('text')": 1, "1 / 0": 1, "os._exit(0)": 0, "os._exit(7)": 1}
ENDS |= {"os.kill(os.getpid(), 9)": 1, "os.execv('/bin/true', ['true'])": 0, "os.execv('/bin/false', ['false'])": 1}


@pytest.mark.parametrize("end", ENDS)
def test_exit_codes(end: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_script(ends(end, tmp_path), 2, capsys).code == ENDS[end]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["sys.exit(3)", "os._exit(0)", "os.execv('/bin/true', ['true'])"])
def test_exit_codes_are_torchruns(end: str, tmp_path: Path) -> None:
    assert under_torchrun(1, tmp_path / "logs", str(ends(end, tmp_path)))[0] == ENDS[end]


def ends(how: str, folder: Path) -> Path:
    """A script that prints and ends in this way."""
    path = folder / "ends.py"
    path.write_text(f"import os, sys\nprint('begins')\n{how}\n")
    return path
