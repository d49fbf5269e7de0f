"""The ring in the picture is the ring in the code, and the sliders never leave its steps."""

import pytest
import torch
from matplotlib.figure import Figure

from tplearn.show.figures.ch04 import ring_history
from tplearn.show.widgets.ring_stepper import RANKS, draw, show
from tplearn.simulated import Ring, ring_all_gather, ring_reduce_scatter


@pytest.mark.parametrize("p", [1, *RANKS])
def test_the_history_is_what_the_ring_does(p: int) -> None:
    moments, ring = ring_history(p), Ring(p)
    digits = [torch.full((p,), 10**rank) for rank in range(p)]
    chunks = ring_reduce_scatter(digits, ring)
    assert len(moments) == 2 * (p - 1) + 1
    for rank in range(p):
        middle, end = moments[p - 1].cells[rank], moments[-1].cells[rank]
        assert sum(10**member for member in middle[rank]) == chunks[rank].item()
        assert all(len(ranks) == p for ranks in end)
    wholes = ring_all_gather(chunks, ring)
    assert all(set(whole.tolist()) == {sum(10**rank for rank in range(p))} for whole in wholes)
    assert sum(len(moment.sent) for moment in moments) == ring.ledger.count("send")


def test_the_words_say_what_the_picture_shows() -> None:
    assert draw(Figure(), 4, 3) == (
        "reduce-scatter 3, 4 ranks. Finished chunks on each rank: 1, 1, 1, 1 of 4. "
        "Bytes sent by each rank: 0.75 n, where n is the size of the tensor."
    )
    assert draw(Figure(), 2, 99).startswith("all-gather 1, 2 ranks. Finished chunks on each rank: 2, 2 of 2.")


def test_fewer_ranks_have_fewer_steps() -> None:
    widget = show(p=4)
    ranks, steps = widget.children[0].children
    steps.value = 6
    before = widget.image.value
    ranks.value = 2
    assert (steps.max, steps.value) == (2, 2)
    assert widget.image.value != before and "all-gather 1, 2 ranks" in widget.words.value
