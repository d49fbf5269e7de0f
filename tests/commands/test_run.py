"""`tplearn run` from a shell: what it shows and writes, what it refuses, and how it is stopped."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.commands.test_commands import call

COMMAND = [sys.executable, "-m", "tplearn.cli", "run"]
ADDS = """
import sys, torch, torch.distributed as dist
dist.init_process_group()
x = torch.full((4,), 1.0 + dist.get_rank())
dist.all_reduce(x)
print("sum", x.tolist(), *sys.argv[1:])
print("aside", file=sys.stderr)
dist.destroy_process_group()
"""
SLEEPS = """
import os, signal, sys, time, torch, torch.distributed as dist
dist.init_process_group()
dist.barrier()
{handler}
print("ready", flush=True)
if dist.get_rank() == 0:
    dist.all_reduce(torch.ones(2))
time.sleep(1000)
"""
SAVES = "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))"


def shell(*words: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=300, cwd=folder)


def test_lines_are_labelled_and_json_has_stdout_for_itself(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "adds.py").write_text(ADDS)
    done = shell("-n", "2", "--json", "-", "--ledger", "-m", "package.adds", "--json", "x", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for rank in range(2):
        assert done.stderr.count(f"[rank {rank}] sum [3.0, 3.0, 3.0, 3.0] --json x\n") == 1
        assert done.stderr.count(f"[rank {rank}] aside\n") == 1
    assert "what each rank sent" in done.stderr and "adds.py:5" in done.stderr
    assert (told["exit_code"], told["error"], told["warnings"], told["left_out"]) == (0, None, [], 0)
    assert [place["rank"] for place in told["ranks"]] == [0, 1] and told["seconds"] > 0
    totals = [{"op": "all_reduce", "rank": r, "count": 1, "bytes": 16, "wire_bytes": 16} for r in range(2)]
    assert told["totals"] == totals
    assert [(row["rank"], row["op"], row["shape"], row["code"]) for row in told["ledger"]] == [
        (rank, "all_reduce", [4], "dist.all_reduce(x)") for rank in range(2)
    ]


@pytest.mark.parametrize(
    ("name", "handler", "says"),
    [
        ("SIGINT", "", ["Interrupted by SIGINT", "rank 0  waits in all_reduce #2", "script.py:9:  time.sleep(1000)"]),
        ("SIGTERM", SAVES, ["Interrupted by SIGTERM", "rank 0  waits in all_reduce #2", "[rank 1] saved"]),
    ],
)
def test_a_signal_says_where_the_ranks_are_and_ends_them(
    name: str, handler: str, says: list[str], tmp_path: Path
) -> None:
    """The rank in the collective cannot hear it, the other one gets the signal and may save."""
    (tmp_path / "script.py").write_text(SLEEPS.format(handler=handler))
    told = tmp_path / "told.json"
    with started(tmp_path, "-n", "2", "--json", str(told), "script.py") as run:
        family = wait_for(run, "ready", 2)
        time.sleep(0.5)  # from the print into the sleep
        run.send_signal(signal.Signals[name])
        out, err = run.communicate(timeout=120)
    assert run.returncode == 1, "as torchrun"
    assert [text for text in says if text not in out + err] == [], out + err
    assert "Traceback" not in err
    assert json.loads(told.read_text())["error"]["type"] == name
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_a_killed_command_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SLEEPS.format(handler=""))
    with started(tmp_path, "-n", "2", "script.py") as run:
        family = wait_for(run, "ready", 2)
        run.kill()
        run.communicate()
    assert len(family) >= 4, "the server, the store and two ranks"
    assert psutil.wait_procs(family, timeout=10)[1] == []


@contextlib.contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen]:
    """The command, which does not outlive the block."""
    # A shell starts what it puts into the background deaf to Ctrl-C, and these tests with it.
    hears: Callable[[], object] = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, *words], cwd=folder, preexec_fn=hears, **pipes) as run:
        try:
            yield run
        finally:
            run.kill()


def wait_for(run: subprocess.Popen, word: str, count: int) -> list[psutil.Process]:
    """Read lines until so many hold the word; then all processes of the run."""
    while count:
        line = run.stdout.readline()
        assert line, run.stderr.read()
        count -= word in line
    return psutil.Process(run.pid).children(recursive=True)


REFUSED = [
    (("nowhere.py",), r"nowhere\.py does not exist \(in .*\)"),
    (("torch.utils",), "torch.utils does not exist .*; python modules run with -m torch.utils"),
    ((".",), r"\. is a folder without a __main__\.py; a script works"),
    (("--nnodes", "2", "x.py"), "--nnodes is torchrun's: tplearn run has this machine only; use torchrun for several"),
    (("--rdzv_backend=c10d", "x.py"), "--rdzv_backend is torchrun's"),
    (("--log-dir", "x", "x.py"), "--log-dir is no option here; --output DIR works"),
    (("--nonsense", "x.py"), "--nonsense is no option here; tplearn run --help lists those that do"),
    (("--timeout", "0", "x.py"), "--timeout 0: seconds above 0 work"),
    (("--json", "no/x.json", "x.py"), "--json no/x.json: the folder no does not exist"),
    (("--timeline", "x.svg", "x.py"), r"--timeline x\.svg: .*\.json works"),
    (("--no-record", "--ledger", "x.py"), "--ledger needs what --no-record leaves out; one of them works"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_cannot_work_is_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.py").write_text("raise SystemExit('it ran')")
    code, printed, said = call("run", *words)
    assert (code, printed) == (2, ""), said
    assert said.startswith("tplearn: ") and said.count("\n") == 1 and re.search(message, said), said


def test_a_rank_of_torchrun_cannot_start_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    code, _, said = call("run", str(tmp_path))
    assert code == 2 and "this process is a rank already" in said


def test_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("run", "-n", "0", os.devnull)[0] == 2
    assert call("run")[0] == 2
    assert "run" in call("--help")[1]
