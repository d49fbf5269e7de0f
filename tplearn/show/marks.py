"""What matplotlib's artists draw, as data: boxes, traces and signs, in points."""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import BoxStyle, FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from tplearn.show.strokes import POINTS, TO_POINTS, Style, colour, dashes, hatch, path_data, paths_data, short


class Box(NamedTuple):
    """A rectangle: its upper left corner, its size, the radius of its corners."""

    style: Style
    x: float
    y: float
    width: float
    height: float
    radius: float


class Trace(NamedTuple):
    """A path, in the letters of SVG."""

    style: Style
    path: str


class Sign(NamedTuple):
    """A short text, centred at x on its baseline: what matplotlib calls the marker "$3$"."""

    text: str
    size: float
    colour: str
    x: float
    y: float


def shapes(artist: Artist) -> Iterator[Box | Trace | Sign]:
    """The shapes of an artist whose coordinates are inches. Raises TypeError for an artist that is not known here."""
    if type(artist) is Rectangle or type(artist) is FancyBboxPatch:
        yield _box(artist)
    elif type(artist) is FancyArrowPatch:
        yield from _arrow(artist)
    elif type(artist) is Line2D:
        yield from _line(artist)
    elif isinstance(artist, (PolyCollection, LineCollection)):
        yield from _collection(artist)
    else:
        known = "Rectangle, FancyBboxPatch, FancyArrowPatch, Line2D, PolyCollection and LineCollection"
        raise TypeError(f"a {type(artist).__name__} cannot be drawn on a Sheet; {known} can")


def _style(patch: Patch) -> Style:
    """Of a patch. A hatch has the edge's colour, and is drawn also where the edge has no width."""
    edge, width = colour(patch.get_edgecolor()), short(patch.get_linewidth())
    stroke = edge if width else "none"
    dashed = dashes(patch.get_linestyle(), width) if width else ()
    lines = hatch(patch.get_hatch(), edge, short(patch.get_hatch_linewidth())) if patch.get_hatch() else None
    return Style(colour(patch.get_facecolor()), stroke, width, dashed, lines)


def _box(patch: Rectangle | FancyBboxPatch) -> Box:
    """A FancyBboxPatch is larger than its numbers say: its style pads it, and rounds it by as much."""
    rounded = isinstance(patch, FancyBboxPatch)
    if not isinstance(patch.get_boxstyle(), BoxStyle.Round) if rounded else patch.get_angle():
        raise TypeError(
            f"{patch} cannot be drawn on a Sheet; rectangles that stand upright and the box style Round can"
        )
    pad = patch.get_boxstyle().pad if rounded else 0.0
    x, y = patch.get_x() - pad, patch.get_y() - pad
    width, height = patch.get_width() + 2 * pad, patch.get_height() + 2 * pad
    x, top, width, height = (short(POINTS * value) for value in (x, -y - height, width, height))
    return Box(_style(patch), x, top, width, height, short(POINTS * pad))


def _arrow(patch: FancyArrowPatch) -> Iterator[Trace]:
    """The shaft, which is not filled, and the heads, which are. Sizes of heads are points, so the path is in points."""
    patch.set_transform(TO_POINTS)
    style = _style(patch)
    parts = path_data(patch.get_path()).split("M")[1:]
    for part in parts:
        head = part.endswith("Z")
        yield Trace(style._replace(dashes=()) if head else style._replace(fill="none"), "M" + part)


def _line(line: Line2D) -> Iterator[Trace | Sign]:
    """The line itself, where it has a style, and its markers: as one path, or as signs."""
    ink, width = colour(line.get_color()), short(line.get_linewidth())
    if line.get_linestyle() != "None":
        yield Trace(Style("none", ink, width, dashes(line.get_linestyle(), width)), path_data(line.get_path()))
    name, places = line.get_marker(), (POINTS * line.get_xydata()).tolist()
    if name in ("None", "", None):
        return
    marker, size = MarkerStyle(name), line.get_markersize()
    to_size = marker.get_transform().scale(size)
    if str(name).startswith("$"):  # matplotlib draws it in rcParams' font size, and then to the marker's size
        points = short(mpl.rcParams["font.size"] * to_size.get_matrix()[0, 0])
        below = marker.get_path().transformed(to_size).get_extents()
        for x, y in places:
            yield Sign(name.strip("$"), points, ink, short(x), short(below.height / 2 - y))
        return
    style = Style(
        colour(line.get_markerfacecolor()), colour(line.get_markeredgecolor()), short(line.get_markeredgewidth())
    )
    shape = marker.get_path().transformed(to_size)
    yield Trace(style, "".join(path_data(shape, Affine2D().translate(x, y)) for x, y in places))


def _collection(collection: PolyCollection | LineCollection) -> Iterator[Trace]:
    """One path for all that look alike. Colours and widths go round, as matplotlib deals them."""
    both = collection.get_facecolor(), collection.get_edgecolor()
    faces, edges = ([colour(tuple(each)) for each in colours.tolist()] or ["none"] for colours in both)
    widths, lines = collection.get_linewidth(), collection.get_linestyle()
    alike: dict[Style, list[Path]] = {}
    for place, path in enumerate(collection.get_paths()):
        fill, stroke = faces[place % len(faces)], edges[place % len(edges)]
        width, (_, dashed) = short(widths[place % len(widths)]), lines[place % len(lines)]
        letters = collection.get_hatch()
        tile = hatch(letters, stroke, short(collection.get_hatch_linewidth())) if letters else None
        style = Style(fill, stroke if width else "none", width, tuple(map(short, dashed or ())), tile)
        alike.setdefault(style, []).append(path)
    for style, paths in alike.items():
        yield Trace(style, paths_data(paths))
