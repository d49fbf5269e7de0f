"""The ledger that chapter 07's widget draws, and the one its exercise predicts, are those of a real run."""

import itertools

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from tplearn import run_ranks
from tplearn.checks.ch07_mlp_on_gloo.ledger import mlp_ledger
from tplearn.parallel import Place, copy_to_group, gather_from_group, reduce_from_group, scatter_to_group
from tplearn.show.widgets import ledger_target
from tplearn.show.widgets.ledger_target import F_PLACES, FFN, G_PLACES, HIDDEN, MIDDLES, TOKENS, outcome

FORWARD_ENDS = (7,)  # the shape of a tensor that nothing else sends


def tensors() -> tuple[Tensor, ...]:
    """x, dy, gate, up, down."""
    generator = torch.Generator().manual_seed(torch.seed() % 2**31)
    shapes = ((TOKENS, HIDDEN), (TOKENS, HIDDEN), (FFN, HIDDEN), (FFN, HIDDEN), (HIDDEN, FFN))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


def mlp(given: tuple[Tensor, ...], f: str, middle: str, g: str) -> tuple[Tensor, Tensor]:
    """y and dx of one rank."""
    x, dy, gate, up, down = given
    rank, p = Place.of().rank, Place.of().world_size
    gate, up, down = gate.chunk(p)[rank], up.chunk(p)[rank], down.chunk(p, dim=1)[rank]
    x = x.clone().requires_grad_()
    ways = {F_PLACES[0]: [copy_to_group(x)] * 2, F_PLACES[1]: [copy_to_group(x), copy_to_group(x)], F_PLACES[2]: [x, x]}
    h = F.silu(F.linear(ways[f][0], gate)) * F.linear(ways[f][1], up)
    h = scatter_to_group(gather_from_group(h)) if middle == MIDDLES[1] else h
    y = F.linear(h, down)
    y = reduce_from_group(y) if g == G_PLACES[0] else y
    if p > 1:
        torch.distributed.all_reduce(torch.ones(FORWARD_ENDS))  # between forward and backward in the ledger
    y.backward(dy)
    return y.detach(), x.grad


@pytest.mark.parametrize(
    ("f", "middle", "tp"), [*itertools.product(F_PLACES, MIDDLES, [2]), (F_PLACES[0], MIDDLES[1], 4)]
)
def test_the_drawn_ledger_and_verdict_are_those_of_a_real_run(f: str, middle: str, tp: int) -> None:
    given = tensors()
    y, dx = mlp(given, F_PLACES[0], MIDDLES[0], G_PLACES[0])  # one process: the dense MLP
    for g in G_PLACES:
        run, drawn = run_ranks(mlp, tp, given, f, middle, g), outcome(f, middle, g, tp)
        rows = [row for row in run.ledger.rows if row.rank == 0]
        turn = next(k for k, row in enumerate(rows) if row.shape == FORWARD_ENDS)
        assert tuple((row.op, row.bytes) for row in rows[:turn]) == drawn.forward
        assert tuple((row.op, row.bytes) for row in rows[turn + 1 :]) == drawn.backward
        assert all(torch.allclose(mine, y) for mine, _ in run.values) == drawn.y_right
        assert all(torch.allclose(mine, dx) for _, mine in run.values) == drawn.dx_right


@pytest.mark.parametrize(("fs", "gathered", "tp"), list(itertools.product((0, 1, 2), (False, True), (1, 2, 4))))
def test_the_exercise_predicts_the_same_ledger(fs: int, gathered: bool, tp: int) -> None:
    drawn = outcome({1: F_PLACES[0], 2: F_PLACES[1], 0: F_PLACES[2]}[fs], MIDDLES[gathered], G_PLACES[0], tp)
    predicted = mlp_ledger(TOKENS, HIDDEN, FFN, tp, fs, gathered)
    assert [(op, 2 * size) for op, size in predicted] == [*drawn.forward, *drawn.backward], "float32, float64"


def test_every_setting_draws_and_says_what_it_draws() -> None:
    figure = Figure()
    for f, middle, g, tp in itertools.product(F_PLACES, MIDDLES, G_PLACES, (1, 2, 8)):
        words = ledger_target.draw(figure, f, middle, g, tp)
        right = tp == 1 or (f, middle, g) == (F_PLACES[0], MIDDLES[0], G_PLACES[0])
        assert ("✗" not in words) == right, words


def test_a_control_draws_anew_and_an_unknown_word_is_refused_with_those_that_work() -> None:
    widget = ledger_target.show()
    before = widget.image.value
    widget.children[0].children[0].value = F_PLACES[1]
    assert widget.image.value != before and "ledger ✗   768 bytes, the minimum is 512" in widget.words.value
    with pytest.raises(ValueError, match="none of: one for both"):
        outcome("two", MIDDLES[0], G_PLACES[0], 2)
