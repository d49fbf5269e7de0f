"""The widgets of chapters 02 and 03: what they say is what a run gives; bad sizes are a sentence, not a crash."""

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure

from tplearn.show.figures.ch02 import draw_two_cuts, draw_where_to_cut, paint_tiles
from tplearn.show.figures.ch03 import PLANS, WEIGHTS, draw_data_flow, draw_where_to_talk, run_plan
from tplearn.show.widgets import data_flow, tiles


@pytest.mark.parametrize(
    ("cut", "shapes", "ending"),
    [
        ("columns of A", "[4×6] × [6×4] = [4×4]", "all-gather of 4×4"),
        ("rows of A", "[4×3] × [3×8] = [4×8]", "all-reduce of 4×8"),
        ("rows of X", "[2×6] × [6×8] = [2×8]", "Ending: none"),
    ],
)
def test_tiles_say_who_computes_what_and_what_ends_it(cut: str, shapes: str, ending: str) -> None:
    words = paint_tiles(Figure(), cut=cut, tp=2, batch=4, inner=6, out=8)
    assert shapes in words and ending in words


def test_a_cut_that_leaves_a_remainder_is_refused_in_words_and_no_other_cut_is_shown() -> None:
    widget = tiles.show()
    widget.children[0].children[1].value = 3  # tp
    assert "columns of A = 8 cannot be split over tp = 3 ranks; sizes that work: 1, 2, 4, 8" in widget.words.value
    assert widget.image.layout.visibility == "hidden", "two ranks under a slider that says three"
    widget.children[0].children[1].value = 4
    assert widget.image.layout.visibility == "visible"


@pytest.mark.parametrize(("asks", "tells"), [(draw_where_to_cut, draw_two_cuts), (draw_where_to_talk, draw_data_flow)])
def test_a_picture_above_a_prediction_asks_and_the_one_after_it_tells(
    asks: Callable[[], Figure], tells: Callable[[], Figure]
) -> None:
    asked, told = (" ".join(text.get_text() for text in draw().axes[0].texts) for draw in (asks, tells))
    for ending in ("all-", "shard", "partial"):
        assert ending not in asked
    assert "?" in asked and "all-" in told and "shard" in told


@pytest.mark.parametrize("tp", [1, 2, 4])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("activation", PLANS)
def test_only_the_right_plans_are_right_and_one_of_them_is_cheap(activation: str, weights: str, tp: int) -> None:
    error, ledger = run_plan(activation, weights, tp)
    torn = activation == PLANS[0] and weights == WEIGHTS[2]
    wrong = tp > 1 and (torn or activation == PLANS[2])
    assert error > 1 if wrong else error < 1e-12
    assert ledger.count("all_reduce", rank=0) == (2 if activation == PLANS[1] else 1)
    assert {row.op for row in ledger.rows} == {"all_reduce"}


def test_the_data_flow_is_drawn_again_when_a_control_moves() -> None:
    widget = data_flow.show()
    before = widget.image.value
    assert bytes(before).startswith(b"\x89PNG") and "right ✓" in widget.words.value
    widget.children[0].children[1].value = WEIGHTS[2]
    assert widget.image.value != before and "wrong ✗" in widget.words.value
    assert widget.values() == {"activation": PLANS[0], "weights": WEIGHTS[2], "tp": 2}


def test_unknown_words_are_refused_with_those_that_work() -> None:
    with pytest.raises(ValueError, match="none of: separate"):
        run_plan(PLANS[0], "stapled", 2)
    with pytest.raises(ValueError, match="none of: columns of A"):
        paint_tiles(Figure(), cut="diagonal", tp=2, batch=4, inner=6, out=8)
