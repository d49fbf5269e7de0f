"""A rank is an ordinary process: what runs in a script under torchrun runs in run_ranks."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import torch.distributed as dist

from tests.ranks import ordinary, programs
from tplearn import RankError, RankFailed, run_ranks

THREADS = """
import pickle
from concurrent.futures import ThreadPoolExecutor
from tplearn import run_ranks

class Settings:
    pass

def work(n):
    pickle.loads(pickle.dumps(Settings()))  # __main__ is what it always is, also while ranks start
    return run_ranks(int, 2).values

with ThreadPoolExecutor(2) as pool:
    print(list(pool.map(work, range(4))))
print(type(pickle.loads(pickle.dumps(Settings()))).__module__)
"""


def test_ranks_and_runs_draw_numbers_of_their_own() -> None:
    runs = [run_ranks(ordinary.draws, 3).values for _ in range(2)]
    for generator in zip(*(rank for run in runs for rank in run), strict=True):
        assert len(set(generator)) == 6, "every rank of every run is as a fresh process"


def test_who_wants_repeatable_numbers_seeds() -> None:
    assert len({value for _ in range(2) for value in run_ranks(ordinary.seeded_draws, 2).values}) == 1


@pytest.mark.parametrize(
    ("program", "arguments", "due"),
    [
        (ordinary.data_loader, {"workers": 2}, 280.0),
        (ordinary.data_loader, {"workers": 1, "persistent_workers": True}, 280.0),
        (ordinary.child_process, {}, 42.0),
        (ordinary.process_pool, {}, 6.0),
        (ordinary.thread_pool, {}, 12.0),
        (ordinary.collective_in_a_thread, {}, 4.0),
        (ordinary.send_from_a_timer, {}, 1.0),
        (ordinary.program_of_its_own, {}, 42.0),
        (ordinary.tqdm_bar, {}, 3),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_script_does_a_rank_does(program, arguments: dict, due: float) -> None:  # noqa: ANN001
    run = run_ranks(program, 2, **arguments)
    assert run.values == [due, due] and not run.warnings
    assert "resource_tracker" not in "".join(run.output)


def test_collectives_of_threads_are_in_the_ledger() -> None:
    assert run_ranks(ordinary.collective_in_a_thread, 2).ledger.count("all_reduce", rank=1) == 1


def test_a_thread_is_waited_for_and_exit_functions_run() -> None:
    run = run_ranks(ordinary.thread_that_outlives_the_function, 2)
    assert run.values == ["returned"] * 2 and run.output == ["late\n"] * 2
    assert sorted(run_ranks(ordinary.exit_functions, 1).output[0].splitlines()) == ["at exit", "finalized"]


def test_a_rank_knows_its_place() -> None:
    assert run_ranks(ordinary.place, 2).values == [(str(rank), "2", sys.argv) for rank in range(2)]


def test_runs_from_several_threads_leave_the_caller_as_it_was(tmp_path: Path) -> None:
    script = tmp_path / "threads.py"
    script.write_text(THREADS)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600)
    assert (done.stdout.splitlines(), done.stderr) == ([str([[0, 0]] * 4), "__main__"], "")


def test_runs_at_the_same_time_do_not_mix() -> None:
    results: dict[int, list] = {}
    threads = [
        threading.Thread(target=lambda n=n: results.update({n: run_ranks(lambda: n, 2).values})) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [n, n] for n in range(4)}


def test_any_temporary_folder(tmp_path: Path) -> None:
    """A long path with blanks and many kinds of letters, in a process of its own, so that the server starts there."""
    folder = tmp_path / ("scratch of a größeres 日本/" * 6)
    folder.mkdir(parents=True)
    code = "from tplearn import run_ranks; print(run_ranks(int, 2).values)"
    environment = os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=600)
    assert (done.stdout, done.stderr) == ("[0, 0]\n", "")
    assert not [path for path in folder.iterdir() if "tplearn" in path.name]


def test_a_call_inside_a_rank_is_explained() -> None:
    def inner() -> list:
        return run_ranks(int, 2).values

    for world_size in (1, 2, 3):
        with pytest.raises(RankFailed, match="run_ranks was called by a rank of another run_ranks"):
            run_ranks(inner, world_size)


def test_a_program_that_a_rank_starts_may_run_ranks_of_its_own() -> None:
    code = "from tplearn import run_ranks; print(run_ranks(int, 2).values)"

    def starts() -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    assert run_ranks(starts, 1).values == ["[0, 0]\n"]


@pytest.mark.parametrize(
    ("ask", "line"), [(lambda: dist.breakpoint(), "dist.breakpoint()"), (lambda: input("? "), 'input("? ")')]
)
def test_a_debugger_has_no_terminal_to_ask_on(ask, line: str, tmp_path: Path) -> None:  # noqa: ANN001
    with pytest.raises(RankError) as caught:
        run_ranks(ask, 1)
    assert "a rank has no terminal" in str(caught.value) and line in str(caught.value)


@pytest.mark.parametrize("variables", [{"WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}, {}])
def test_variables_that_a_shell_has_left_are_no_torchrun(variables: dict, tmp_path: Path) -> None:
    code = "from tplearn import run_ranks; print(run_ranks(int, 3).values)"
    environment = os.environ | {"RANK": "0"} | variables
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=600)
    assert done.stdout == "[0, 0, 0]\n" and "RANK = 0 is in the environment" in done.stderr


def test_a_group_that_the_caller_has_made_is_joined(tmp_path: Path) -> None:
    """As under a launcher that is not torchrun: each process initialises the group, and run_ranks starts nothing."""
    code = """
import os, sys, torch.distributed as dist
from tplearn import run_ranks
dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=int(sys.argv[2]), world_size=2)
print(run_ranks(lambda: (dist.get_rank(), os.getppid()), 2).values)
dist.destroy_process_group()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "meeting")]
    processes = [subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True) for rank in range(2)]
    said = {process.communicate(timeout=600)[0] for process in processes}
    assert said == {f"{[(rank, os.getpid()) for rank in range(2)]}\n"}


def test_a_temporary_folder_of_the_caller_is_left_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run_ranks(programs.add_up, 2)
    assert list(tmp_path.iterdir()) == []
