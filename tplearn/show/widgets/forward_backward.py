"""Two ranks there and back: choose the functions around an MLP, and see which collective runs on which way."""

from tplearn.show.figures.ch06_pair import ENTRIES, EXITS, paint_pair
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: the function at the entry, the function at the exit, and over how many ranks."""
    return Picture(
        paint_pair,
        {
            "entry": choice(list(ENTRIES), ENTRIES[0], "entry"),
            "leave": choice(list(EXITS), EXITS[0], "exit"),
            "tp": slider([2, 3, 4], 2, "tp"),
        },
    )
