"""Figures of chapter 12: whose bytes a checkpoint holds, how logits agree or do not, an all-reduce in shared memory."""

import random
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.figures.ch12_layer import paint_layer_map
from tplearn.show.style import (
    GREEN,
    GREY,
    HIGHLIGHT,
    INK,
    RED,
    arrow,
    box,
    canvas,
    label,
    legend_of_ranks,
)

WORDS, SHOWN = 1500, 260  # of a made-up vocabulary; dots drawn


def draw_byte_map() -> Figure:
    """The bytes of a layer's tensors, in the order of the file, and which of four ranks reads them."""
    figure, ax = canvas(10, 4.4)
    left, wide, high = 2.1, 5.6, 0.34
    label(ax, left, 4.15, "first byte of the tensor", ha="left", colour=GREY)
    label(ax, left + wide, 4.15, "last byte", ha="right", colour=GREY)
    strips = (
        ("embed_tokens", "rows: a run of words each", 1),
        ("q_proj", "rows: two heads each", 1),
        ("k_proj, v_proj", "rows: one KV head each", 1),
        ("gate_proj, up_proj", "rows, equal runs", 1),
        ("o_proj, down_proj", "columns: a bit of every row", 12),
    )
    for n, (name, note, rows) in enumerate(strips):
        y = 3.6 - 0.6 * n
        label(ax, left - 0.12, y + high / 2, name, ha="right")
        label(ax, left + wide + 0.15, y + high / 2, note, ha="left", size=9.5)
        run = wide / rows / 4
        for place in range(rows * 4):
            box(ax, left + place * run, y, run, high, rank=place % 4, line=1.1 if rows == 1 else 0.3)
    box(ax, left, 0.62, wide, high, "all ranks", face="#ffffff")
    label(ax, left - 0.12, 0.62 + high / 2, "norms", ha="right")
    label(ax, left + wide + 0.15, 0.62 + high / 2, "whole, on every rank", ha="left", size=9.5)
    legend_of_ranks(ax, left, 0.16, range(4), step=0.98)
    return figure


def draw_one_shot() -> Figure:
    """Two ranks, two buffers each that take turns: a fast rank writes into B while a slow one still reads A."""
    figure, ax = canvas(10, 3.0)
    lanes = {
        0: ((1.2, 1.0, "write A"), (2.3, 0.7, "flag 1"), (3.1, 1.1, "read both A"), (4.3, 1.0, "write B"))
        + ((5.4, 0.7, "flag 2"), (8.6, 1.2, "read both B")),
        1: ((1.2, 1.0, "write A"), (2.3, 0.7, "flag 1"), (3.1, 3.0, "read both A, slowly"), (6.2, 1.0, "write B"))
        + ((7.3, 0.7, "flag 2"), (8.6, 1.2, "read both B")),
    }
    for rank, steps in lanes.items():
        y = 2.3 - 1.2 * rank
        label(ax, 0.15, y + 0.25, f"rank {rank}", ha="left", bold=True)
        for x, width, text in steps:
            face = HIGHLIGHT if text.startswith("flag") else None
            box(ax, x, y, width, 0.5, text, rank=None if face else rank, face=face, size=9.5)
    box(ax, 6.2, 2.3, 2.3, 0.5, "waits for flag 2", face="#ffffff", dashed=True, size=9.5)
    arrow(ax, (7.65, 1.65), (7.65, 2.25))
    label(ax, 4.8, 1.95, "A is not touched: the second\nexchange has a buffer of its own", size=9.5, colour=GREEN)
    label(ax, 0.15, 0.6, "flag k: “my data of exchange k are there”, and also", ha="left")
    label(ax, 0.15, 0.28, "“I have read all of exchange k − 1”. So after flag 2 of all, A is free again.", ha="left")
    return figure


def draw_agreement() -> Figure:
    """Logits of a sharded model against the dense one's, made up: rounding, a small bug, a large one."""
    figure, ax = canvas(10, 4.0)
    chance = random.Random(0)
    dense = [chance.gauss(0, 2) for _ in range(WORDS)]
    best = max(range(WORDS), key=dense.__getitem__)
    small = [x + chance.gauss(0, 0.12) - 1.5 * (word == best) for word, x in enumerate(dense)]
    large = [0.75 * x + chance.gauss(0, 1.3) for x in dense]
    panels = (("rounding", dense, GREEN), ("a small bug", small, RED), ("a large bug", large, RED))
    for n, (title, other, colour) in enumerate(panels):
        x0, y0, size = 0.75 + 3.2 * n, 1.35, 2.2
        _scatter(ax, dense, other, best, (x0, y0), size)
        label(ax, x0 + size / 2, y0 + size + 0.18, title, bold=True)
        label(ax, x0 + size / 2, y0 - 0.17, "dense logit", size=9, colour=GREY)
        top = max(range(WORDS), key=other.__getitem__)
        overlap = len(set(_best(dense)) & set(_best(other)))
        mark = "top-1 ✓ the same word" if top == best else "top-1 ✗ another word"
        label(ax, x0, y0 - 0.48, f"PCC {_pcc(dense, other):.3f}", ha="left")
        label(ax, x0, y0 - 0.74, mark, ha="left", colour=colour if top != best else GREEN)
        label(ax, x0, y0 - 1.0, f"top-100 overlap: {overlap}", ha="left")
    ax.text(0.4, 2.45, "sharded logit", fontsize=9, color=GREY, rotation=90, ha="center", va="center")
    return figure


def _scatter(ax: Axes, dense: Sequence[float], other: Sequence[float], best: int, corner: tuple, size: float) -> None:
    """A square with the words as dots, the diagonal, and a ring around the dense model's best word."""
    reach = 8.0

    def place(value: float, start: float) -> float:
        return start + size * (value + reach) / (2 * reach)

    box(ax, *corner, size, size, face="#ffffff")
    ends = [corner[0], corner[0] + size], [corner[1], corner[1] + size]
    ax.plot(*ends, color=GREY, linewidth=0.8, linestyle="--", zorder=3)
    words = [*range(SHOWN), best]
    xs, ys = [place(dense[w], corner[0]) for w in words], [place(other[w], corner[1]) for w in words]
    ax.plot(xs, ys, ".", color=INK, markersize=2.2, zorder=4)
    ax.plot(xs[-1:], ys[-1:], "o", markerfacecolor="none", markeredgecolor=RED, markersize=9, zorder=4)


def _best(logits: Sequence[float]) -> list[int]:
    return sorted(range(WORDS), key=logits.__getitem__)[-100:]


def _pcc(a: Sequence[float], b: Sequence[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    da, db = [x - mean_a for x in a], [x - mean_b for x in b]
    product = sum(x * y for x, y in zip(da, db, strict=True))
    return product / (sum(x * x for x in da) * sum(y * y for y in db)) ** 0.5


def draw_layer_map() -> Figure:
    """A layer of Llama-3.1-8B: the rows and columns that rank 1 of 4 reads."""
    figure = Figure(facecolor="white")
    paint_layer_map(figure, model="Llama-3.1-8B", tp=4, rank=1)
    return figure
