"""Cost explorer: choose a model, a GPU, a phase, a batch and tp, and see the roofline, the time by tp, the limits."""

import ipywidgets

from tplearn.planning import ACCELERATORS, MODELS
from tplearn.show.figures.ch16_explorer import paint_explorer
from tplearn.show.figures.ch16_parts import PHASES
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: where the time goes, for every tp that cuts the model."""
    return Picture(
        paint_explorer,
        {
            "model": ipywidgets.Dropdown(options=list(MODELS), value="Llama-3.1-70B", description="model"),
            "card": ipywidgets.Dropdown(options=list(ACCELERATORS), value="H100", description="GPU or TPU"),
            "phase": choice(list(PHASES), "decode", "phase"),
            "batch": slider([1, 2, 4, 8, 16, 32, 64, 128, 256, 512], 64, "sequences"),
            "tokens": slider([128, 512, 2048, 8192, 32768], 2048, "tokens each"),
            "tp": slider([1, 2, 4, 8, 16, 32], 8, "tp"),
        },
    )
