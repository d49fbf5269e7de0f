"""Figures of chapter 08: which rank computes which heads, a fused weight cut three ways, the gradient of a copied head.

Heads are drawn to one scale, so a KV head is as wide as the query heads that use it, and a rank as wide as its own.
"""

import textwrap
from fractions import Fraction

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tplearn.parallel.heads import HeadRange, head_range
from tplearn.show.style import GREEN, GREY, HIGHLIGHT, INK, RED, arrow, box, canvas, label

LEFT, WIDTH = 1.45, 8.3
KV_ROW, QUERY_ROW, RANK_ROW = 2.85, 2.05, 0.75
ROWS = ("q0", "q1", "q2", "q3", "k0", "k1", "v0", "v1")


def draw_heads_apart() -> Figure:
    """8 query heads and 4 KV heads on 2 ranks: each rank has four query heads and the two KV heads that they use."""
    figure = Figure(facecolor="white")
    paint_head_map(figure, heads=8, kv_heads=4, tp=2)
    return figure


def draw_head_map() -> Figure:
    """8 query heads and 2 KV heads on 4 ranks: two query heads a rank, and each KV head is held by two ranks."""
    figure = Figure(facecolor="white")
    paint_head_map(figure, heads=8, kv_heads=2, tp=4)
    return figure


def draw_head_map_refused() -> Figure:
    """12 query heads and 3 KV heads on 2 ranks: the cut goes through the middle of KV head 1, and is refused."""
    figure = Figure(facecolor="white")
    paint_head_map(figure, heads=12, kv_heads=3, tp=2)
    return figure


def paint_head_map(figure: Figure, *, heads: int, kv_heads: int, tp: int) -> str:
    """Draw which of `tp` ranks computes which heads, or where the cut fails; return it in words."""
    _, ax = canvas(10, 3.7, figure)
    unit = WIDTH / heads
    label(ax, 0.15, QUERY_ROW + 0.2, "query heads", ha="left", bold=True)
    box(ax, LEFT, QUERY_ROW, WIDTH, 0.4)
    ax.add_artist(_lines([LEFT + n * unit for n in range(1, heads)], QUERY_ROW, QUERY_ROW + 0.4))
    for head in range(0, heads, 1 if heads <= 12 else 4):
        label(ax, LEFT + (head + 0.5) * unit, QUERY_ROW + 0.2, str(head), size=9)
    try:
        ranges = [head_range(heads, kv_heads, rank, tp) for rank in range(tp)]
    except ValueError as error:
        return _refuse(ax, heads, kv_heads, tp, str(error))
    copies = ranges[0].kv_copies
    _kv_heads(ax, kv_heads, f"\n{copies} copies" if copies > 1 else "")
    label(ax, 0.15, RANK_ROW + 0.45, "ranks", ha="left", bold=True)
    for rank, own in enumerate(ranges):
        left, right = (LEFT + head * unit for head in own.queries)
        text = f"rank {rank}\nq {_span(own.queries)}\nKV {_span(own.keys)}"
        box(ax, left + 0.03, RANK_ROW, right - left - 0.06, 0.9, text, rank=rank, size=9.5)
    words = _in_words(ranges[0], kv_heads)
    label(ax, LEFT, 0.36, words, ha="left")
    owners = "; ".join(f"rank {r}: query {_span(o.queries)}, KV {_span(o.keys)}" for r, o in enumerate(ranges))
    return f"{heads} query heads, {kv_heads} KV heads, tp = {tp}. {owners}. {words[0].upper()}{words[1:]}."


def _kv_heads(ax: Axes, kv_heads: int, note: str = "") -> None:
    """Boxes over the query heads that use them; the names stand at the left, clear of any cut through the middle."""
    label(ax, 0.15, KV_ROW + 0.25, "KV heads", ha="left", bold=True)
    wide = WIDTH / kv_heads
    for head in range(kv_heads):
        box(ax, LEFT + head * wide + 0.02, KV_ROW, wide - 0.04, 0.5, face="#ffffff")
        label(ax, LEFT + head * wide + 0.12, KV_ROW + 0.25, f"KV {head}{note}", size=9.5, ha="left")


def _in_words(own: HeadRange, kv_heads: int) -> str:
    """What one rank has: "each rank: 2 query heads, 1 KV head, 1/2 of the KV cache"."""
    queries, keys = (stop - start for start, stop in (own.queries, own.keys))
    share = Fraction(keys, kv_heads)
    cache = "all of the KV cache" if share == 1 else f"{share} of the KV cache"
    waste = f", which is kept {own.kv_copies} times" if own.kv_copies > 1 else ""
    return f"each rank: {_count(queries, 'query head')}, {_count(keys, 'KV head')}, {cache}{waste}"


def _refuse(ax: Axes, heads: int, kv_heads: int, tp: int, reason: str) -> str:
    """The cuts in red, and the reason that the layer itself would give."""
    if heads % kv_heads == 0:
        _kv_heads(ax, kv_heads)
    cuts = [LEFT + WIDTH * rank / tp for rank in range(1, tp)]
    ax.add_artist(_lines(cuts, QUERY_ROW - 0.3, KV_ROW + 0.7, RED))
    label(ax, 0.15, RANK_ROW + 0.45, "refused ✗", ha="left", bold=True, colour=RED)
    label(ax, LEFT, RANK_ROW + 0.45, "\n".join(textwrap.wrap(reason, 104)), ha="left", colour=RED)
    label(ax, LEFT, 0.36, "dashed: where the ranks would be cut", ha="left", colour=RED)
    return f"{heads} query heads, {kv_heads} KV heads, tp = {tp}: refused. {reason}."


def _lines(xs: list[float], low: float, high: float, colour: str = INK) -> LineCollection:
    """Vertical lines as one artist; dashed and thick where they are red."""
    width, style, z = (2.2, "--", 6) if colour == RED else (0.8, "-", 3)
    lines = [((x, low), (x, high)) for x in xs]
    return LineCollection(lines, colors=colour, linewidths=width, linestyles=style, zorder=z)


def _span(heads: tuple[int, int]) -> str:
    first, stop = heads
    return str(first) if stop == first + 1 else f"{first}–{stop - 1}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' if number > 1 else ''}"


def draw_fused_cut() -> Figure:
    """A fused QKV weight of 4 query heads and 2 KV heads on 2 ranks, cut as one block, by heads, and by head_dim."""
    figure, ax = canvas(10, 4.0)
    by_block, by_heads = (0, 0, 0, 0, 1, 1, 1, 1), (0, 0, 1, 1, 0, 1, 0, 1)
    left, wide = 2.0, 0.7
    label(ax, 0.15, 3.6, "the fused weight", ha="left", bold=True)
    for n, name in enumerate(ROWS):
        box(ax, left + n * wide, 3.38, wide - 0.05, 0.45, name)
    for y, title, owners in ((2.55, "cut as one block", by_block), (1.65, "cut by heads", by_heads)):
        label(ax, 0.15, y + 0.22, title, ha="left", bold=True)
        for n, (name, rank) in enumerate(zip(ROWS, owners, strict=True)):
            box(ax, left + n * wide, y, wide - 0.05, 0.45, name, rank=rank)
    label(ax, 0.15, 0.97, "cut by head_dim", ha="left", bold=True)
    for n, name in enumerate(ROWS):
        box(ax, left + n * wide, 0.97, wide - 0.05, 0.32, name, rank=0, size=9)
        box(ax, left + n * wide, 0.62, wide - 0.05, 0.32, name, rank=1, size=9)
    notes = (
        (2.77, "✗ rank 0 has no keys,\n    rank 1 no queries", RED),
        (1.87, "✓ queries meet\n    their own KV head", GREEN),
        (0.97, "✗ half of every head:\n    scores are partials", RED),
    )
    for y, text, colour in notes:
        label(ax, 7.75, y, text, ha="left", colour=colour)
    for rank in range(2):
        box(ax, left + 1.6 * rank, 0.15, 0.3, 0.24, rank=rank)
        label(ax, left + 0.4 + 1.6 * rank, 0.27, f"rank {rank}", ha="left")
    return figure


def draw_kv_gradients() -> Figure:
    """Ranks 0 and 1 hold a copy of KV head 0. Each copy's gradient is a partial; their sum is the dense gradient."""
    figure, ax = canvas(10, 2.9)
    for rank in range(2):
        y = 1.75 - 1.25 * rank
        label(ax, 0.15, y + 0.3, f"rank {rank}", ha="left", bold=True)
        for n in range(2):
            box(ax, 1.1 + 0.75 * n, y, 0.65, 0.6, f"q{2 * rank + n}", rank=rank)
        box(ax, 3.55, y, 1.5, 0.6, "a copy of\nKV 0", rank=rank, size=9.5)
        arrow(ax, (2.55, y + 0.3), (3.5, y + 0.3), "backward", offset=(0, 0.17))
        arrow(ax, (5.1, y + 0.3), (5.95, y + 0.3), f"from\nq{2 * rank}, q{2 * rank + 1}", offset=(0, 0.32), size=9)
        arrow(ax, (7.3, y + 0.3), (8.1, y + 0.3), colour=GREY)
        box(ax, 8.15, y, 1.7, 0.6, "dK, dV of KV 0,\nfinished", rank=rank, size=9.5)
    box(ax, 6.0, 0.4, 1.25, 2.05, face=HIGHLIGHT, rounded=True)
    label(ax, 6.625, 1.42, "all-reduce\namong the\ncopies", bold=True)
    return figure
