"""Chapter 10's pictures: an all-reduce pulled apart, what each rank holds, and the memory that is saved."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.style import GREEN, GREY, HIGHLIGHT, INK, RED, arrow, box, canvas, label
from tplearn.show.widgets import activation_memory
from tplearn.show.widgets.activation_memory import CUT, UNCUT

WIDTHS = {"row cut": 1.05, "column cut": 1.15, "all-reduce": 2.6, "reduce-scatter": 1.35, "all-gather": 1.25}
TALK = ("all-reduce", "reduce-scatter", "all-gather")


def draw_open_all_reduce() -> Figure:
    """An all-reduce pulled apart: what stands behind it moves into the middle, between its two halves."""
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


def draw_regions() -> Figure:
    """Two ranks. Left, tensor parallel: both hold all tokens outside the MLP. Right: each rank holds its own half."""
    figure, ax = canvas(10.0, 4.1)
    for left, title, cut in ((0.2, "tensor parallel", False), (5.2, "tensor + sequence parallel", True)):
        label(ax, left, 3.88, title, size=12, bold=True, ha="left")
        for x, text in ((0.95, "norm"), (2.45, "MLP, cut"), (3.95, "dropout")):
            label(ax, left + x, 3.5, text, size=10, bold=True)
        for rank in range(2):
            y = 2.05 - rank * 1.35
            label(ax, left, y + 0.5, f"rank\n{rank}", size=9.5, ha="left")
            for x in (0.6, 3.6):
                _tokens(ax, left + x, y, rank, cut)
            box(ax, left + 2.2, y, 0.5, 1.0, rank=rank)
            if not cut:
                arrow(ax, (left + 1.33, y + 0.5), (left + 2.17, y + 0.5))
        for x, talk in ((1.45, "all-gather"), (2.85, "reduce-scatter")) if cut else ((2.85, "all-reduce"),):
            box(ax, left + x, 0.6, 0.6, 2.55, face=HIGHLIGHT, rounded=True)
            ax.text(
                left + x + 0.3,
                1.87,
                talk,
                rotation=90,
                ha="center",
                va="center",
                fontsize=10,
                fontweight="bold",
                color=INK,
                zorder=6,
            )
    label(ax, 0.2, 0.25, "✗ outside the MLP every token twice", size=10.5, ha="left", colour=RED)
    label(ax, 5.2, 0.25, "✓ every token once, and the same bytes on the wire", size=10.5, ha="left", colour=GREEN)
    return figure


def _tokens(ax: Axes, x: float, y: float, rank: int, cut: bool) -> None:
    """Four tokens, top to bottom; with `cut` only those of the rank are there."""
    for token in range(4):
        owner = token // 2
        here = not cut or owner == rank
        style = {"rank": owner} if here else {"face": "white", "edge": GREY, "dashed": True, "line": 0.7}
        box(ax, x, y + 0.75 - token * 0.25, 0.7, 0.25, **style)


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
