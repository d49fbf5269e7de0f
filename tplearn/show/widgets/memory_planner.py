"""Memory planner: model, number format, GPUs, batch and sequence against one GPU's capacity, cut four ways."""

import ipywidgets
from matplotlib.figure import Figure

from tplearn.planning import MODELS
from tplearn.show.figures.ch01 import planner_picture
from tplearn.show.widgets.picture import Picture, choice, slider

BYTES = {"float32": (4, 4), "bfloat16": (2, 2), "fp8": (1, 1), "int4 weights": (0.5, 2)}
"""Bytes of a parameter and of a value in the KV cache, by number format; int4 weights keep a bfloat16 cache."""


def draw(figure: Figure, model: str, numbers: str, gpu_gb: int, gpus: int, batch: int, sequence: int) -> str:
    """Draw the fullest GPU of DP, TP, PP and FSDP on `gpus` GPUs of `gpu_gb` GB; return what it shows, in words."""
    return planner_picture(figure, MODELS[model], gpu_gb, gpus, batch, sequence, *BYTES[numbers])


def memory_planner(model: str = "Llama-3.1-8B") -> Picture:
    """The widget. Starts with `model` in bfloat16 on four GPUs of 24 GB, 32 sequences of 8,192 tokens.

    Raises:
        ValueError: a model that is not in MODELS.
    """
    if model not in MODELS:
        raise ValueError(f"model = {model!r} is not known; models that work: {', '.join(MODELS)}")
    return Picture(
        draw,
        {
            "model": ipywidgets.Dropdown(options=list(MODELS), value=model, description="model"),
            "numbers": choice(list(BYTES), "bfloat16", "numbers"),
            "gpu_gb": slider([16, 24, 48, 80, 141, 160, 192], 24, "GB of a GPU"),
            "gpus": slider([1, 2, 4, 8, 16], 4, "GPUs"),
            "batch": slider([1, 2, 4, 8, 16, 32, 64, 128, 256], 32, "sequences"),
            "sequence": slider([512, 2048, 8192, 32768, 131072], 8192, "tokens each"),
        },
    )
