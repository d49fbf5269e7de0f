"""Schedules in time: the bubbles of the papers, exactly, and what waits for what."""

import pytest

from tplearn.pipeline.bubble import idle_in_theory
from tplearn.pipeline.kinds import KINDS
from tplearn.pipeline.orders import Action, order
from tplearn.pipeline.timeline import alive, idle_share, spans_of, timeline


@pytest.mark.parametrize("slots", [(1, 2), (1, 1), (3, 1)], ids=str)
@pytest.mark.parametrize(("p", "m"), [(1, 3), (2, 5), (4, 4), (4, 16), (5, 7)])
def test_gpipe_and_1f1b_have_one_bubble_whatever_a_slot_costs(p: int, m: int, slots: tuple[int, int]) -> None:
    for schedule in ("GPipe", "1F1B"):
        spans = timeline(schedule, p, m, forward=slots[0], backward=slots[1])
        assert idle_share(spans) == pytest.approx((p - 1) / (m + p - 1), abs=1e-12)
        assert max(span.stop for span in spans) == (m + p - 1) * sum(slots)


@pytest.mark.parametrize(("p", "m", "v"), [(2, 4, 2), (4, 8, 2), (4, 16, 3), (3, 3, 4)])
def test_v_stages_a_rank_make_the_bubble_v_times_smaller(p: int, m: int, v: int) -> None:
    for schedule in ("Interleaved1F1B", "LoopedBFS"):
        spans = timeline(schedule, p, m, v, forward=1 / v, backward=2 / v)
        assert idle_share(spans) == pytest.approx(idle_in_theory(p, m, v), abs=1e-12)
        assert max(span.stop for span in spans) == pytest.approx(3 * (m + (p - 1) / v))


@pytest.mark.parametrize("schedule", ["InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"])
def test_halves_of_a_backward_fill_the_bubble(schedule: str) -> None:
    spans = timeline(schedule, 4, 16)
    assert 0 < idle_share(spans) < idle_in_theory(4, 16, 2) / 2


def test_1f1b_keeps_p_activations_where_gpipe_keeps_all() -> None:
    for m in (4, 16):
        assert [alive(timeline("GPipe", 4, m), rank) for rank in range(4)] == [m] * 4
        assert [alive(timeline("1F1B", 4, m), rank) for rank in range(4)] == [4, 3, 2, 1]


@pytest.mark.parametrize("schedule", KINDS)
@pytest.mark.parametrize(("p", "m"), [(1, 2), (2, 4), (3, 6), (4, 8)])
def test_every_stage_does_every_micro_batch_once_and_after_its_input(schedule: str, p: int, m: int) -> None:
    kind, spans = KINDS[schedule], timeline(schedule, p, m)
    stages, at = p * kind.stages_per_rank(), {span.action: span for span in spans}
    assert len(at) == len(spans)
    kinds = {(a.stage, a.micro_batch): set() for a in at}
    for action, span in at.items():
        kinds[action.stage, action.micro_batch].add(action.kind)
        assert action.stage in kind.stages_of(span.rank, p)
        if action.kind == "F" and action.stage:
            assert at[Action("F", action.stage - 1, action.micro_batch)].stop <= span.start
        if action.kind in "BI":
            assert at[Action("F", action.stage, action.micro_batch)].stop <= span.start
        if action.kind in "BI" and action.stage < stages - 1:
            after = [at.get(Action(k, action.stage + 1, action.micro_batch)) for k in "BI"]
            assert min(one.stop for one in after if one) <= span.start
        if action.kind == "W":
            assert at[Action("I", action.stage, action.micro_batch)].stop <= span.start
    assert len(kinds) == stages * m and all(k in ({"F", "B"}, {"F", "I", "W"}) for k in kinds.values())
    for rank in range(p):
        lane = [span for span in spans if span.rank == rank]
        assert all(one.stop <= other.start for one, other in zip(lane, lane[1:], strict=False))


def test_ranks_that_wait_for_each_other_are_named() -> None:
    by_rank = order("1F1B", 2, 2)
    by_rank[1].reverse()
    with pytest.raises(ValueError, match="the ranks wait for each other: rank 0 with 0B0, rank 1 with 1B1"):
        spans_of(by_rank)


def test_an_action_that_is_there_twice_is_named() -> None:
    by_rank = order("1F1B", 2, 2)
    by_rank[0].append(by_rank[0][1])
    with pytest.raises(ValueError, match="rank 0 does 0F1 a second time; once works"):
        spans_of(by_rank)


REFUSED = [
    (("1F1b", 2, 2), "schedule = '1F1b' is not known; names that work: 1F1B"),
    (("Gpipe", 2, 2), "schedule = 'Gpipe' is not known; names that work: GPipe"),
    (("ring", 2, 2), "schedule = 'ring' is not known; names that work: GPipe, 1F1B, Interleaved1F1B, LoopedBFS, "),
    ((None, 2, 2), "schedule = None is not known"),
    (("1F1B", 4, 3), "micro_batches = 3 are fewer than the 4 stages of 1F1B; 4 and more work"),
    (("DualPipeV", 2, 3), "micro_batches = 3 are fewer than the 4 stages of DualPipeV; 4 and more work"),
    (("Interleaved1F1B", 3, 7), "micro_batches = 7 do not divide into the 2 rounds that Interleaved1F1B makes of them"),
    (("GPipe", 2, 2, 2), "stages_per_rank = 2 does not work with GPipe; 1 works"),
    (("ZBVZeroBubble", 2, 2, 3), "stages_per_rank = 3 does not work with ZBVZeroBubble; 2 works"),
    (("GPipe", 2, 0), "micro_batches = 0 is not a size"),
    (("GPipe", 0, 2), "p = 0 is not a number of ranks"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_is_refused(arguments: tuple, said: str) -> None:
    with pytest.raises(ValueError) as told:
        timeline(*arguments)
    assert said in str(told.value)


@pytest.mark.parametrize("schedule", ["Interleaved1F1B", "InterleavedZeroBubble"])
def test_the_numbers_of_micro_batches_that_are_refused_are_those_torch_refuses(schedule: str) -> None:
    from torch.distributed.pipelining._schedule_visualizer import get_schedule_ops

    for m in range(1, 14):
        runs = []
        for made in (lambda m=m: get_schedule_ops(schedule, 4, m), lambda m=m: order(schedule, 4, m)):
            try:
                made()
                runs.append(True)
            except ValueError:
                runs.append(False)
        assert runs[0] == runs[1], m


def test_slots_that_are_none() -> None:
    with pytest.raises(ValueError, match="backward = 0 slots do not work; numbers above 0 do"):
        timeline("GPipe", 2, 2, backward=0)
