"""Runs that are ended from outside leave no process; limits, coverage, torchrun, and what a mark may say."""

import contextlib
import functools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from coverage import CoverageData

from tests.testing.inner import Ended, program, run_pytest, run_under_torchrun, start_pytest

pytestmark = pytest.mark.xdist_group("inner runs")


@contextlib.contextmanager
def sleeping_ranks(folder: Path) -> Iterator[tuple[subprocess.Popen, list[psutil.Process]]]:
    """A pytest whose ranks sleep, and every process below it."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-s",
        "-p",
        "no:cacheprovider",
        f"{program(folder, 'life')}::test_sleeps",
    ]
    # What a shell runs in the background ignores Ctrl-C, and so would all below it.
    heeds = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, preexec_fn=heeds, **pipes) as run:
        while len(pids := [int(path.suffix[1:]) for path in folder.glob("pid.*")]) < 2:
            assert run.poll() is None, run.stdout.read()
            time.sleep(0.05)
        time.sleep(0.5)  # from there into the sleep
        family = psutil.Process(run.pid).children(recursive=True) + [psutil.Process(pid) for pid in pids]
        try:
            yield run, family
        finally:
            run.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_stays(tmp_path: Path, how: signal.Signals) -> None:
    with sleeping_ranks(tmp_path) as (run, processes):
        assert len({process.pid for process in processes}) >= 3, "a nursery and two ranks"
        run.send_signal(how)
        said = run.stdout.read()
        run.wait()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive
    if how == signal.SIGINT:
        assert "this is where they were" in said and "rank 1  is running" in said and "time.sleep(100)" in said


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_the_limit_of_pytest_timeout(tmp_path: Path, method: str) -> None:
    began = time.monotonic()
    ended = run_pytest(
        tmp_path, f"{program(tmp_path, 'life')}::test_sleeps", "--timeout=0.5", f"--timeout-method={method}"
    )
    assert ended.code == 1 and "Timeout" in ended.output and time.monotonic() - began < 60
    if method == "signal":
        assert "(>0.5s) from pytest-timeout" in ended.section("test_sleeps")
        assert "rank 1  is running, after 0 collectives" in ended.section("test_sleeps")


def test_own_limits(tmp_path: Path) -> None:
    name = program(tmp_path, "life")
    (tmp_path / "pytest.ini").write_text("[pytest]\nranks_timeout = 0.6\n")
    ini = run_pytest(tmp_path, f"{name}::test_sleeps")
    option = run_pytest(tmp_path, f"{name}::test_sleeps", "--ranks-timeout=0.4")
    assert "stopped after 0.6 s" in ini.output and "stopped after 0.4 s" in option.output
    for wrong in ("0", "nan"):
        refused = run_pytest(tmp_path, name, f"--ranks-timeout={wrong}")
        assert refused.code == 4 and "--ranks-timeout = " in refused.output and "seconds above 0 work" in refused.output


def test_a_test_may_end_the_session(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, f"{program(tmp_path, 'life')}::test_leaves")
    assert ended.code == 7 and "Exit: enough" in ended.output


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_named_on_the_command_line_it_starts_no_ranks_of_ranks(tmp_path: Path, start: str) -> None:
    """Where plugins are not loaded by themselves, users name this one, by its entry point or by its module."""
    by_module = [f"{program(tmp_path, 'life')}::test_passes", "-p", "tplearn.testing.plugin", f"--ranks-start={start}"]
    ended = start_pytest(tmp_path, *by_module, environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}).end()
    assert ended.outcomes == {"test_passes": "PASSED"}, ended.output


def test_the_first_failure_ends_a_run_that_asks_for_it(tmp_path: Path) -> None:
    name = program(tmp_path, "life")
    ended = run_pytest(tmp_path, f"{name}::test_waits_for_nobody", f"{name}::test_passes", "-x")
    assert ended.code == 1 and ended.outcomes == {"test_waits_for_nobody": "FAILED"}


def test_without_a_marked_test_nothing_is_loaded(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        program(tmp_path, "life"),
        "-k",
        "without or loaded",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "2 errors" in done.stdout and "1 passed" in done.stdout, done.stdout
    assert "the fixture ledger is for tests that run on ranks; mark this one @pytest.mark.ranks(2)" in done.stdout


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("NoRanks", "ranks(0): 0 ranks cannot be started, whole numbers from 1 can; ranks(4), ranks([1, 2, 4])"),
        ("Text", "ranks('4'): '4' ranks cannot be started"),
        ("Nothing", "ranks() does not say on how many ranks"),
        ("Bare", "ranks() does not say on how many ranks"),
        ("NoTime", "timeout = 0 leaves no time; seconds above 0 work"),
        ("Unknown", "has no argument backend; ranks(4)"),
        ("Twice", "ranks([2, 2]) lists a size twice"),
    ],
)
def test_a_mark_that_makes_no_sense(wrong_marks: Ended, kind: str, says: str) -> None:
    assert wrong_marks.code == 2, "an error of the collection"
    assert any(
        f"test_marks.py::Test{kind}::test_it: @pytest.mark." in line and says in line
        for line in wrong_marks.output.splitlines()
    )


def test_coverage_of_ranks_is_collected(tmp_path: Path) -> None:
    """Lines that only ranks run, each on another one: those of `coverage run` itself would be none of them."""
    name = program(tmp_path, "life")
    measure = [
        sys.executable,
        "-m",
        "coverage",
        "run",
        f"--include={name}",
        "-m",
        "pytest",
        "-q",
        f"{name}::test_covered",
    ]
    done = subprocess.run(measure, cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout
    data = CoverageData(basename=str(tmp_path / ".coverage"))
    data.read()
    seen = {line for file in data.measured_files() for line in data.lines(file)}
    lines = dict(enumerate((tmp_path / name).read_text().splitlines(), start=1))
    assert {lines[number].strip() for number in seen} >= {'return "both"', 'return "one"', "if number > 1:"}
    assert sorted(path.name for path in tmp_path.glob(".coverage*")) == [".coverage"]


def test_under_torchrun(tmp_path: Path) -> None:
    first, second = run_under_torchrun(tmp_path, 2, program(tmp_path, "in_group"), "-rsf")
    outcomes = {"test_passes": "PASSED", "test_of_another_size": "SKIPPED", "test_without_a_mark": "PASSED"}
    outcomes |= {"test_xfails": "XFAIL", "test_fails_on_one": "FAILED"}
    for ended in (first, second):
        assert ended.code == 1 and ended.outcomes == outcomes, ended.output
        assert "torchrun --nproc-per-node=4 -m pytest runs it" in ended.output
    assert "Rank 1 raised AssertionError" in first.section("test_fails_on_one"), "rank 0 says why it fails too"
    assert "assert 1 == 0" in second.section("test_fails_on_one")
