"""Chapter 17's pipelines as pictures: boxes, waits and words are the schedule's own; refusals are said; the record."""

import json
import runpy

import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from tplearn.pipeline.bubble import idle_in_theory
from tplearn.pipeline.kinds import KINDS
from tplearn.pipeline.timeline import alive, idle_share, timeline
from tplearn.show.figures.ch13 import RECORDED
from tplearn.show.figures.ch17 import RANKS, SCHEDULES
from tplearn.show.figures.ch17_timeline import LEFT, MOST_NUMBERS, RIGHT, paint_timeline
from tplearn.show.widgets import pipeline_timeline

CASES = [("GPipe", 4, 4, 1), ("1F1B", 4, 8, 1), ("Interleaved1F1B", 2, 4, 3), ("ZBVZeroBubble", 3, 6, 2)]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def widths(figure: Figure, hatched: bool) -> float:
    """Inches of all drawn actions, or of all waits, without those of the legend."""
    drawn = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection) and bool(c.get_hatch()) == hatched]
    paths = [path.vertices for collection in drawn for path in collection.get_paths()]
    return sum(at[:, 0].max() - at[:, 0].min() for at in paths if at[:, 1].min() > 0.7)


@pytest.mark.parametrize(("schedule", "p", "m", "v"), CASES)
def test_boxes_and_waits_are_those_of_the_schedule(schedule: str, p: int, m: int, v: int) -> None:
    figure = Figure()
    words = paint_timeline(figure, schedule=schedule, p=p, m=m, v=v)
    spans = timeline(schedule, p, m, v, forward=1 / v, backward=2 / v)
    idle, room = idle_share(spans), p * (RIGHT - LEFT)
    assert widths(figure, hatched=True) == pytest.approx(idle * room)
    assert widths(figure, hatched=False) == pytest.approx((1 - idle) * room)
    kept = [alive(spans, rank) for rank in range(p)]
    assert f"{idle:.1%} of the time it waits" in words
    assert f"by rank: {', '.join(map(str, kept))}" in words
    assert [text for text in texts(figure) if text.split(" of 1/")[0] in map(str, kept)][-p:] == [
        str(count) + (f" of 1/{v}" if v > 1 else "") for count in kept
    ]


def test_each_micro_batch_is_named_where_there_is_room() -> None:
    figure = Figure()
    paint_timeline(figure, schedule="1F1B", p=4, m=8, v=1)
    shown = texts(figure)
    assert len([text for text in shown if text == "7"]) == 8, "forward and backward on four ranks"
    paint_timeline(figure, schedule="Interleaved1F1B", p=2, m=2, v=2)
    assert "1′" in texts(figure), "a prime marks the second stage"
    paint_timeline(figure, schedule="GPipe", p=8, m=32, v=1)
    assert MOST_NUMBERS < 8 * 32 * 2 and len(texts(figure)) < 30


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"m": 2}, "micro_batches = 2 are fewer than the 4 stages of 1F1B; 4 and more work"),
        ({"v": 2}, "stages_per_rank = 2 does not work with 1F1B; 1 works"),
        ({"schedule": "ZBVZeroBubble"}, "stages_per_rank = 1 does not work with ZBVZeroBubble; 2 works"),
        ({"schedule": "Interleaved1F1B", "m": 9}, "do not divide into the 2 rounds"),
    ],
)
def test_what_a_schedule_cannot_run_is_refused_in_a_sentence(change: dict, reason: str) -> None:
    with pytest.raises(ValueError, match="works?") as caught:
        paint_timeline(Figure(), **{"schedule": "1F1B", "p": 4, "m": 8, "v": 1} | change)
    assert reason in str(caught.value)


def test_every_setting_of_the_controls_draws_or_is_refused() -> None:
    schedules, ps, ms, vs = (control.options for control in pipeline_timeline.show().children[0].children)
    figure, drawn = Figure(), set()
    for number, (schedule, p, v) in enumerate((schedule, p, v) for schedule in schedules for p in ps for v in vs):
        try:
            paint_timeline(figure, schedule=schedule, p=p, m=ms[number % len(ms)], v=v)
        except ValueError as error:
            assert "work" in str(error)
        else:
            drawn.add(schedule)
            assert len(figure.axes[0].get_children()) < MOST_NUMBERS + 70, "more artists than a quick redraw can bear"
    assert drawn == set(KINDS)


def test_what_the_page_says_of_32_micro_batches_on_8_ranks() -> None:
    said = {"1F1B": (1, "17.9%", "8, 7"), "Interleaved1F1B": (4, "5.2%", "39, 37")}
    said |= {name: (2, "3.5%", "16, 16") for name in ("InterleavedZeroBubble", "ZBVZeroBubble")}
    said["DualPipeV"] = (2, "3.5%", "17, 17")
    for schedule, (v, share, kept) in said.items():
        words = paint_timeline(Figure(), schedule=schedule, p=8, m=32, v=v)
        assert share in words and f"by rank: {kept}" in words, words


def test_the_recorded_bubbles_are_near_theory_and_were_measured_so() -> None:
    told = json.loads((RECORDED / "bubble.json").read_text())
    recorder = runpy.run_path(str(RECORDED / "bubble.py"), run_name="__main__.bubble")
    assert recorder["SCHEDULES"] == {name: v for name, (v, *_) in SCHEDULES.items()} and recorder["RANKS"] == RANKS
    assert told.keys() == SCHEDULES.keys()
    for name, shares in told.items():
        assert [int(m) for m in shares] == list(recorder["MICRO_BATCHES"])
        for m, share in shares.items():
            assert share == pytest.approx(idle_in_theory(RANKS, int(m), SCHEDULES[name][0]), abs=0.03), (name, m)
