"""Scripts that go other ways than most: no group, ranks of their own numbering, run_ranks inside, stdin, long jobs."""

import textwrap
from pathlib import Path

import pytest

from tests.running.drill import Said, run_script
from tplearn.ranks.tail import Tail
from tplearn.running import launch, tally


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture):  # noqa: ANN201
    """Run a text as a script on two ranks."""

    def run_text(text: str, *arguments: str, **wishes: object) -> Said:
        path = tmp_path / "script.py"
        path.write_text("import os, sys, time, torch, torch.distributed as dist\n" + textwrap.dedent(text))
        return run_script(path, 2, capsys, *arguments, **wishes)

    return run_text


def by_rank(text: str) -> str:
    return "".join(f"[rank {rank}] {text}\n" for rank in range(2))


def test_a_script_without_a_group(run) -> None:  # noqa: ANN001
    said = run("print('alone')")
    assert (said.code, "".join(sorted(said.out.splitlines(True))), said.err) == (0, by_rank("alone"), "")


def test_ranks_with_numbers_of_the_scripts_own_are_not_judged(run) -> None:  # noqa: ANN001
    """Rank 0 calls itself 1: what would be a mismatch by torchrun's numbers is none."""
    said = run(
        """
        rank = 1 - int(os.environ["RANK"])
        url = f"tcp://{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}?rank={rank}&world_size=2"
        dist.init_process_group("gloo", init_method=url)
        x = torch.tensor([float(rank)])
        dist.send(x, 1) if rank == 0 else dist.recv(x, 0)
        dist.all_reduce(x, async_op=rank == 0)
        print("fine")
        time.sleep(0.6)  # longer than a deadlock takes to be called so
        dist.barrier()
        """
    )
    assert (said.code, "".join(sorted(said.out.splitlines(True)))) == (0, by_rank("fine")), said.err


def test_run_ranks_joins_the_scripts_group(run) -> None:  # noqa: ANN001
    said = run(
        """
        from tplearn import run_ranks
        def add():
            x = torch.ones(2)
            dist.all_reduce(x)
            return x.tolist()
        run = run_ranks(add, 2)
        print(run.values, run.ledger.count())
        """
    )
    assert (said.code, said.out.count("[[2.0, 2.0], [2.0, 2.0]] 2\n")) == (0, 2), said.err


def test_a_hang_in_run_ranks_has_one_report(run) -> None:  # noqa: ANN001
    said = run(
        """
        from tplearn import run_ranks
        run_ranks(lambda: dist.get_rank() or dist.all_reduce(torch.ones(2)), 2)
        """
    )
    assert said.code == 1 and said.err.count("  rank 0  ") == 1 and "Traceback" not in said.err
    assert "rank 0  all_reduce" in said.err and "script.py:4" in said.err


@pytest.mark.parametrize("text", ["input('name? ')", "sys.stdin.read()", "list(sys.stdin)", "breakpoint()\nx = 1"])
def test_a_rank_has_no_terminal(text: str, run) -> None:  # noqa: ANN001
    said = run(text)
    assert said.code == 1 and "a rank has no terminal and no stdin" in said.err and "script.py:" in said.err


def test_processes_that_a_script_starts_run_as_they_are(run) -> None:  # noqa: ANN001
    said = run(
        """
        import tempfile, torch.multiprocessing
        def child(number, store):
            dist.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=2)
            x = torch.ones(1)
            dist.all_reduce(x)
            print(f"child {x.item()}\\n", end="")  # in one piece
        if __name__ == "__main__":
            torch.multiprocessing.spawn(child, (tempfile.mktemp(),), nprocs=2)
            print("joined")
        """,
        ledger=True,
    )
    assert said.code == 0 and said.out.count("child 2.0\n") == 4 and said.out.count("joined\n") == 2, said.err
    assert "all_reduce" not in said.out, "theirs are not seen"


def test_one_is_told_that_nothing_is_compiled(run) -> None:  # noqa: ANN001
    said = run("f = torch.compile(lambda x: x + 1, backend=lambda *_: os._exit(5))\nprint(f(torch.ones(1)).item())")
    assert (said.code, said.out.count("2.0\n")) == (0, 2), said.err
    assert said.err.count("torch.compile has no effect") == 1 and "script.py:2" in said.err


def test_a_crash_is_named_and_what_was_printed_before_is_shown(run) -> None:  # noqa: ANN001
    said = run(
        "print('before', end='', flush=True)\nos.kill(os.getpid(), 11) if os.environ['RANK'] == '1' else time.sleep(99)"
    )
    assert said.code == 1 and "[rank 1] before\n" in said.out
    assert "Rank 1 was killed by SIGSEGV" in said.err and "script.py:3" in said.err


def test_a_long_job_does_not_fill_the_memory(run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    kept: list[launch.ScriptSupervisor] = []
    plain = launch.ScriptSupervisor.run_script
    monkeypatch.setattr(launch.ScriptSupervisor, "run_script", lambda *args: (kept.append(args[0]), plain(*args))[1])
    monkeypatch.setattr(launch, "JUDGED", 10)
    monkeypatch.setattr(tally, "ROWS", 20)
    said = run(
        """
        dist.init_process_group()
        x, rank = torch.ones(2), dist.get_rank()
        for step in range(100):
            dist.all_reduce(x)
            dist.send(x, 1) if rank == 0 else dist.recv(x, 0)
        if rank == 0:
            dist.all_reduce(x)
        """,
        ledger=True,
    )
    assert said.code == 1 and "rank 0  waits in all_reduce #201" in said.err, said.err
    (supervisor,) = kept
    assert all(len(state.issued.kept) <= 21 for state in supervisor.judge.ranks)
    assert all(len(rows.kept) <= 21 for group in supervisor.judge.groups.values() for rows in group.values())
    assert all(len(rows.kept) <= 21 for rows in supervisor.judge.mail.sends.values())
    assert [len(entries) for entries in supervisor.tally.entries] == [20, 20]
    assert supervisor.tally.totals["all_reduce", 0].count == 101
    assert "and 363 more" in said.out, said.out


def test_a_tail_keeps_its_places() -> None:
    tail: Tail[int] = Tail()
    for number in range(10):
        tail.append(number)
    tail.forget(4)
    assert (len(tail), tail[4], tail[-1], list(tail)) == (10, 4, 9, [4, 5, 6, 7, 8, 9])
    with pytest.raises(IndexError, match="place 3 is forgotten; 4 to 9 are kept"):
        tail[3]
    tail.forget(2)
    assert tail.forgotten == 4
