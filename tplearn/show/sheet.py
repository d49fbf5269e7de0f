"""A Sheet records a drawing as data: it stands in for the Figure and the Axes that the draw functions are given.

A page without a kernel shows a widget from such records. Nothing is rendered, so a state takes well under a
millisecond where matplotlib takes tens of them; and every state is exactly what `draw` draws, for it draws it.
"""

from collections.abc import Callable, Hashable, Sequence

from matplotlib.artist import Artist
from matplotlib.cbook import is_math_text
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from tplearn.show.marks import Box, Sign, shapes
from tplearn.show.strokes import POINTS, colour, short

INK_MIDDLE = 0.36  # of a font's size: how far the middle of capitals and digits lies above their baseline
MONO = "DejaVu Sans Mono"


class Sheet:
    """Figure and Axes at once, for `canvas` and the functions of `style`, and what else widgets draw with.

    Every mark is kept once, whichever drawing it is in: `marks` counts them from 0. A mark is a tuple:

    ("r", z, style, x, y, width, height, radius)   a rectangle by its upper left corner; `style`: its place in `styles`
    ("p", z, style, path)                          a path in SVG's letters
    ("t", z, look, x, y, text)                     one line of text on its baseline; `look`: its place in `looks`
    (place, place, ...)                            a part of a drawing: marks that come together

    x and y are points from the lower left corner, y downwards (so it is negative). z: what has more is drawn later.
    A look is (size, colour, bold, monospaced, "left" or "center" or "right", whether a white plate lies under it).

    Raises TypeError for what it does not know. `draw(sheet, ...)` and then `take()` is the drawing.
    """

    def __init__(self) -> None:
        self.axes = [self]
        self.texts = self.artists = self.patches = self.lines = self.collections = ()  # nothing to clear
        self.styles: dict[Hashable, int] = {}
        self.looks: dict[Hashable, int] = {}
        self.marks: dict[Hashable, int] = {}
        self._parts: dict[Hashable, int | None] = {}
        self._drawn: list[int] = []
        self._size = (0.0, 0.0)

    def take(self) -> list[float]:
        """[width, height, mark, mark, ...] of the last drawing; width and height in points."""
        return [*(short(POINTS * side) for side in self._size), *self._drawn]

    def set_size_inches(self, width: float, height: float) -> None:
        """A new drawing begins, as `canvas` begins it."""
        self._size, self._drawn = (width, height), []

    def set(self, xlim: tuple[float, float], ylim: tuple[float, float]) -> None:
        """The axes are in inches and cover the figure: other limits would be another drawing."""
        if (xlim, ylim) != ((0, self._size[0]), (0, self._size[1])):
            raise TypeError(f"limits {xlim} and {ylim} are not those of a canvas of {self._size} inches")

    def get_xlim(self) -> tuple[float, float]:
        """From 0 to the width, in inches."""
        return 0.0, self._size[0]

    def repeat(self, draw: Callable[..., None], *args: Hashable, **kwargs: Hashable) -> None:
        """Draw a `repeatable` part: once, and then from memory."""
        key = draw, args, tuple(kwargs.items())
        if key not in self._parts:
            outer, self._drawn = self._drawn, []
            try:
                draw(self, *args, **kwargs)
                own = self._drawn
            finally:
                self._drawn = outer
            part = None if not own else own[0] if len(own) == 1 else _place(self.marks, tuple(own))
            self._parts[key] = part
        if self._parts[key] is not None:
            self._drawn.append(self._parts[key])

    def add_artist(self, artist: Artist) -> None:
        """Rectangles, arrows, lines and collections of polygons, in inches."""
        z = short(artist.get_zorder())
        for shape in shapes(artist):
            if isinstance(shape, Sign):
                look = (shape.size, shape.colour, False, False, "center", False)
                self._add(("t", z, _place(self.looks, look), shape.x, shape.y, shape.text))
                continue
            style = _place(self.styles, shape.style)
            self._add(("r" if isinstance(shape, Box) else "p", z, style, *shape[1:]))

    def add_collection(self, collection: Artist, autolim: bool = True) -> None:
        """As `add_artist`: there are no limits to update."""
        self.add_artist(collection)

    def plot(self, x: Sequence[float], y: Sequence[float], form: str = "-", **style: object) -> None:
        """A line, or markers where `form` is one."""
        kind = {"linestyle": form} if form in Line2D.lineStyles else {"marker": form, "linestyle": "None"}
        self.add_artist(Line2D(x, y, **{**kind, **style}))

    def hlines(self, y: Sequence[float], xmin: float, xmax: float, **style: object) -> None:
        """Level lines from xmin to xmax."""
        self.add_artist(LineCollection([[(xmin, each), (xmax, each)] for each in y], **style))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        fontsize: float,
        color: str,
        ha: str,
        va: str,
        fontweight: str,
        fontfamily: str,
        linespacing: float,
        zorder: float,
        bbox: dict | None,
    ) -> None:
        """What `label` writes: a mark for each line. Raises TypeError for formulas."""
        if is_math_text(text):
            raise TypeError(f"the label {text!r} is a formula, which cannot be drawn on a Sheet; plain text can")
        look = (short(fontsize), colour(color), fontweight == "bold", fontfamily == MONO, ha, bbox is not None)
        lines, step = text.split("\n"), fontsize * linespacing
        middle = -POINTS * y + INK_MIDDLE * fontsize
        up = {"center": (len(lines) - 1) / 2, "top": -0.5, "bottom": len(lines) - 0.5, "baseline": len(lines) - 1}[va]
        first = (-POINTS * y if va == "baseline" else middle) - up * step
        for place, line in enumerate(lines):
            if line.strip():
                where = short(POINTS * x), short(first + place * step)
                self._add(("t", short(zorder), _place(self.looks, look), *where, line))

    def _add(self, mark: Hashable) -> None:
        self._drawn.append(_place(self.marks, mark))


def _place(table: dict[Hashable, int], value: Hashable) -> int:
    """The place of a value in a table, at the end where it is new."""
    return table.setdefault(value, len(table))
