"""Strokes as data: paths in SVG's letters, hatches as tiles that repeat, colours, and lengths in points.

y goes downwards from the drawing's lower edge, so heights are negative: what stands at one place in drawings of
different heights is one mark.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.colors import to_hex
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

POINTS = 72  # an inch
TO_POINTS = Affine2D().scale(POINTS)
LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
HATCH_LINES = 6  # an inch, of each letter of a hatch: matplotlib's density
DOT = 0.1  # radius of the hatch ".", of its step


class Hatch(NamedTuple):
    """A tile that repeats: its width and height, its path, and a colour. `line`: the width of lines; 0 fills dots."""

    width: float
    height: float
    path: str
    colour: str
    line: float


class Style(NamedTuple):
    """How a shape is filled and outlined: colours or "none", a width, and the lengths of dashes and gaps."""

    fill: str = "none"
    stroke: str = "none"
    width: float = 0
    dashes: tuple[float, ...] = ()
    hatch: Hatch | None = None


def short(value: float) -> float:
    """A tenth of a point is as fine as a picture needs: 7.25000001 is 7.2, and 7.0 is 7."""
    near = round(float(value), 1)
    return int(near) if near.is_integer() else near


@cache
def colour(value: str | tuple[float, ...]) -> str:
    """ "#rrggbb", with two more digits where it can be looked through, or "none" where nothing is seen."""
    text = to_hex(value, keep_alpha=True)
    return "none" if text.endswith("00") else text[:7] + text[7:].removesuffix("ff")


def dashes(style: str, width: float) -> tuple[float, ...]:
    """The lengths of a line style such as "--", which grow with the line's width."""
    name = {"--": "dashed", ":": "dotted", "-.": "dashdot"}.get(style, style)
    if name in ("-", "solid", "None"):
        return ()
    return tuple(short(length * width) for length in mpl.rcParams[f"lines.{name}_pattern"])


def path_data(path: Path, to_points: Affine2D = TO_POINTS) -> str:
    """A path in SVG's letters."""
    parts = []
    for vertices, code in path.iter_segments(to_points, simplify=False, curves=True):
        numbers = [short(value if place % 2 == 0 else -value) for place, value in enumerate(vertices.tolist())]
        parts.append(LETTERS[code] + (" ".join(map(str, numbers)) if code != Path.CLOSEPOLY else ""))
    return "".join(parts)


def paths_data(paths: Iterable[Path]) -> str:
    """Paths in a row. An upright rectangle says how far it lies from the one before: rows of them repeat themselves."""
    parts, before = [], None
    for path in paths:
        corners = (POINTS * path.vertices).tolist()
        (left, low), (right, high) = corners[0], corners[min(2, len(corners) - 1)]
        if corners != [[left, low], [right, low], [right, high], [left, high], [left, low]]:
            parts.append(path_data(path))
            before = None
            continue
        x, y = short(left), short(-low)
        across, up = short(short(right) - x), short(short(-high) - y)
        move = f"M{x} {y}" if before is None else f"m{short(x - before[0])} {short(y - before[1])}"
        parts.append(f"{move}h{across}v{up}h{short(-across)}z")
        before = x, y
    return "".join(parts)


@cache
def hatch(letters: str, ink: str, line: float) -> Hatch:
    """One tile of matplotlib's hatch of one kind of letter, such as "///". Raises TypeError for other letters."""
    kinds = set(letters)
    if len(kinds) != 1 or not kinds <= set("/\\x-|+."):
        raise TypeError(f"the hatch {letters!r} cannot be drawn on a Sheet; repeat one of: / \\ x - | + .")
    letter = letters[0]
    step = POINTS / (HATCH_LINES * len(letters)) * (2 if letter in "/\\x" else 1)
    side, half, over, under = (short(value) for value in (step, step / 2, step + 1, step - 1))
    rising = f"M-1 1L1 -1M0 {side}L{side} 0M{under} {over}L{over} {under}"
    falling = f"M-1 {under}L1 {over}M0 0L{side} {side}M{under} -1L{over} 1"
    across, down = f"M0 {half}H{side}", f"M{half} 0V{side}"
    if letter == ".":  # rows in turn, and a line goes round each dot
        radius = round(step * DOT + line / 2, 2)
        dots = ((half, half), (0, short(step + half)), (side, short(step + half)))
        around = f"a{radius} {radius} 0 1 0 {2 * radius} 0a{radius} {radius} 0 1 0 {-2 * radius} 0z"
        return Hatch(side, short(2 * step), "".join(f"M{x} {y}m{-radius} 0{around}" for x, y in dots), ink, 0)
    paths = {"/": rising, "\\": falling, "x": rising + falling, "-": across, "|": down, "+": across + down}
    return Hatch(side, side, paths[letter], ink, line)
