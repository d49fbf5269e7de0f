"""The jail, asserted from inside: by code that runs in its ranks, for a judge that is root and one that is not."""

import errno
import importlib.util
import json
import os
import re
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.grading.users import AS_ORDINARY, AS_ROOT, ROOT, prefix
from tplearn.grading import can_jail as trial
from tplearn.grading.bubblewrap import covers, stranger
from tplearn.grading.can_jail import can_jail, explain
from tplearn.jailed import landlock
from tplearn.jailed.limits import THREADS, Limits
from tplearn.jailed.seccomp import FCNTL, OPENS, OWN_ONLY, REFUSED, REFUSED_OUTSIDE, program

NO_JAIL = can_jail()
needs_jail = pytest.mark.skipif(NO_JAIL is not None, reason=str(NO_JAIL))
needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
SECRET = "of-the-judge-7391"
ENDED = [0, "", "ended with exit code 0"]
TIMED = [-signal.SIGKILL, "time limit", "used up its time limit of 1 s of processor time"]
MEMORY = "was killed at the memory limit: {} GB for all ranks together"


@pytest.fixture(params=[AS_ROOT, AS_ORDINARY])
def judge(request: pytest.FixtureRequest) -> list[str]:
    """The command, as far as the name of an act of judge.py."""
    before = prefix(request.param)
    if before is None:
        pytest.skip("only root can be root" if request.param == AS_ROOT else "root cannot become another user here")
    return [*before, sys.executable, "-B", "-m", "tests.grading.judge"]


def run(judge: list[str], act: str) -> dict:
    """What an act of judge.py says."""
    environment = {**os.environ, "SECRET": SECRET}
    done = subprocess.run([*judge, act], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_jail
def test_a_rank_is_nobody_sees_nothing_and_can_write_nowhere_but_in_its_work_folder(judge: list[str]) -> None:
    found = run(judge, "around")
    inside = found["inside"]
    assert inside["uid"] == [65534] * 6
    assert inside["capabilities"] == [0] * 6 and set(inside["bounding"]) <= {0, -1} and inside["no new privileges"] == 1
    assert inside["open files"] == [0, 1, 2, 3, 4]
    assert inside["proc"] == ["cpuinfo"] and inside["dev"] == ["null", "urandom", "zero"]
    assert SECRET not in json.dumps(inside)
    assert all(found["outside"].values()), "the files that it tried are there"
    assert set(inside["read"].values()) == {"FileNotFoundError"}
    assert sorted(inside["folders"].values()) == ["FileNotFoundError", "[]", "[]"], "hidden, or nowhere"
    assert inside["notebooks"] == inside["environments"] == [] and inside["checks"] == "ModuleNotFoundError"
    assert {str(Path(name).parent) for name in inside["tplearn"]} == {"/jail/image/0/tplearn/jailed"}
    assert set(inside["write"].values()) == {"OSError"}, "the file systems are read-only"
    assert inside["change"] == inside["remove"] == "OSError"
    assert {inside[name] for name in ("socket", "local socket", "pair", "lock")} == {"PermissionError"}
    assert inside["limits"] == [0, Limits().cpu_seconds, Limits().files] and inside["raise a limit"] == "ValueError"
    assert inside["other processes"] == [] and inside["pid"] == [1, 0]
    calls = {"attach": errno.EPERM, "read": errno.EPERM, "write": errno.EPERM}
    judge_nursery_itself = [{**calls, "file": "ProcessLookupError"}] * 2 + [{**calls, "file": ""}]
    assert list(found["reach"].values()) == judge_nursery_itself


@needs_jail
def test_every_call_in_the_table_is_refused(judge: list[str]) -> None:
    assert set(run(judge, "calls").values()) == {1}, "EPERM, before the kernel looks at the arguments"


@needs_jail
def test_a_fork_bomb_a_daemon_a_thread_and_a_program_do_not_start(judge: list[str]) -> None:
    said = run(judge, "processes")
    assert said["fork"] == ["PermissionError"] and said["program"] == said["become"] == "PermissionError"
    assert said["thread"] == "RuntimeError"
    assert said["ending"] == ENDED and said["again"], "and the jail can fork the next rank"


@needs_jail
def test_a_rank_with_threads_has_no_processes_and_a_bomb_of_them_ends_at_the_limits(judge: list[str]) -> None:
    said = run(judge, "threads")
    assert said["found"] == [1], "a thread of process 1"
    assert {said[name] for name in ("fork", "program", "spawn", "become")} == {"PermissionError"}
    assert said["clone"] == [errno.EPERM] * 7 and said["clone3"] == errno.ENOSYS
    assert {name: error for name, error in said["table"].items() if error != errno.EPERM} == {"clone3": errno.ENOSYS}
    held, end = said["bomb"]
    assert THREADS // 2 < held < THREADS and end == TIMED and said["left"] == []
    assert said["headless"] == [-signal.SIGKILL, "memory limit", MEMORY.format("0.1")]


@needs_jail
def test_ranks_that_ignore_every_signal_end_with_kill_and_with_close(judge: list[str]) -> None:
    said = run(judge, "close")
    assert said["said"] == ["alive"] * 3
    assert said["killed"] == [-signal.SIGKILL, "", "was killed by SIGKILL"]
    assert said["ends"] == [[-signal.SIGKILL, ""]] * 3
    assert said["below"] == 4, "bubblewrap, the nursery, two ranks"
    assert said["left"] == []


@needs_jail
def test_when_the_judge_is_killed_nothing_is_left(judge: list[str]) -> None:
    with subprocess.Popen([*judge, "hang"], cwd=ROOT, stdout=subprocess.PIPE) as process:
        pids, image = json.loads(process.stdout.readline())
        assert len(pids) == 4 and all(map(runs, pids))
        process.send_signal(signal.SIGKILL)
        process.wait()
    shutil.rmtree(image)
    assert all_end(pids)


def all_end(pids: list[int]) -> bool:
    """Waits for it."""
    deadline = time.monotonic() + 10
    while (left := any(map(runs, pids))) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not left


def runs(pid: int) -> bool:
    """A process that has ended waits for its parent: here for the machine's first, which may take seconds."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@needs_jail
def test_memory_of_its_own_and_memory_that_is_shared_end_at_the_limit(judge: list[str]) -> None:
    said = run(judge, "memory")
    limit = [-signal.SIGKILL, "memory limit", MEMORY.format("0.2")]
    assert said["demand"] == "MemoryError"
    assert said["private_memory"] == said["shared_memory"] == limit
    assert said["beside"] == limit, "ranks of one run end together"
    assert said["early"] == [[3, "", "ended with exit code 3"]] * 2 and said["next"] == [], "and no others"


@needs_jail
def test_of_300_mb_of_output_the_start_is_kept_and_the_rest_is_counted(judge: list[str]) -> None:
    said = run(judge, "output")
    assert said["said"] == "right" and said["ending"] == ENDED
    assert said["tail"].endswith(f"\n[{300_000_000 - (64 << 10):,} more bytes]") and said["kept"] < 70_000


@needs_jail
def test_how_a_rank_ended_is_known(judge: list[str]) -> None:
    said = run(judge, "endings")
    codes = {"_exit": 7, "exit": 3, "fail": 1}
    assert {how: said[how] for how in codes} == {how: [n, "", f"ended with exit code {n}"] for how, n in codes.items()}
    assert said["fault"] == [-signal.SIGSEGV, "", "was killed by SIGSEGV"]
    assert said["spin"] == TIMED
    assert said["silent"] == "closed its pipe to the judge and went on"
    assert "RuntimeError: told to fail" in said["output"]


@needs_jail
def test_a_rank_finds_nothing_that_another_has_written_and_its_folder_is_small(judge: list[str]) -> None:
    said = run(judge, "apart")
    assert said["before"] == said["after"] == [["one"], ["two"]]
    assert said["third"] == [[], Limits().files, "OSError"]


@pytest.mark.parametrize(
    "act",
    [pytest.param("libraries", marks=needs_jail), pytest.param("libraries_in_open_air", marks=needs_landlock)],
)
def test_torch_and_jax_compute_in_it_as_outside_and_so_behind_landlock(judge: list[str], act: str) -> None:
    import torch

    said = run(judge, act)
    first, again, other = said["torch"]
    assert first == again and first[0] != other[0]
    assert first[1:] == [torch.backends.cpu.get_cpu_capability(), 1]
    product = (np.arange(32).reshape(4, 8) @ np.arange(16).reshape(8, 2)).tolist()
    jax = [[product, True, 8, [0, 1, 2, 3, 4]]] * 2
    assert said["jax"] == (jax if importlib.util.find_spec("jax") else [])
    assert said["threads"] == 1, "a fork would lose the others"


@needs_jail
def test_of_200_ranks_nothing_is_left_for_the_next_nor_with_judge_and_nursery(judge: list[str]) -> None:
    said = run(judge, "many")
    first = said["found"][0]
    assert first == {
        "files": [],
        "shared memory": False,
        "environment": None,
        "module": False,
        "signal": "0",
        "mask": first["mask"],
        "nice": os.nice(0),
        "processes": [],
        "limit": Limits().open_files,
    }
    assert said["found"] == [first] * 201
    assert said["after"] == said["held"] and said["end"] == said["before"]
    assert said["grown"] < 1 << 20 and said["kept"] == 0


@needs_jail
def test_a_nursery_that_dies_is_no_fault_of_its_ranks(judge: list[str]) -> None:
    assert run(judge, "lost") == {"running": "the jail ended while a rank ran in it", "next": "the jail has ended"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits and refused calls are Linux's")
def test_without_walls_limits_and_refused_calls_stay_and_nothing_is_left(judge: list[str]) -> None:
    said = run(judge, "open_air")
    assert said["fork"] == ["PermissionError"] and said["program"] == said["become"] == said["net"] == "PermissionError"
    assert said["thread"] == "RuntimeError" and said["found"] == [True]
    assert said["ending"] == ENDED and said["spin"] == TIMED and said["folder"] == Limits().files
    assert len(said["below"]) >= 2, "the nursery and a rank that ignores every signal"
    assert all_end(said["below"])


@needs_landlock
def test_without_walls_landlock_keeps_all_but_libraries_and_the_own_folder_from_a_rank(judge: list[str]) -> None:
    found = run(judge, "landlocked")
    inside, shown, library = found["inside"], found["shown"], found["library"]
    assert all(found["there"].values()), "what it tried is there"
    assert {path for path, how in inside["read"].items() if how != "PermissionError"} == set(shown)
    assert {folder for folder, how in inside["list"].items() if how != "PermissionError"} == {library}
    assert set(inside["make"].values()) == {"PermissionError"}
    refused, by_calls, across = errno.EACCES, errno.EPERM, errno.EXDEV
    harm = {"append": refused, "move": refused, "remove": refused, "replace": across, "link": across}
    harm |= dict.fromkeys(["empty", "empty unwritten", "empty unopened", "mode", "times"], by_calls)
    *own, installed = inside["harm"].values()
    assert own == [harm] * 2 and installed == harm | {"move": installed["move"]} and found["same"]
    assert installed["move"] in (refused, across), "it may lie on another disk"
    refusals = dict.fromkeys(["environment", "program"], "PermissionError")
    assert inside["judge"] == {**dict.fromkeys(["signal", "limit", "all"], by_calls), **refusals}
    assert inside["self"] == ["None", "None"]
    assert inside["socket"] == "PermissionError" and inside["checks"] == "ModuleNotFoundError"
    assert inside["named"] == [inside["place"]] * 2
    assert inside["work"] == ["text", ["two"], refused, refused, "None", []]
    assert found["ending"] == ENDED and found["gone"] and not found["left"], "however deep and closed it was"
    assert set(found["calls"].values()) == {by_calls}


@needs_jail
def test_what_cannot_be_had_is_said(judge: list[str]) -> None:
    said = run(judge, "refusals")
    assert said["can"] is None
    assert "No module named 'no_such_module'" in said["module"]
    assert said["ended"] == "the jail has ended"
    assert "chmod 755" in said["image"]


def test_without_bubblewrap_the_sentence_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "sudo apt install bubblewrap" in can_jail()


@needs_jail
def test_packages_that_others_may_not_read_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's ranks read what the user reads")
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        closed = Path(place, "numpy")
        closed.mkdir(mode=0o700)
        (closed / "__init__.py").touch()
        places = [*site.getsitepackages(), place]
        monkeypatch.setattr(site, "getsitepackages", lambda: places)
        assert "chmod -R o+rX" in can_jail() and str(closed) in can_jail()


def test_what_is_hidden_is_found_behind_links(tmp_path: Path) -> None:
    real, link, apart = tmp_path / "python-3.1", tmp_path / "python", tmp_path / "apart"
    (real / "submissions").mkdir(parents=True)
    apart.mkdir()
    link.symlink_to(real)
    assert covers([link], [real / "submissions", apart, tmp_path / "missing"]) == [link / "submissions"]
    assert covers([real], [link / "submissions"]) == [real / "submissions"]


@pytest.mark.parametrize(
    ("said", "restricted", "container", "advice"),
    [
        ("bwrap: setting up uid map: Permission denied", "1", False, "apparmor_restrict_unprivileged_userns=0"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "1", False, "AppArmor"),
        ("bwrap: Creating new namespace failed: Operation not permitted", "0", True, "seccomp=unconfined"),
        ("unshare: unshare failed: Operation not permitted", "0", True, "--cap-add SYS_ADMIN"),
        ("bwrap: Unknown option --size", "0", False, "too old"),
        ("unshare: unshare failed: No space left on device", "0", False, "user.max_user_namespaces"),
        ("bwrap: something else", "0", False, "bwrap: something else"),
        ("", "0", False, "without a word"),
    ],
)
def test_each_refusal_known_from_the_field_gets_its_advice(
    said: str, restricted: str, container: bool, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "restricted").write_text(restricted + "\n")
    (tmp_path / ".dockerenv").touch()
    monkeypatch.setattr(trial, "RESTRICTED", tmp_path / "restricted")
    monkeypatch.setattr(trial, "CONTAINER", (tmp_path / ".dockerenv",) if container else ())
    sentence = explain(said)
    assert advice in sentence and "\n" not in sentence


@needs_jail
def test_a_bubblewrap_that_refuses_is_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: Unknown option --size' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "too old" in can_jail()


def test_a_stranger_is_a_user_whom_this_machine_knows_no_name_for() -> None:
    assert 900_000 <= stranger("         0          0 4294967295\n") < 901_000
    assert 64_535 <= stranger("         0       1000          1\n         1     100000      65536\n") <= 65_536
    assert 64_000 < stranger("0 100000 65536\n") < 65_536


@pytest.mark.parametrize(
    ("header", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_the_numbers_of_calls_are_the_kernels(header: str, column: int) -> None:
    if not Path(header).exists():
        pytest.skip(f"no {header}")
    text = Path(header).read_text()
    told = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    tables = REFUSED | REFUSED_OUTSIDE | OWN_ONLY | OPENS
    ours = {name: numbers[column] for name, numbers in tables.items()} | {"fcntl": FCNTL[column]}
    known = {name: number for name, number in ours.items() if name in told}
    assert len(known) > 40
    assert known == {name: told[name] for name in known}
    unknown = {name for name in ours if name not in told and ours[name] >= 0}
    young = {"cachestat", "statmount", "listmount", "open_tree_attr", "fchmodat2", "setxattrat", "removexattrat"}
    assert unknown <= young | {"file_setattr"}, "younger than these headers"


def test_a_machine_without_a_table_is_named() -> None:
    with pytest.raises(ValueError, match="riscv64"):
        program("riscv64")


def test_other_users_tools_are_here() -> None:
    """The two modes would be skipped in silence where these are missing."""
    assert os.geteuid() != 0 or all(shutil.which(tool) for tool in ("setpriv", "unshare", "mount"))
