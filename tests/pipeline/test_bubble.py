"""The arithmetic of the measured bubble, on times that are made up: measuring itself is `benchmarks/pipeline.py`."""

import pytest

from tplearn.pipeline.bubble import idle_in_theory, measured_idle, step_seconds
from tplearn.pipeline.timeline import timeline

SLEEP, LATE = 0.060, 0.008  # what a slot should take, and by how much every slot is longer


@pytest.mark.parametrize(("p", "v"), [(2, 1), (4, 1), (4, 2), (8, 3)])
def test_times_of_late_slots_give_the_bubble_of_theory(p: int, v: int) -> None:
    seconds = {m: (m + (p - 1) / v) * (SLEEP + LATE) for m in (4, 8, 16)}
    for m, share in measured_idle(seconds).items():
        assert share == pytest.approx(idle_in_theory(p, m, v), abs=1e-12)
        assert 1 - m * SLEEP / seconds[m] > share + 0.06, "with the nominal slot, lateness counts as bubble"


def test_a_timeline_in_slots_has_the_same_slope() -> None:
    ends = {m: max(span.stop for span in timeline("1F1B", 3, m)) for m in (3, 5, 9)}
    assert measured_idle(ends) == pytest.approx({m: 2 / (m + 2) for m in ends})


def test_more_waiting_is_a_larger_share() -> None:
    fast, slow = ({m: m * 0.06 + wait for m in (4, 8)} for wait in (0.1, 0.2))
    assert all(measured_idle(slow)[m] > measured_idle(fast)[m] + 0.05 for m in fast)


def test_stages_that_sleep_run_under_every_kind_of_schedule() -> None:
    for schedule, v in (("GPipe", None), ("Interleaved1F1B", 2)):
        seconds = step_seconds(schedule, 2, (2, 4), v, forward=0.001, backward=0.002, repeats=1)
        assert list(seconds) == [2, 4]
        for m, taken in seconds.items():
            assert taken >= 0.003 * (m + 1 / (v or 1)), "no step is shorter than its sleeps one after the other"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="times of 1 numbers of micro-batches have no slope; two and more work"):
        measured_idle({4: 0.4})
    with pytest.raises(ValueError, match="p = 0 is not a number of ranks"):
        idle_in_theory(0, 4)
    with pytest.raises(ValueError, match="micro_batches = 1 are fewer than the 2 stages of 1F1B; 2 and more work"):
        step_seconds("1F1B", 2, (4, 1))
