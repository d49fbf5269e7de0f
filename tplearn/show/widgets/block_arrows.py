"""The block's arrows: choose a model, tokens, tp and TP or TP + SP, and see states, shapes and bytes on one rank."""

from tplearn.planning import MODELS
from tplearn.show.figures.ch11 import paint_block
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: a model, the tokens of one batch, over how many ranks it is cut, and what lies between the cuts."""
    return Picture(
        paint_block,
        {
            "model": choice(list(MODELS), "Llama-3.1-8B", "model"),
            "tokens": slider([1, 512, 2048, 8192, 32768], 8192, "tokens"),
            "tp": slider([1, 2, 4, 7, 8, 16], 8, "tp"),
            "way": choice(["TP", "TP + SP"], "TP", "cut"),
        },
    )
