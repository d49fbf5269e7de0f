"""Bytes of logits, gathered or cut by words: choose a model, the number of tokens and tp."""

from tplearn.planning import MODELS
from tplearn.show.figures.ch09 import paint_logit_bytes
from tplearn.show.widgets.picture import Picture, slider

TOKENS = [1, 64, 1024, 8192, 65536]
TP = [1, 2, 4, 8, 16]


def show(model: str = "Llama-3.1-8B", tokens: int = 8192, tp: int = 8) -> Picture:
    """The widget: what each rank keeps and sends, for a model's vocabulary."""
    import ipywidgets

    return Picture(
        paint_logit_bytes,
        {
            "model": ipywidgets.Dropdown(options=list(MODELS), value=model, description="model"),
            "tokens": slider(TOKENS, tokens, "tokens"),
            "tp": slider(TP, tp, "tp"),
        },
    )
