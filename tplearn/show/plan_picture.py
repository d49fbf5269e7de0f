"""A plan as a picture: what fills the memory of each layout's fullest accelerator, and the roofline of every wire.

A roof is min(what matmuls reach, intensity · the wire's bandwidth), intensity being the FLOPs that an accelerator
computes for each byte that it moves over that wire. Left of the bend the wire takes longer than the compute.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.style import GREY, INK, RED, png_bytes, rank_colour, rank_hatch, save_svg

ROOFS = ("-", "--", ":")
MARKS = "osD^vP"
KINDS = (".png", ".svg")


@dataclass(frozen=True)
class Bar:
    """A layout: bytes by part. Every bar has the same parts, in the same order."""

    name: str
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Wire:
    """What bytes go over: the memory, the links of a node, the network. bandwidth: bytes/s that programs reach."""

    name: str
    bandwidth: float


@dataclass(frozen=True)
class Point:
    """Work of the best layout: FLOPs for each byte that it moves over a wire, which is named by its place."""

    name: str
    wire: int
    intensity: float


def plan_picture(
    title: str, bars: Sequence[Bar], capacity: float, flops: float, wires: Sequence[Wire], points: Sequence[Point]
) -> Figure:
    """capacity: bytes; flops: FLOP/s that matmuls reach. Raises ValueError for more than 3 wires, or no bar."""
    if not bars or len(wires) > len(ROOFS):
        raise ValueError(
            f"{len(bars)} bars and {len(wires)} wires cannot be drawn; 1 bar or more and 1 to 3 wires work"
        )
    with mpl.rc_context({"hatch.linewidth": 0.6}):
        figure = Figure(figsize=(12, 4.6), facecolor="white", layout="constrained")
        figure.suptitle(title, fontsize=12, fontweight="bold", color=INK)
        memory, roofline = figure.subplots(1, 2, width_ratios=(1, 1))
        _draw_memory(memory, bars, capacity)
        _draw_roofline(roofline, flops, wires, points)
    return figure


def save_picture(figure: Figure, path: Path, title: str, description: str) -> None:
    """Writes .png or .svg, with its title and, in a .png, a description for screen readers.

    Raises ValueError for another kind of file.
    """
    if path.suffix.lower() not in KINDS:
        raise ValueError(f"{path}: kinds of picture that work: {', '.join(KINDS)}")
    if path.suffix.lower() == ".svg":
        save_svg(figure, path, f"{title}. {description}")
        return
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text("Title", title)
    text.add_text("Description", description)
    Image.open(io.BytesIO(png_bytes(figure, dpi=130))).save(path, pnginfo=text)


def _draw_memory(ax: Axes, bars: Sequence[Bar], capacity: float) -> None:
    left = np.zeros(len(bars))
    for place, part in enumerate(bars[0].parts):
        sizes = np.array([bar.parts[part] for bar in bars]) / 1e9
        if not sizes.any():
            continue
        style = {"color": rank_colour(place), "hatch": rank_hatch(place), "edgecolor": "#00000088", "linewidth": 0.8}
        ax.barh(range(len(bars)), sizes, left=left, height=0.6, label=part, **style)
        left += sizes
    ax.axvline(capacity / 1e9, color=RED, linewidth=1.6, linestyle="--", label=f"there are {capacity / 1e9:.0f} GB")
    for row, total in enumerate(left):
        ax.text(total + capacity / 4e10, row, f"{total:.0f}", va="center", fontsize=9, color=INK)
    ax.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12 * max(capacity / 1e9, *left))
    ax.set_xlabel("GB on the fullest accelerator", color=GREY)
    ax.set_title("memory", fontsize=10, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.45, -0.16))


def _draw_roofline(ax: Axes, flops: float, wires: Sequence[Wire], points: Sequence[Point]) -> None:
    bends = [flops / wire.bandwidth for wire in wires]
    least = min([*bends, *(point.intensity for point in points)]) / 4
    most = max([*bends, *(point.intensity for point in points)]) * 4
    x = np.geomspace(least, most, 200)
    for wire, line in zip(wires, ROOFS, strict=False):
        roof = np.minimum(flops, x * wire.bandwidth) / 1e12
        name = f"{wire.name}, {wire.bandwidth / 1e9:,.0f} GB/s"
        ax.loglog(x, roof, line, color=INK, linewidth=1.4, label=name)
    for place, point in enumerate(points):
        y = min(flops, point.intensity * wires[point.wire].bandwidth) / 1e12
        style = {"markerfacecolor": rank_colour(place), "markeredgecolor": INK, "markersize": 9, "linestyle": "none"}
        ax.loglog(
            [point.intensity],
            [y],
            MARKS[place % len(MARKS)],
            label=f"{point.name} ({wires[point.wire].name})",
            zorder=5,
            **style,
        )
    ax.set_ylim(top=flops / 1e12 * 3)
    ax.set_xlabel("FLOPs for each byte that moves", color=GREY)
    ax.set_ylabel("TFLOP/s of an accelerator", color=GREY)
    ax.set_title("roofline of the best layout", fontsize=10, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.45, -0.16))
