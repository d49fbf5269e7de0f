"""The look that all pictures share: one colour and one hatch per rank, boxes that carry their own labels, stable SVG.

Units are inches: `canvas(8, 3)` is 8 inches wide, and `box(ax, 1, 1, 2, 0.5)` is a box 2 inches wide whose lower left
corner stands one inch from the left and one inch from the bottom.
"""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

Point = tuple[float, float]
Arguments = ParamSpec("Arguments")
Part = Callable[Concatenate[Axes, Arguments], None]  # of a drawing

INK = "#1b1f24"  # text and outlines
GREY = "#6b7280"  # secondary text, arrows
LIGHT = "#f1f3f5"  # a tensor that belongs to no single rank
RED = "#b3261e"  # what is wrong; always together with a word or a cross
GREEN = "#1b7f4b"  # what is right; always together with a word or a tick
HIGHLIGHT = "#fff3bf"  # communication: the place where ranks talk

# Tints of Okabe and Ito's colour-blind safe palette; the hatch says the same in greyscale.
RANK_COLOURS = ("#a9d3f0", "#ffd699", "#9fdcc4", "#eebad7", "#f5ee9e", "#c5c9f2", "#f3b79b", "#d5d9dd")
RANK_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "+++", "|||")
FONT = "DejaVu Sans"  # comes with matplotlib, so a drawing is the same on every machine
MIN_POINTS = 9.0

_RC = {"svg.hashsalt": "tplearn", "svg.fonttype": "path", "hatch.linewidth": 0.6, "font.family": FONT}


def rank_colour(rank: int) -> str:
    """The fill colour of a rank; ranks 8 and up start over."""
    return RANK_COLOURS[rank % len(RANK_COLOURS)]


def rank_hatch(rank: int) -> str:
    """The hatch of a rank: the same distinction as the colour, for eyes and printers without colour."""
    return RANK_HATCHES[rank % len(RANK_HATCHES)]


def canvas(width: float, height: float, figure: Figure | None = None) -> tuple[Figure, Axes]:
    """An empty drawing of `width` × `height` inches, axes in inches; reuses (and clears) `figure` where given."""
    figure = figure or Figure(facecolor="white")
    figure.set_size_inches(width, height)
    if not figure.axes:
        figure.add_axes((0.0, 0.0, 1.0, 1.0)).axis("off")
    ax = figure.axes[0]
    for old in (*ax.texts, *ax.artists, *ax.patches, *ax.lines, *ax.collections):
        old.remove()  # not ax.clear(), which would make new ticks: half the time of a redraw
    ax.set(xlim=(0, width), ylim=(0, height))
    return figure, ax


def repeatable(draw: Part) -> Part:
    """For a part that follows from its arguments alone: a Sheet keeps what it drew. On Axes nothing changes."""

    @wraps(draw)
    def drawn(ax: Axes, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if (repeat := getattr(ax, "repeat", None)) is not None:
            repeat(draw, *args, **kwargs)
        else:
            draw(ax, *args, **kwargs)

    return drawn


@repeatable
def label(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 10.0,
    colour: str = INK,
    bold: bool = False,
    mono: bool = False,
    ha: str = "center",
    va: str = "center",
    backed: bool = False,
) -> None:
    """Text at (x, y). `backed` puts a white plate under it, for text on a hatch or across a line."""
    if size < MIN_POINTS:
        raise ValueError(f"size = {size} points is too small to read; sizes that work: {MIN_POINTS} and up")
    ax.text(
        x,
        y,
        text,
        fontsize=size,
        color=colour,
        ha=ha,
        va=va,
        fontweight="bold" if bold else "normal",
        fontfamily="DejaVu Sans Mono" if mono else FONT,
        linespacing=1.3,
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85} if backed else None,
    )


@repeatable
def box(
    ax: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str = "",
    *,
    rank: int | None = None,
    face: str | None = None,
    edge: str = INK,
    size: float = 10.0,
    bold: bool = False,
    dashed: bool = False,
    rounded: bool = False,
    line: float = 1.1,
    colour: str = INK,
) -> None:
    """A box with its label inside. `rank` gives that rank's colour and hatch, otherwise `face` counts."""
    fill = face or (LIGHT if rank is None else rank_colour(rank))
    style = {"facecolor": fill, "edgecolor": edge, "linewidth": line, "linestyle": "--" if dashed else "-", "zorder": 2}
    if rounded:
        shape = FancyBboxPatch((x + 0.06, y + 0.06), width - 0.12, height - 0.12, boxstyle="round,pad=0.06", **style)
    else:
        shape = Rectangle((x, y), width, height, **style)
    hatch = "" if rank is None else rank_hatch(rank)
    ax.add_artist(shape)  # add_artist, not add_patch: no data limits to update, which halves the time of a redraw
    if hatch:  # matplotlib gives a hatch the edge's colour, so it is drawn as its own, softer patch
        soft = {"edgecolor": "#00000055", "linewidth": 0, "zorder": 2}
        ax.add_artist(Rectangle((x, y), width, height, fill=False, hatch=hatch, **soft))
    if text:
        label(ax, x + width / 2, y + height / 2, text, size=size, bold=bold, colour=colour, backed=bool(hatch))


@repeatable
def arrow(
    ax: Axes,
    start: Point,
    end: Point,
    text: str = "",
    *,
    colour: str = GREY,
    size: float = 9.5,
    bend: float = 0.0,
    both: bool = False,
    dashed: bool = False,
    offset: Point = (0.0, 0.14),
) -> None:
    """An arrow from `start` to `end`, with `text` at its middle, moved by `offset`; `bend` curves it."""
    ax.add_artist(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="<|-|>" if both else "-|>",
            mutation_scale=11,
            color=colour,
            linewidth=1.3,
            linestyle="--" if dashed else "-",
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=0,
            shrinkB=0,
            zorder=4,
        )
    )
    if text:
        x, y = (start[0] + end[0]) / 2 + offset[0], (start[1] + end[1]) / 2 + offset[1]
        label(ax, x, y, text, size=size, colour=colour)


def legend_of_ranks(ax: Axes, x: float, y: float, ranks: Sequence[int], step: float = 0.95) -> None:
    """A row of small boxes "rank 0", "rank 1", ... that starts at (x, y)."""
    for place, rank in enumerate(ranks):
        box(ax, x + place * step, y, 0.26, 0.2, rank=rank)
        label(ax, x + place * step + 0.32, y + 0.1, f"rank {rank}", size=9.5, ha="left")


def save_svg(figure: Figure, path: str | Path, title: str) -> None:
    """Write `figure` as SVG: the same bytes for the same drawing, with `title` as its text for screen readers."""
    with mpl.rc_context(_RC):
        figure.savefig(path, format="svg", metadata={"Title": title, "Date": None, "Creator": None}, facecolor="white")


def png_bytes(figure: Figure, dpi: int = 80) -> bytes:
    """`figure` as PNG bytes, drawn with Agg: no window, no pyplot state."""
    with mpl.rc_context(_RC), io.BytesIO() as stream:
        figure.set_dpi(dpi)
        FigureCanvasAgg(figure).print_png(stream, pil_kwargs={"compress_level": 1})
        return stream.getvalue()
