"""Data flow of an MLP over ranks: move the activation, fuse the weights, and watch the error and the bill."""

from tplearn.show.figures.ch03 import PLANS, WEIGHTS, paint_data_flow
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: where the activation stands, how gate and up are stored and cut, and over how many ranks."""
    return Picture(
        paint_data_flow,
        {
            "activation": choice(list(PLANS), PLANS[0], "activation"),
            "weights": choice(list(WEIGHTS), WEIGHTS[0], "gate and up"),
            "tp": slider([1, 2, 4], 2, "tp"),
        },
    )
