"""Figures of chapter 07: f, g and the ledger of an MLP; first values of the shards; one f each."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.style import GREEN, GREY, RED, box, canvas, label
from tplearn.show.widgets.ledger_target import F_PLACES, draw

RANKS, NUMBERS = 4, 8


def draw_ledger_target() -> Figure:
    """An MLP on one of two ranks: f before gate and up, g after down; its ledger is 1 all-reduce each way."""
    figure = Figure(facecolor="white")
    draw(figure)
    return figure


def draw_one_f_each() -> Figure:
    """The same MLP with an f for gate and an f for up: right, but 2 all-reduces backward where 1 is due."""
    figure = Figure(facecolor="white")
    draw(figure, f=F_PLACES[1])
    return figure


def draw_own_slices() -> Figure:
    """Four ranks draw first values: all the same shard from one seed, or the whole and keep their own slice."""
    figure, ax = canvas(10, 4.05)
    titles = ("each draws its shard, same seed  ✗", "each draws all, keeps its own slice  ✓")
    ends = ("joined: two numbers, four times", "joined: the dense layer's eight numbers")
    for left, title, end, right in ((0.9, titles[0], ends[0], False), (5.75, titles[1], ends[1], True)):
        colour = GREEN if right else RED
        label(ax, left, 3.8, title, size=11, bold=True, ha="left", colour=colour)
        for rank in range(RANKS):
            y = 2.95 - 0.52 * rank
            if not right:
                label(ax, 0.2, y + 0.2, f"rank {rank}", ha="left")
            _stream(ax, left, y, rank, right)
        label(ax, left, 1.03, end, ha="left", colour=colour)
        for k in range(NUMBERS):
            owner = k // 2
            box(ax, left + 0.47 * k, 0.42, 0.43, 0.42, f"{k + 1 if right else k % 2 + 1}", rank=owner if right else 0)
    label(ax, 0.2, 0.63, "all", ha="left")
    label(ax, 0.2, 0.16, "1, 2, 3, …: the numbers that the seed's generator gives, in order", size=9.5, ha="left")
    return figure


def _stream(ax: Axes, x: float, y: float, rank: int, whole: bool) -> None:
    """What one rank draws from its generator, and what it keeps (in its colour, framed) or drops (grey)."""
    for k in range(NUMBERS):
        kept = k // 2 == rank if whole else k < 2
        if kept:
            box(ax, x + 0.47 * k, y, 0.43, 0.42, str(k + 1), rank=rank if whole else 0, bold=True, line=1.8)
        elif whole:
            box(ax, x + 0.47 * k, y, 0.43, 0.42, str(k + 1), face="#ffffff", edge=GREY, colour=GREY, dashed=True)
