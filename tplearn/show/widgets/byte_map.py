"""Byte map: choose a model, tp and a rank, and see which rows and columns of its checkpoint the rank reads."""

import ipywidgets

from tplearn.planning.models import MODELS
from tplearn.show.figures.ch12_layer import paint_layer_map
from tplearn.show.widgets.picture import Picture, slider


def show() -> Picture:
    """The widget: a model of `tplearn.planning`, over how many ranks it is cut, and one of the ranks."""
    return Picture(
        paint_layer_map,
        {
            "model": ipywidgets.Dropdown(options=list(MODELS), value="Llama-3.1-8B", description="model"),
            "tp": slider([1, 2, 3, 4, 8, 9, 14, 16], 4, "tp"),
            "rank": slider(list(range(16)), 1, "rank"),
        },
    )
