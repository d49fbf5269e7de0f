"""Rank cube: choose the sizes of dp, pp, cp and tp and their order; see one rank's groups, and which cross nodes."""

from tplearn.show.figures.ch17_cube import MOST, ORDERS, paint_cube
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: all ranks of a layout, in nodes of eight."""
    return Picture(
        paint_cube,
        {
            "dp": slider([1, 2, 3, 4, 8], 2, "dp"),
            "pp": slider([1, 2, 3, 4, 8], 4, "pp"),
            "cp": slider([1, 2, 4], 2, "cp"),
            "tp": slider([1, 2, 4, 8, 16], 8, "tp"),
            "order": choice(list(ORDERS), ORDERS[0], "names, outermost first"),
            "rank": slider(list(range(MOST)), 21, "rank"),
        },
    )
