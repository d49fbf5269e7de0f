"""Chapter 10's pictures: what tensor parallelism leaves uncut, an all-reduce pulled apart, the memory that is saved."""

from matplotlib.figure import Figure

from tplearn.show.style import GREEN, HIGHLIGHT, INK, RED, arrow, box, canvas, label
from tplearn.show.widgets import activation_memory
from tplearn.show.widgets.activation_memory import CUT, UNCUT

WIDTHS = {"row cut": 1.05, "column cut": 1.15, "all-reduce": 2.6, "reduce-scatter": 1.35, "all-gather": 1.25}
TALK = ("all-reduce", "reduce-scatter", "all-gather")


def draw_open_all_reduce() -> Figure:
    """An all-reduce pulled apart: what stands after it moves into the middle, between its two halves."""
    figure, ax = canvas(9.8, 3.6)
    every, own = "dropout, add, norm: all tokens", "dropout, add, norm: own tokens"
    rows = (
        ("tensor parallel", ("row cut", "all-reduce", every, "column cut")),
        ("the same, in two", ("row cut", "reduce-scatter", "all-gather", every, "column cut")),
        ("+ sequence parallel", ("row cut", "reduce-scatter", own, "all-gather", "column cut")),
    )
    for row, (name, parts) in enumerate(rows):
        x, y = 2.0, 2.85 - row * 1.0
        label(ax, 0.15, y + 0.24, name, size=10.5, bold=True, ha="left")
        for text in parts:
            width, talks = WIDTHS.get(text, 2.75), text in TALK
            face = HIGHLIGHT if talks else UNCUT if text == every else CUT
            box(ax, x, y, width - 0.06, 0.48, text, face=face, size=9.5, bold=talks, rounded=talks)
            x += width
    arrow(ax, (5.0, 1.83), (7.75, 1.36), colour=INK)
    label(ax, 6.9, 1.66, "the all-gather can wait", size=10, ha="left")
    legend = ((HIGHLIGHT, "ranks talk"), (CUT, "1/p of it on each rank"), (UNCUT, "all of it on every rank"))
    for place, (face, text) in enumerate(legend):
        x = 2.0 + (0, 1.6, 4.2)[place]
        box(ax, x, 0.2, 0.26, 0.2, face=face, rounded=False, line=0.8)
        label(ax, x + 0.36, 0.3, text, size=9.5, ha="left")
    return figure


def draw_uncut_regions() -> Figure:
    """Two ranks with tensor parallelism: the MLP is cut, but norm and dropout hold the same numbers on both ranks."""
    figure, ax = canvas(8.6, 3.75)
    for x, text in ((1.55, "norm"), (3.85, "MLP, cut"), (6.75, "dropout")):
        label(ax, x, 3.5, text, size=11, bold=True)
    for rank in range(2):
        y = 2.05 - rank * 1.35
        label(ax, 0.2, y + 0.5, f"rank {rank}", size=10.5, ha="left")
        for x in (1.05, 6.25):
            box(ax, x, y, 1.0, 1.0, "all of it", face=UNCUT, size=10)
        box(ax, 3.5, y, 0.7, 1.0, "half", rank=rank, size=10)
        arrow(ax, (2.1, y + 0.5), (3.45, y + 0.5))
        arrow(ax, (4.25, y + 0.5), (4.75, y + 0.5))
        arrow(ax, (5.6, y + 0.5), (6.2, y + 0.5))
    box(ax, 4.8, 0.6, 0.75, 2.55, face=HIGHLIGHT, rounded=True)
    ax.text(
        5.175, 1.87, "all-reduce", rotation=90, ha="center", va="center", fontsize=10.5, fontweight="bold", zorder=6
    )
    for x in (1.55, 6.75):
        label(ax, x, 0.3, "✗ twice the same", size=10.5, colour=RED)
    label(ax, 3.85, 0.3, "✓ once", size=10.5, colour=GREEN)
    return figure


def draw_wrong_dim() -> Figure:
    """Two texts, a and b, on two ranks. Gathered along dim 1 they are whole; along dim 0 there are four short texts."""
    figure, ax = canvas(8.9, 2.55)
    label(ax, 0.2, 2.3, "shards: [2, 2]", size=11, bold=True, ha="left")
    label(ax, 2.9, 2.3, "gathered along dim 1: [2, 4]", size=11, bold=True, ha="left")
    label(ax, 6.0, 2.3, "along dim 0: [4, 2]", size=11, bold=True, ha="left")
    for rank in range(2):
        label(ax, 0.2, 1.62 - rank * 0.95, f"rank {rank}", size=9.5, ha="left")
        for row, text in enumerate("ab"):
            for k in range(2):
                name, high = f"{text}{2 * rank + k}", 1.62 - row * 0.36
                box(ax, 0.95 + k * 0.5, high - rank * 0.95, 0.5, 0.36, name, rank=rank)
                box(ax, 2.9 + (2 * rank + k) * 0.5, high, 0.5, 0.36, name, rank=rank)
                box(ax, 6.0 + k * 0.5, high - rank * 0.72, 0.5, 0.36, name, rank=rank)
    label(ax, 2.9, 0.95, "✓ the two texts", size=10.5, ha="left", colour=GREEN)
    label(ax, 7.15, 1.26, "✗ four texts:\na2 begins one,\nand does not\nsee a0", size=10, ha="left", colour=RED)
    return figure


def draw_waterfall() -> Figure:
    """What one of 8 ranks keeps of a GPT-3 layer: 13 sbh with tensor parallelism, 4.25 with sequence parallelism."""
    figure = Figure(facecolor="white")
    activation_memory.draw(figure)
    return figure
