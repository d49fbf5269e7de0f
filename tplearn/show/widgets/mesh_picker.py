"""Mesh picker: choose ranks, tp, the order of names, a model and a batch; see who reads, holds and sends what."""

from tplearn.planning import MODELS
from tplearn.show.figures.ch13_mesh import ORDERS, paint_mesh
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: a mesh of ranks in machines of eight, the model that it trains, and the batch of a step."""
    return Picture(
        paint_mesh,
        {
            "ranks": slider([4, 8, 16, 64], 16, "ranks"),
            "tp": slider([1, 2, 3, 4, 8, 16], 8, "tp"),
            "order": choice(list(ORDERS), ORDERS[0], "names"),
            "model": choice(list(MODELS), "Llama-3.1-8B", "model"),
            "batch": slider([1, 4, 6, 8, 16, 64], 16, "windows in a step"),
            "length": slider([512, 2048, 8192], 2048, "tokens in a window"),
        },
    )
