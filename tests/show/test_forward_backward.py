"""The picture of chapter 06: its ticks and its collectives are those of a real run with the layers' own functions."""

from collections.abc import Callable

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tplearn import per_rank, run_ranks
from tplearn.parallel import copy_to_group, gather_sequence, reduce_from_group, reduce_scatter_sequence
from tplearn.show.figures.ch06_pair import ENTRIES, EXITS, RIGHT, paint_pair, run_pair
from tplearn.show.widgets import forward_backward
from tplearn.simulated import split


def along_tokens(function: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x, 0)


def nothing(x: Tensor) -> Tensor:
    return x.view_as(x)


REAL_ENTRIES = dict(zip(ENTRIES, (copy_to_group, along_tokens(gather_sequence), nothing), strict=True))
REAL_EXITS = {EXITS[0]: reduce_from_group, EXITS[1]: along_tokens(reduce_scatter_sequence), EXITS[3]: nothing}


def mlp(x: Tensor, up: Tensor, down: Tensor, dy: Tensor, entry: Callable, leave: Callable) -> list[Tensor]:
    x, up, down = (t.clone().requires_grad_() for t in (x, up, down))
    y = leave((entry(x) @ up.T).relu() @ down.T)
    y.backward(dy)
    return [y.detach(), x.grad, up.grad, down.grad]


@pytest.mark.parametrize("leave", REAL_EXITS)
@pytest.mark.parametrize("entry", REAL_ENTRIES)
def test_the_picture_tells_what_real_ranks_do(entry: str, leave: str) -> None:
    torch.manual_seed(1)
    tp, cut_x, cut_y = 2, entry == ENTRIES[1], leave == EXITS[1]
    x, up, down, dy = (torch.randn(*shape, dtype=torch.float64) for shape in ((4, 3), (6, 3), (3, 6), (4, 3)))
    truth = mlp(x, up, down, dy, nothing, nothing)
    shards = per_rank(split(up, tp, 0)), per_rank(split(down, tp, 1))
    given_x, given_dy = (per_rank(split(t, tp, 0)) if cut else t for t, cut in ((x, cut_x), (dy, cut_y)))
    run = run_ranks(mlp, tp, given_x, *shards, given_dy, REAL_ENTRIES[entry], REAL_EXITS[leave])
    due = [
        split(truth[0], tp, 0) if cut_y else [truth[0]] * tp,
        split(truth[1], tp, 0) if cut_x else [truth[1]] * tp,
        split(truth[2], tp, 0),
        split(truth[3], tp, 1),
    ]
    right = [all(torch.allclose(run.values[r][k], due[k][r]) for r in range(tp)) for k in range(4)]
    trip = run_pair(entry, leave, tp)
    drawn = [trip.verdicts[name] == RIGHT for name in ("y", "dx", "dW", "dW")]
    assert drawn == right
    ops = [row.op for row in run.ledger.rows if row.rank == 0]
    assert ops == [op for op in (*trip.forward, *trip.backward[::-1]) if op]


@pytest.mark.parametrize("tp", [2, 3, 4])
def test_all_reduce_both_ways_makes_every_gradient_tp_times_too_large(tp: int) -> None:
    verdicts = run_pair(ENTRIES[0], EXITS[2], tp).verdicts
    assert verdicts == {"y": RIGHT, "dW": f"✗ {tp} × too large", "dx": f"✗ {tp} × too large"}


def test_the_picture_is_drawn_again_when_a_control_moves() -> None:
    widget = forward_backward.show()
    before = widget.image.value
    assert bytes(before).startswith(b"\x89PNG") and "✓ right" in widget.words.value
    widget.children[0].children[0].value = ENTRIES[2]
    assert widget.image.value != before and "✗ wrong: dx." in widget.words.value


def test_unknown_words_are_refused_with_those_that_work() -> None:
    with pytest.raises(ValueError, match="entry = 'h' is none of: copy_to_group"):
        paint_pair(Figure(), entry="h", leave=EXITS[0], tp=2)
    with pytest.raises(ValueError, match="12 cannot be split over tp = 5"):
        run_pair(ENTRIES[0], EXITS[0], 5)
