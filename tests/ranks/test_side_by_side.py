"""Several runs at once: each has its own outcome, and the stop button ends all."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
import torch.distributed as dist

from tplearn import run_ranks
from tplearn.ranks import Deadlock, RankFailed
from tplearn.ranks.launch import Call, run_side_by_side


def summed(value: float) -> float:
    total = torch.tensor(value)
    dist.all_reduce(total)
    print("summed")
    return total.item()


def waits_in_vain() -> None:
    if dist.get_rank():
        dist.all_reduce(torch.ones(1))


def fails() -> None:
    raise RuntimeError("not today")


def sleeps(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def test_each_call_has_its_own_outcome_in_the_order_of_the_calls(capsys: pytest.CaptureFixture) -> None:
    calls = [Call(summed, 3, (2.0,)), Call(waits_in_vain, 2), Call(fails, 1), Call(summed, 2, (0.5,))]
    first, hang, failure, last = run_side_by_side(calls)
    assert first.values == [6.0] * 3
    assert last.values == [1.0] * 2
    assert first.ledger.count("all_reduce") == 3
    assert isinstance(hang, Deadlock)
    assert "rank 1  waits in all_reduce #0" in str(hang)
    assert isinstance(failure, RankFailed)
    assert "not today" in str(failure)
    assert first.output == ["summed\n"] * 3
    assert capsys.readouterr().out.count("summed") == 5


def test_a_time_limit_ends_one_run_and_not_the_others(tmp_path: Path) -> None:
    calls = [Call(sleeps, 1, (str(tmp_path),)), Call(summed, 2, (1.0,))]
    slow, quick = run_side_by_side(calls, timeout=2.0)
    assert type(slow).__name__ == "RankTimeout"
    assert quick.values == [2.0] * 2


def test_bad_calls_are_refused_before_any_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="world_size = 0 ranks cannot be started"):
        run_side_by_side([Call(sleeps, 1, (str(tmp_path),)), Call(summed, 0)])
    assert not list(tmp_path.iterdir())
    assert run_side_by_side([]) == []


def test_the_stop_button_ends_every_run(tmp_path: Path) -> None:
    def press_when_all_run() -> None:
        while len(list(tmp_path.iterdir())) < 5:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=press_when_all_run, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_side_by_side([Call(sleeps, 2, (str(tmp_path),)), Call(sleeps, 3, (str(tmp_path),))])
    finally:
        signal.signal(signal.SIGINT, before)
    ranks = [int(file.name) for file in tmp_path.iterdir()]
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(rank) for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [rank for rank in ranks if psutil.pid_exists(rank)]
    assert run_ranks(summed, 2, 1.0).values == [2.0] * 2
