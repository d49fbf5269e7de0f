"""The judge by itself: what may still go on is no deadlock, and what cannot is named."""

import pytest

from tests.ranks import programs
from tplearn import Deadlock, RankFailed, run_ranks
from tplearn.ranks.diagnose import Judge
from tplearn.ranks.events import Block, Enter, Raised, Returned
from tplearn.ranks.ledger import WIRE_BYTES, Row
from tplearn.ranks.ops import OP_NAMES
from tplearn.ranks.report import all_ranks, warnings


def row(rank: int, op: str = "all_reduce", index: int = 0, **more: object) -> Row:
    return Row(rank, index, op, **({"group": (0, 1), "shape": (4,), "dtype": "float32", "bytes": 16} | more))


def judge_of(*events: tuple[int, object], ranks: int = 2) -> Judge:
    judge = Judge(ranks, recorded=True)
    for rank, event in events:
        judge.handle(rank, event)
    return judge


def enter(rank: int, op: str = "all_reduce", index: int = 0, thread: int = 0, others: int = 0, **more: object) -> tuple:
    return rank, Enter(row(rank, op, index, **more), "world", True, thread, others)


def test_two_ranks_that_wait_in_each_others_absence_are_stuck() -> None:
    assert not judge_of(enter(0, "recv", peer=1)).settled(), "rank 1 is still running"
    assert judge_of(enter(0, "recv", peer=1), enter(1, "recv", peer=0)).settled()
    assert not judge_of(enter(0, "recv", peer=1), enter(1, "send", peer=0)).settled()


@pytest.mark.parametrize(("tag", "stuck"), [(7, False), (8, True)])
def test_messages_meet_by_tag(tag: int, stuck: bool) -> None:
    judge = judge_of(enter(0, "send", peer=1, tag=7), enter(1, "recv", peer=0, tag=tag))
    assert judge.settled() == stuck and judge.mismatch is None
    assert ("the other side has tag 8" in all_ranks(judge)) == stuck


def test_messages_of_one_tag_meet_in_their_order() -> None:
    sends = [(0, Enter(row(0, "send", k, peer=1, bytes=8 * (k + 1)), "world", False, 0)) for k in range(2)]
    assert judge_of(*sends, enter(1, "recv", peer=0, bytes=8)).mismatch is None
    assert judge_of(*sends, enter(1, "recv", peer=0, bytes=16)).mismatch


def test_a_recv_from_anybody_may_take_any_message() -> None:
    events = [enter(0, "recv", peer=-1), (1, Enter(row(1, "send", 0, peer=0, bytes=8), "world", False, 0))]
    assert not judge_of(*events).settled() and judge_of(*events).mismatch is None


def test_a_thread_that_may_still_act_is_waited_for() -> None:
    waiting = enter(1, "recv", peer=0)
    assert not judge_of(enter(0, "recv", peer=1, others=1), waiting).settled()
    later = judge_of(enter(0, "recv", peer=1, others=1), waiting, enter(0, "recv", 1, thread=9, peer=1, tag=3))
    assert later.settled(), "now that thread waits too"


def test_one_of_two_waiting_threads_is_enough_to_go_on() -> None:
    judge = judge_of(enter(0, "recv", peer=1), enter(0, "send", 1, thread=9, peer=1), enter(1, "recv", peer=0))
    assert not judge.waiting(0) and not judge.settled()


def test_the_loss_of_a_peer_is_no_cause() -> None:
    judge = judge_of(
        enter(0), (0, Raised("RuntimeError: gloo/transport: reset", "a.py:1", "", "")), enter(1), (1, Returned("", ""))
    )
    judge.died(1, "was killed")
    assert judge.failures() == [0] and "waits in all_reduce" in all_ranks(judge)


def swap_of(first: list[str], second: list[str]) -> list[UserWarning]:
    lines = [
        (r, Enter(row(r, index=k, source=s, code=s), "g", True, 0))
        for r, of in enumerate((first, second))
        for k, s in enumerate(of)
    ]
    return warnings(judge_of(*lines))


def test_lines_in_another_order_are_told_where_both_ranks_run_them_equally_often() -> None:
    assert "these two lines met" in str(swap_of(["a", "b"], ["b", "a"])[0])
    assert not swap_of(["a", "b"], ["a", "b"]) and not swap_of(["a", "a", "b"], ["a", "c", "a"])
    assert not swap_of(["a", "b"], ["a", "a", "b"]), "uneven inputs: one rank takes another way"


def test_a_handle_that_is_waited_for_later_is_no_warning() -> None:
    events = [(0, Enter(row(0), "w", False, 0)), (0, Block(0, 0)), enter(1), (1, Returned("", "", (0,)))]
    (warning,) = warnings(judge_of(*events))
    assert "rank 1  all_reduce #0" in str(warning) and "rank 0" not in str(warning)


def test_every_op_has_its_bytes_on_the_wire() -> None:
    unrecorded = {"broadcast", "reduce", "gather", "scatter", "send", "new_group", "collective_permute"}
    assert set(OP_NAMES.values()) | unrecorded == set(WIRE_BYTES)
    assert row(0, "an op of tomorrow").wire_bytes == 16 and row(0, group=(0,)).wire_bytes == 0


@pytest.mark.parametrize(
    ("program", "value"), [("tags_in_another_order", [[1.0] * 3, [2.0] * 5]), ("any_source", None)]
)
def test_right_programs_raise_no_alarm(program: str, value: object) -> None:
    run = run_ranks(getattr(programs, program), 3)
    assert run.values[1] == value and not run.warnings
    assert program != "any_source" or run.values[0] == [1.0, 2.0]


def test_a_message_to_oneself_is_explained() -> None:
    with pytest.raises(RankFailed, match="send: rank 0 is the one that calls; gloo has no way from a rank to itself"):
        run_ranks(programs.to_itself, 1)


def test_tags_that_never_meet_are_a_deadlock_at_once() -> None:
    with pytest.raises(Deadlock, match="tag 1; the other side has tag 2"):
        run_ranks(programs.tags_that_never_meet, 2)


@pytest.mark.parametrize(("program", "says"), [("not_a_peer", "send: dst = 2"), ("not_a_root", "broadcast: src = 5")])
def test_a_rank_that_is_not_there_is_refused_by_name(program: str, says: str) -> None:
    with pytest.raises(RankFailed) as caught:
        run_ranks(getattr(programs, program), 2)
    assert f"{says} is no rank of a group of 2; ranks 0 to 1 work" in str(caught.value)
    assert "programs.py:" in str(caught.value).splitlines()[1]
