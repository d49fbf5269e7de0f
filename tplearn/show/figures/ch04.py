"""Chapter 04's pictures: one boss or a ring, the ring step by step, and the map of states."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tplearn.show.style import GREY, HIGHLIGHT, INK, LIGHT, Point, arrow, box, canvas, label, rank_colour, rank_hatch

Cells = tuple[tuple[frozenset[int], ...], ...]  # cells[rank][chunk]: the ranks whose numbers are in it
Corners = tuple[Point, Point, Point, Point]


@dataclass(frozen=True)
class Moment:
    """The ring after some steps: what every rank holds, and which chunk each rank sent to get there."""

    name: str
    cells: Cells
    sent: tuple[int, ...]  # sent[rank]: the chunk that rank sent in this step; empty at the start


def ring_history(p: int) -> list[Moment]:
    """The 2 (p − 1) + 1 moments of a ring all-reduce, in which rank r finishes chunk r (`tplearn.simulated.ring`)."""
    cells = [[frozenset({rank}) for _ in range(p)] for rank in range(p)]
    moments = [Moment("start", tuple(map(tuple, cells)), ())]
    for phase, first in (("reduce-scatter", -1), ("all-gather", 0)):
        for step in range(p - 1):
            sent = [(rank + first - step) % p for rank in range(p)]
            arriving = [cells[rank][sent[rank]] for rank in range(p)]
            for rank in range(p):
                target, chunk = (rank + 1) % p, sent[rank]
                cells[target][chunk] = cells[target][chunk] | arriving[rank]
            moments.append(Moment(f"{phase} {step + 1}", tuple(map(tuple, cells)), tuple(sent)))
    return moments


def _corners(x: float, y: float, width: float, height: float) -> Corners:
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def place_moment(
    ax: Axes, moment: Moment, x: float, y: float, segment: float, height: float, gap: float, hatched: bool = True
) -> None:
    """One moment, its lower left corner at (x, y): a column per rank, a row per chunk, arrows for what was sent.

    A cell has one segment per rank whose partial it holds, with that rank's colour, hatch and number; a finished sum
    gets a thick outline. Without hatches it is fast enough for a slider: a handful of artists for each rank.
    """
    p = len(moment.cells)
    cell = p * segment
    segments: list[list[Corners]] = [[] for _ in range(p)]
    outlines: dict[bool, list[Corners]] = {True: [], False: []}  # finished or not
    for rank, column in enumerate(moment.cells):
        left = x + rank * (cell + gap)
        label(ax, left + cell / 2, y + p * height + 0.16, f"rank {rank}", size=9.5)
        for chunk, ranks in enumerate(column):
            bottom = y + (p - 1 - chunk) * height
            outlines[len(ranks) == p].append(_corners(left, bottom + 0.05, cell, height - 0.1))
            for member in ranks:
                segments[member].append(_corners(left + member * segment, bottom + 0.05, segment, height - 0.1))
    for member, rectangles in enumerate(segments):
        ax.add_artist(PolyCollection(rectangles, facecolor=rank_colour(member), edgecolor="none", zorder=2))
        middles = [((x0 + x1) / 2, (y0 + y1) / 2) for (x0, y0), _, (x1, y1), _ in rectangles]
        if not hatched:  # one line of markers in the shape of a digit: much faster than as many texts
            digits = {"marker": f"${member}$", "markersize": 6.5, "markeredgewidth": 0.2, "linestyle": ""}
            ax.add_artist(Line2D(*zip(*middles, strict=True), color=INK, zorder=5, **digits))
            continue
        for place in middles:
            label(ax, *place, str(member), size=9, backed=True)
        if rank_hatch(member):
            soft = {"facecolor": "none", "edgecolor": "#00000055", "linewidth": 0.0, "zorder": 3}
            ax.add_artist(PolyCollection(rectangles, hatch=rank_hatch(member), **soft))
    for finished, rectangles in outlines.items():
        line = 2.6 if finished else 0.8
        ax.add_artist(PolyCollection(rectangles, facecolor="none", edgecolor=INK, linewidth=line, zorder=4))
    for rank, chunk in enumerate(moment.sent):
        middle = y + (p - 1 - chunk) * height + height / 2
        right = x + rank * (cell + gap) + cell
        arrow(ax, (right + 0.03, middle), (right + gap - 0.03, middle), colour=INK)
        if rank == p - 1:  # the last rank's wire leads back to the first
            arrow(ax, (x - gap + 0.03, middle), (x - 0.03, middle), colour=INK)


def draw_ring_steps() -> Figure:
    """A ring all-reduce on 3 ranks in four steps: two of reduce-scatter, then two of all-gather."""
    figure, ax = canvas(11.4, 2.75)
    p, segment, height, gap, between = 3, 0.17, 0.42, 0.16, 0.42
    width = p * p * segment + (p - 1) * gap
    for number, moment in enumerate(ring_history(p)):
        x = 0.3 + number * (width + between)
        label(ax, x + width / 2, 2.5, moment.name, size=10.5, bold=True)
        place_moment(ax, moment, x, 0.75, segment, height, gap)
    label(
        ax,
        5.7,
        0.38,
        "A row is a chunk; the numbers in a cell say whose partials it holds. Thick outline: the finished sum.",
        size=9.5,
    )
    label(
        ax, 5.7, 0.14, "An arrow that leaves rank 2 on the right arrives at rank 0 on the left.", size=9.5, colour=GREY
    )
    return figure


def draw_star_or_ring() -> Figure:
    """Two ways to sum on four ranks, without their cost: all to rank 0 and back; or a ring, one chunk at a time."""
    figure, ax = canvas(9.0, 3.2)
    label(ax, 2.2, 2.95, "all to rank 0 and back", size=11, bold=True)
    box(ax, 1.65, 1.9, 1.1, 0.55, "rank 0", rank=0, bold=True)
    for rank, x in ((1, 0.25), (2, 1.65), (3, 3.05)):
        box(ax, x, 0.45, 1.1, 0.55, f"rank {rank}", rank=rank)
        arrow(ax, (x + 0.55, 1.03), (2.2 + (rank - 2) * 0.32, 1.87), both=True)
    label(ax, 2.2, 0.17, "whole tensors", size=10)
    label(ax, 6.7, 2.95, "round a ring", size=11, bold=True)
    for rank, (x, y) in {0: (5.0, 1.9), 1: (7.3, 1.9), 2: (7.3, 0.45), 3: (5.0, 0.45)}.items():
        box(ax, x, y, 1.1, 0.55, f"rank {rank}", rank=rank)
    arrow(ax, (6.13, 2.175), (7.27, 2.175))
    arrow(ax, (7.85, 1.87), (7.85, 1.03))
    arrow(ax, (7.27, 0.725), (6.13, 0.725))
    arrow(ax, (5.55, 1.03), (5.55, 1.87))
    label(ax, 6.7, 0.17, "a chunk at a time, all wires at once", size=10)
    return figure


def _state(ax: Axes, x: float, y: float, name: str, meaning: str) -> None:
    box(ax, x, y, 2.5, 1.55, face="#ffffff", rounded=True)
    label(ax, x + 1.25, y + 1.32, name, size=11, bold=True)
    label(ax, x + 1.25, y + 0.2, meaning, size=9.5)


def _price(ax: Axes, x: float, y: float, text: str, free: bool = False) -> None:
    """What the arrow under it costs, on a plate that covers the line."""
    plate = {"facecolor": LIGHT if free else HIGHLIGHT, "edgecolor": "none", "pad": 4.0}
    ax.text(x, y, text, fontsize=9.5, color=INK, ha="center", va="center", linespacing=1.3, zorder=6, bbox=plate)


def draw_states() -> Figure:
    """The map of states Partial, Shard and Replicate, with the collective and its bytes on every arrow."""
    figure, ax = canvas(9.6, 5.0)
    _state(ax, 0.3, 3.2, "Partial()", "add to get the whole")
    for rank in (0, 1):
        box(ax, 0.62 + rank * 1.12, 3.6, 0.75, 0.7, f"X{'₀₁'[rank]}", rank=rank)
    label(ax, 1.555, 3.95, "+", size=13, bold=True)
    _state(ax, 6.8, 3.2, "Replicate()", "any one is the whole")
    for rank in (0, 1):
        box(ax, 7.12 + rank * 1.12, 3.6, 0.75, 0.7, "X", rank=rank)
    label(ax, 8.055, 3.95, "=", size=13, bold=True)
    _state(ax, 3.55, 0.35, "Shard(1)", "put side by side: the whole")
    for rank in (0, 1):
        box(ax, 4.25 + rank * 0.7, 0.75, 0.4, 0.7, "X", rank=rank)
    label(ax, 4.8, 1.1, "|", size=13, bold=True)
    arrow(ax, (2.9, 4.2), (6.7, 4.2), colour=INK)
    _price(ax, 4.75, 4.2, "all_reduce\n2 (p − 1)/p · n")
    arrow(ax, (6.7, 3.55), (2.9, 3.55), colour=GREY, dashed=True)
    _price(ax, 4.75, 3.55, "keep_one\n0 bytes", free=True)
    arrow(ax, (1.9, 3.1), (3.9, 1.95), colour=INK)
    _price(ax, 2.95, 2.5, "reduce_scatter\n(p − 1)/p · n")
    arrow(ax, (3.45, 1.0), (0.8, 3.1), colour=GREY, dashed=True, bend=-0.35)
    _price(ax, 1.1, 1.65, "keep_one\n0 bytes", free=True)
    arrow(ax, (5.7, 1.95), (7.7, 3.1), colour=INK)
    _price(ax, 6.65, 2.5, "all_gather\n(p − 1)/p · n")
    arrow(ax, (8.8, 3.1), (6.15, 1.0), colour=GREY, dashed=True, bend=-0.35)
    _price(ax, 8.5, 1.65, "slice\n0 bytes", free=True)
    label(ax, 8.3, 0.5, "Shard(0) → Shard(1):\nall_to_all", size=9.5)
    label(ax, 1.6, 0.5, "n: bytes of the whole tensor.\nSolid: talk. Dashed: nobody talks.", size=9.5)
    return figure
