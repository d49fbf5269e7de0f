"""The fault drill on scripts: every hang and failure is named with rank and line, and leaves nothing behind."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ranks.test_faults import children
from tests.running.drill import run_script, script_of

# program: (ranks, what the report must say). Every rank's collective #0 is the group itself, #1 a barrier.
FAULTS = {
    "different_op": (3, ["different op", "rank 1  broadcast", "dist.broadcast(x, src=0)"]),
    "different_shape": (3, ["different shape", "rank 0  all_reduce (5 float32"]),
    "different_dtype": (3, ["different dtype", "rank 1  all_reduce (4 float64"]),
    "different_reduce_op": (3, ["different reduce op", "rank 1  all_reduce (4 float32, MAX)"]),
    "different_root": (3, ["different root", "rank 1  broadcast (4 float32, root 1)"]),
    "returns_early": (
        3,
        ["Deadlock", "rank 0  waits in all_reduce #3", "rank 1  returned after 3 collectives, the last"],
    ),
    "leaves_before_relu": (3, ["Deadlock", "rank 0  waits in all_reduce #2 (2 float32, SUM)", "torch.relu(partial)"]),
    "raises": (3, ["Rank 1 raised KeyError", 'raise KeyError("the rank', "rank 0  waits in all_reduce #2"]),
    "raises_everywhere": (3, ["Ranks 0, 1, 2 raised ValueError: same on all"]),
    "sys_exit": (3, ["Rank 1 raised SystemExit: 3", "raise SystemExit(3)"]),
    "hard_exit": (
        3,
        ["Deadlock", "rank 1  returned after 2 collectives", "os._exit(0)", "rank 0  waits in all_reduce #2"],
    ),
    "killed": (3, ["Rank 1 was killed by SIGKILL, last seen in all_reduce #2", "rank 0  waits in all_reduce #3"]),
    "aborts_in_c": (3, ["Rank 1 was killed by SIGABRT", "ctypes.CDLL(None).abort()"]),
    "recv_recv": (2, ["Deadlock", "rank 0  waits in recv #2 (4 float32, from rank 1)", "dist.recv(x, src=1 - rank())"]),
    "send_recv_sizes": (2, ["a send and its recv do not fit", "rank 0  send (3 float32", "rank 1  recv (5 float32"]),
    "swapped_groups": (2, ["Deadlock", "rank 0  waits in all_reduce", "rank 1  waits in all_reduce", "group=group"]),
    "async_never_matched": (3, ["rank 0  all_reduce (4 float32, SUM) never matched by ranks 1, 2"]),
    "async_waited": (3, ["Deadlock", "rank 0  waits in all_reduce #2", "rank 2  returned after 2 collectives"]),
    "subgroup_alone": (3, ["Deadlock", "rank 0  waits in new_group #2 (ranks [0, 1])", "dist.new_group([0, 1])"]),
    "mesh_alone": (3, ["Deadlock", "rank 0  waits in new_group #2", "init_device_mesh"]),
    "tags_that_never_meet": (2, ["Deadlock", "tag 1; the other side has tag 2"]),
    "not_a_peer": (2, ["raised ValueError", "dst = 2 is no rank"]),
}


@pytest.fixture(autouse=True)
def nothing_stays_behind(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("runs")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert children() == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    ranks, says = FAULTS[name]
    said = run_script(script_of(name, tmp_path), ranks, capsys)
    assert said.code == 1
    assert [text for text in says if text not in said.err] == [], said.err
    assert f"{name}.py:" in said.err, "the line is the script's"
