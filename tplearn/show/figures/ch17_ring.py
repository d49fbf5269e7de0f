"""Figures of chapter 17's context parallelism: who computes which block of causal attention."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from tplearn.parallel.context import own_chunks
from tplearn.show.style import GREY, INK, canvas, label, legend_of_ranks, rank_colour, rank_hatch

RANKS = 4
CELL = 0.3


def owners(p: int, zigzag: bool) -> list[int]:
    """The rank that has each of 2p chunks of a sequence: two neighbours, or the r-th from both ends."""
    if not zigzag:
        return [chunk // 2 for chunk in range(2 * p)]
    return [next(rank for rank in range(p) if chunk in own_chunks(rank, p)) for chunk in range(2 * p)]


def work(owner: list[int]) -> list[float]:
    """Blocks that each rank computes; one on the diagonal is half a block."""
    ranks = range(max(owner) + 1)
    return [sum(chunk + 0.5 for chunk, has in enumerate(owner) if has == rank) for rank in ranks]


def draw_zigzag() -> Figure:
    """Causal attention in blocks on four ranks: cut in runs they compute 2, 6, 10 and 14; in a zigzag 8 each."""
    figure, ax = canvas(8.6, 3.9)
    for x, zigzag, name in ((0.75, False, "runs of neighbours"), (5.1, True, "zigzag")):
        owner = owners(RANKS, zigzag)
        label(ax, x + RANKS * CELL, 3.68, name, bold=True)
        for query, rank in enumerate(owner):
            _row(ax, x, 3.15 - query * CELL, query, rank)
        told = "  ".join(f"{count:g}" for count in work(owner))
        label(ax, x + RANKS * CELL, 0.68, f"blocks by rank: {told}", bold=True)
    label(ax, 2.75, 2.75, "row: a chunk of queries\ncolumn: a chunk of keys", size=9.5, colour=GREY)
    legend_of_ranks(ax, 2.4, 0.12, range(RANKS))
    return figure


def _row(ax: Axes, x: float, y: float, query: int, rank: int) -> None:
    """The blocks of one chunk of queries: whole for earlier keys, half for its own."""
    label(ax, x - 0.1, y + CELL / 2, f"rank {rank}", size=9, ha="right")
    for key in range(query + 1):
        left = x + key * CELL
        corners = [(left, y), (left, y + CELL), (left + CELL, y), (left + CELL, y + CELL)]
        shape = corners[:3] if key == query else [corners[0], corners[1], corners[3], corners[2]]
        style = {"facecolor": rank_colour(rank), "edgecolor": INK, "linewidth": 0.7}
        ax.add_artist(Polygon(shape, hatch=rank_hatch(rank), **style))
