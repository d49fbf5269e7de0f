"""Chapter 06: what runs on the way forward and back between two ranks, and the two pairs of transposes under it all."""

from matplotlib.figure import Figure

from tplearn.show.figures.ch06_pair import ENTRIES, EXITS, Trip, paint_lane, paint_pair
from tplearn.show.style import GREY, HIGHLIGHT, arrow, box, canvas, label


def draw_way_back() -> Figure:
    """An MLP on 2 ranks: forward there is an all-reduce before y; what is sent on the way back is the question."""
    figure, ax = canvas(10, 4.4)
    silent = Trip({"y": "", "dW": "", "dx": ""}, ("", ""), ("", ""))
    for base, way, forward in ((2.4, "forward →", True), (0.4, "← backward", False)):
        label(ax, 0.1, base + 1.66, way, bold=True, ha="left")
        for rank in (0, 1):
            paint_lane(ax, base + 0.75 * (1 - rank), rank, forward, silent, {})
        for left, text in ((2.87, "" if forward else "?"), (6.67, "all-reduce" if forward else "?")):
            if text:
                box(ax, left, base - 0.08, 1.5, 1.66, face=HIGHLIGHT, rounded=True, dashed=not forward)
                label(ax, left + 0.75, base + 0.75, text, bold=True)
    return figure


def draw_f_and_g() -> Figure:
    """f and g around an MLP on 2 ranks: forward, only g sends; backward, only f sends. Each is an all-reduce."""
    figure = Figure(facecolor="white")
    paint_pair(figure, entry=ENTRIES[0], leave=EXITS[0], tp=2)
    return figure


def draw_sequence_pair() -> Figure:
    """All-gather and reduce-scatter around an MLP on 2 ranks: each is sent forward, and its transpose backward."""
    figure = Figure(facecolor="white")
    paint_pair(figure, entry=ENTRIES[1], leave=EXITS[1], tp=2)
    return figure


def draw_transposes() -> Figure:
    """Two pairs of transposes, copy and sum, join and cut: turn the arrows of one around and you have the other."""
    figure, ax = canvas(10, 3.6)
    columns = (
        (0.3, "copy", True, "[[1], [1]]", "nothing is sent"),
        (2.8, "sum", False, "[[1, 1]]", "all-reduce"),
        (5.3, "join", False, "[[1, 0], [0, 1]]", "all-gather"),
        (7.8, "cut", True, "[[1, 0], [0, 1]]", "nothing is sent"),
    )
    for left, name, splits, matrix, sent in columns:
        middle, halves = left + 0.95, name in ("join", "cut")
        label(ax, middle, 3.35, name, size=12, bold=True)
        label(ax, middle, 3.02, matrix, mono=True, size=9.5)
        one, each = (left, left + 1.3) if splits else (left + 1.3, left)
        for rank, y in ((0, 2.4), (1, 1.3)):
            text = ("left", "right")[rank] if halves else "x" if name == "copy" else f"y{rank}"
            box(ax, each, y - 0.2, 0.6, 0.4, text, rank=rank, size=9.5)
            ends = ((one + 0.6, 1.85), (each, y)) if splits else ((each + 0.6, y), (one, 1.85))
            arrow(ax, *ends)
            if halves:
                box(ax, one + 0.3 * rank, 1.65, 0.3, 0.4, rank=rank)
        if not halves:
            box(ax, one, 1.65, 0.6, 0.4, "x" if name == "copy" else "y0+y1", size=9)
        label(ax, middle, 0.85, sent, size=9.5, colour=GREY)
    for middle, words in ((2.5, "f copies, its transpose g sums"), (7.5, "gather joins, its transpose scatter cuts")):
        label(ax, middle, 3.35, "⟷", size=14, bold=True)
        label(ax, middle, 0.4, words, size=10.5, bold=True)
    return figure
