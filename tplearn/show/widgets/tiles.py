"""Tile slider: cut Y = X A by any of its three dimensions and see who computes what, and what ends it."""

from tplearn.show.figures.ch02 import ENDINGS, paint_tiles
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: which dimension to cut, over how many ranks, and the three sizes."""
    return Picture(
        paint_tiles,
        {
            "cut": choice(list(ENDINGS), "columns of A", "cut"),
            "tp": slider([1, 2, 3, 4, 6], 2, "tp"),
            "batch": slider([1, 2, 4, 6, 8, 12], 4, "rows of X"),
            "inner": slider([4, 6, 8, 12], 6, "columns of X"),
            "out": slider([4, 6, 8, 12], 8, "columns of A"),
        },
    )
