"""run_ranks as users see it: values, prints, arguments, start methods, threads, timeline, bad input."""

import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist

from tests.ranks import programs
from tplearn import RankError, per_rank, run_ranks


def test_values_by_rank_and_a_function_without_a_module() -> None:
    scope: dict = {}
    exec("def scaled(x, *, by):\n    import torch.distributed as dist\n    return x * by + dist.get_rank()", scope)
    run = run_ranks(scope["scaled"], 3, per_rank([1.0, 2.0, 3.0]), by=10)
    assert run.values == [10.0, 21.0, 32.0]


def test_prints_are_labelled_and_sorted(capsys: pytest.CaptureFixture) -> None:
    def speak() -> None:
        print("hello from", dist.get_rank())
        os.write(2, b"to stderr, past Python\n")

    run = run_ranks(speak, 3)
    assert capsys.readouterr().out.splitlines() == [
        line for r in range(3) for line in (f"[rank {r}] hello from {r}", f"[rank {r}] to stderr, past Python")
    ]
    assert run.output[2] == "hello from 2\nto stderr, past Python\n"


def test_tensors_travel_whole() -> None:
    tensors = {
        "view": torch.arange(12.0).view(3, 4).t()[1:],
        "bf16": torch.ones(3, dtype=torch.bfloat16),
        "empty": torch.empty(0, 5),
        "scalar": torch.tensor(3),
        "complex": torch.ones(2, dtype=torch.complex64).conj(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "bool": torch.tensor([True, False]),
    }
    back = run_ranks(lambda x: x, 2, tensors).values[1]
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype, name
        assert back[name].requires_grad == tensor.requires_grad, name
    assert isinstance(back["parameter"], torch.nn.Parameter)
    assert run_ranks(lambda: torch.ones(1, requires_grad=True) * 2, 1).values[0].requires_grad


def test_spawn_is_the_other_start_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPLEARN_START_METHOD", "spawn")
    run = run_ranks(lambda: programs.add_up().tolist() + [torch.get_num_threads()], 2)
    assert run.values == [[2.0] * 4 + [max(1, len(os.sched_getaffinity(0)) // 2)]] * 2
    monkeypatch.setenv("TPLEARN_START_METHOD", "telepathy")
    with pytest.raises(ValueError, match="telepathy.*forkserver, spawn"):
        run_ranks(programs.add_up, 2)


def test_environment_and_working_folder_are_the_callers(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # noqa: ANN001
    run_ranks(programs.add_up, 1)
    monkeypatch.setenv("SET_LATER", "yes")
    monkeypatch.chdir(tmp_path)
    look = lambda: (os.environ["SET_LATER"], os.getcwd(), os.environ["RANK"])  # noqa: E731
    assert run_ranks(look, 2).values == [("yes", str(tmp_path), "0"), ("yes", str(tmp_path), "1")]


def test_a_script_is_not_run_again_in_its_ranks(tmp_path) -> None:  # noqa: ANN001
    script = tmp_path / "script.py"
    script.write_text("from tplearn import run_ranks\nprint('once')\nprint(run_ranks(lambda: 7, 2).values)\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("once\n[7, 7]\n", "")


def test_timeline_shows_compute_and_communication() -> None:
    def work() -> None:
        x = torch.ones(64, 64) @ torch.ones(64, 64)
        dist.all_reduce(x)

    run = run_ranks(work, 2, profile=True)
    assert all({"aten::mm", "gloo:all_reduce"} <= {name for name, _, _ in lane} for lane in run.spans)
    figure = run.timeline()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["rank 0", "rank 1"]
    with pytest.raises(ValueError, match="profile=True"):
        run_ranks(work, 2).timeline()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((programs.add_up, 0), "world_size = 0"),
        ((programs.add_up, 2.0), "world_size = 2.0"),
        (("not a function", 2), "fn = 'not a function'"),
        ((programs.add_up, 2, per_rank([1])), "per_rank has 1 values for world_size = 2"),
    ],
)
def test_bad_arguments_name_themselves(arguments: tuple, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run_ranks(*arguments)


def test_bad_timeout() -> None:
    with pytest.raises(ValueError, match="timeout = 0"):
        run_ranks(programs.add_up, 2, timeout=0)


def test_without_recorder_the_limit_is_left() -> None:
    run = run_ranks(programs.add_up, 2, record=False)
    assert run.ledger.count() == 0 and run.values[0].tolist() == [2.0] * 4


@pytest.mark.parametrize("program", ["killed", "returns_early"])
def test_without_recorder_nothing_is_said_of_collectives(program: str) -> None:
    with pytest.raises(RankError) as caught:
        run_ranks(getattr(programs, program), 2, record=False, timeout=2)
    said = str(caught.value)
    assert "collective" not in said and ("returned" in said or "was killed by SIGKILL, in" in said), said


def test_a_group_that_only_its_members_make() -> None:
    def program() -> float:
        rank = dist.get_rank()
        if rank == 2:
            return 0.0
        group = dist.new_group([0, 1], use_local_synchronization=True)
        x = torch.tensor(rank + 1.0)
        dist.all_reduce(x, group=group)
        return x.item()

    assert run_ranks(program, 3).values == [3.0, 3.0, 0.0]
