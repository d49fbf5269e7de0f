"""The fault drill: every way a run can go wrong gives the right error, rank and line, and leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from tests.ranks import programs
from tplearn import (
    CollectiveMismatch,
    CollectiveOrderWarning,
    Deadlock,
    RankDied,
    RankError,
    RankFailed,
    RankTimeout,
    run_ranks,
)

# program: (ranks, error, what the report must say)
FAULTS = {
    "different_op": (3, CollectiveMismatch, ["different op", "rank 1  broadcast", "dist.broadcast(x, src=0)"]),
    "different_shape": (3, CollectiveMismatch, ["different shape", "rank 0  all_reduce (5 float32"]),
    "different_dtype": (3, CollectiveMismatch, ["different dtype", "rank 1  all_reduce (4 float64"]),
    "different_reduce_op": (3, CollectiveMismatch, ["different reduce op", "rank 1  all_reduce (4 float32, MAX)"]),
    "different_root": (3, CollectiveMismatch, ["different root", "rank 1  broadcast (4 float32, root 1)"]),
    "returns_early": (
        3,
        Deadlock,
        ["rank 1  returned after 1 collective", 'return "early"', "rank 0  waits in all_reduce #1"],
    ),
    "leaves_before_relu": (
        3,
        Deadlock,
        ["rank 0  waits in all_reduce #0 (2 float32, SUM)", "torch.relu(partial)", 'return "without relu"'],
    ),
    "raises": (3, RankFailed, ["Rank 1 raised KeyError", 'raise KeyError("the rank', "rank 0  waits in all_reduce #0"]),
    "raises_everywhere": (3, RankFailed, ["Ranks 0, 1, 2 raised ValueError: same on all"]),
    "sys_exit": (3, RankFailed, ["Rank 1 raised SystemExit: 3", "raise SystemExit(3)"]),
    "hard_exit": (3, RankDied, ["Rank 1 left by os._exit(0)", "os._exit(0)\n"]),
    "killed": (
        3,
        RankDied,
        ["Rank 1 was killed by SIGKILL, last seen in all_reduce #0", "rank 0  waits in all_reduce #1"],
    ),
    "aborts_in_c": (3, RankDied, ["Rank 1 was killed by SIGABRT", "ctypes.CDLL(None).abort()"]),
    "recv_recv": (2, Deadlock, ["rank 0  waits in recv #0 (4 float32, from rank 1)", "dist.recv(x, src=1 - rank())"]),
    "send_recv_sizes": (2, CollectiveMismatch, ["rank 0  send (3 float32", "rank 1  recv (5 float32"]),
    "swapped_groups": (2, Deadlock, ["rank 0  waits in all_reduce", "rank 1  waits in all_reduce", "group=group"]),
    "async_never_matched": (3, CollectiveMismatch, ["rank 0  all_reduce (4 float32, SUM) never matched by ranks 1, 2"]),
    "async_waited": (3, Deadlock, ["rank 0  waits in all_reduce #0", "rank 2  returned after 0 collectives"]),
    "subgroup_alone": (3, Deadlock, ["rank 0  waits in new_group #0 (ranks [0, 1])", "dist.new_group([0, 1])"]),
    "mesh_alone": (3, Deadlock, ["rank 0  waits in new_group #0", "init_device_mesh"]),
    "cannot_be_pickled": (3, RankFailed, ["returned a generator that cannot be sent back", "return (n for n"]),
}


def children() -> list[psutil.Process]:
    """Every rank and what it started: the fork server is our child, ranks are its children, in sessions of their own,
    and its heir's. (Other tests on this worker may have a JupyterLab with kernels of its own.)"""
    return [
        child
        for server in servers()
        for child in server.children(recursive=True)
        if session(child) not in (server.pid, None)
    ]


def servers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline())]


def session(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None


@pytest.fixture(autouse=True)
def nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert children() == []
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(run_ranks(programs.add_up, 2).values[1], torch.full((4,), 2.0)), "the next call works"


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named(name: str) -> None:
    world_size, error, says = FAULTS[name]
    with pytest.raises(error) as caught:
        run_ranks(getattr(programs, name), world_size)
    for text in says:
        assert text in str(caught.value)
    assert len(caught.value.output) == world_size


def test_traceback_of_every_rank_is_an_attribute_away() -> None:
    with pytest.raises(RankFailed) as caught:
        run_ranks(programs.raises_everywhere, 3)
    assert sorted(caught.value.tracebacks) == [0, 1, 2]
    assert 'raise ValueError("same on all")' in caught.value.tracebacks[2]
    assert caught.value._render_traceback_() == [str(caught.value)]


def test_swapped_lines_are_warned_about() -> None:
    with pytest.warns(CollectiveOrderWarning) as caught:
        run = run_ranks(programs.swapped_lines, 2)
    assert "# first line" in str(caught[0].message) and "# second line" in str(caught[0].message)
    assert run.warnings == [str(caught[0].message)]


@pytest.mark.parametrize("name", ["endless_python", "endless_c"])
def test_time_limit_says_where_each_rank_was(name: str) -> None:
    with pytest.raises(RankTimeout, match="stopped after 1 s") as caught:
        run_ranks(getattr(programs, name), 2, timeout=1.0)
    line = {"endless_python": "programs.py:", "endless_c": "sleep(1000)"}[name]
    assert str(caught.value).count(line) == 2


def test_a_hundred_megabytes_of_prints(capsys: pytest.CaptureFixture) -> None:
    run = run_ranks(programs.prints_a_lot, 2)
    assert run.values == ["printed", "printed"]
    assert "characters are not kept" in run.output[0] and len(run.output[0]) < 1_100_000
    shown = capsys.readouterr().out
    assert {line[:10] for line in shown.splitlines()} == {"[rank 0] x", "[rank 1] x", "[rank 0] …", "[rank 1] …"}
    assert shown.count("more characters are not shown") == 2 and len(shown) < 1_000_000


def test_a_gigabyte_comes_back() -> None:
    value = run_ranks(programs.one_gigabyte, 2).values[0]
    assert value.shape == (1 << 28,) and value[-1] == 1


def test_long_honest_compute_raises_no_alarm() -> None:
    assert run_ranks(programs.long_compute, 3, 10.0).values == ["fine"] * 3


def test_children_of_ranks_end_with_the_run() -> None:
    run_ranks(programs.leaves_children, 2)
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "1000"]]


@pytest.fixture
def interrupts() -> Iterator[None]:
    """As in a terminal; a shell starts what it puts into the background deaf to them, and these tests with it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_interrupt_while_hung(capfd: pytest.CaptureFixture, tmp_path_factory: pytest.TempPathFactory) -> None:
    there = tmp_path_factory.mktemp("there")

    def press() -> None:
        while len(list(there.iterdir())) < 2:
            time.sleep(0.05)
        time.sleep(1)  # into the sleep, and into the collective
        ranks = children()
        for rank in ranks:
            rank.suspend()  # a busy machine: a rank that is asked where it is answers in a while
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.4)
        for rank in ranks:
            rank.resume()

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        run_ranks(programs.hangs, 2, there)
    presser.join()
    said = capfd.readouterr().err
    assert "Interrupted" in said and "time.sleep(1000)" in said and "waits in all_reduce #0" in said


def test_a_killed_parent_leaves_no_orphan() -> None:
    code = "from tests.ranks import programs; from tplearn import run_ranks; run_ranks(programs.hangs, 3)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    process = psutil.Process(parent.pid)
    family: list[psutil.Process] = []
    while len(family) < 4:  # the server and three ranks; a busy machine takes its time
        family = process.children(recursive=True)
        time.sleep(0.05)
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_a_killed_server_of_the_forks_is_told_and_started_again() -> None:
    run_ranks(programs.add_up, 1)
    (server,) = servers()
    for process in (server, *server.children()):  # and its heir, where other tests have imported a heavy package
        process.suspend()  # it shall not have answered before the end comes
        threading.Timer(0.5, process.kill).start()
    with pytest.raises(RankDied, match="was killed before it had started rank 0"):
        run_ranks(programs.add_up, 2)
    assert run_ranks(programs.rank, 2).values == [0, 1]


def test_fifty_faults_leave_nothing() -> None:
    names = ["raises", "hard_exit", "killed", "different_reduce_op", "send_recv_sizes"]
    run_ranks(programs.add_up, 2)
    descriptors = psutil.Process().num_fds()
    for k in range(50):
        with pytest.raises(RankError):
            run_ranks(getattr(programs, names[k % len(names)]), 2)
    assert psutil.Process().num_fds() <= descriptors


def test_listens_on_loopback_only() -> None:
    seen: list[str] = []

    def look() -> None:
        for _ in range(40):
            ranks = {rank.pid for rank in children()}
            seen.extend(c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.pid in ranks)
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    run_ranks(programs.long_compute, 8, 1.5)
    watcher.join()
    assert seen and set(seen) <= {"127.0.0.1", "::1"}
