"""What a config.json says of sliding windows, by transformers' rules: the layers that have one, and how long it is."""

from tplearn.planning.fields import Fields

FULL, SLIDING = "full_attention", "sliding_attention"
QWEN2_WINDOW, QWEN2_FULL_LAYERS = 4096, 28  # where a Qwen2's file does not say


def read_window(config: Fields, family: str, layers: int) -> tuple[int | None, tuple[str, ...] | None]:
    """(sliding_window, layer_types) of the fields of a config.json; None and None where no layer has a window.

    A window of w changes nothing before token w + 1. In a Qwen2 it has a say with use_sliding_window only, and in the
    layers from max_window_layers on. A Llama's layers attend to everything, but transformers forgets what lies before
    the window when it generates.
    """
    window = None if config.get("sliding_window") is None else config.integer("sliding_window")
    first = 0
    if family == "qwen2":
        window = QWEN2_WINDOW if "sliding_window" not in config.values else window
        window = window if config.flag("use_sliding_window", False) else None
        first = config.integer("max_window_layers", QWEN2_FULL_LAYERS, least=0)
    types = config.get("layer_types")
    if types is None:
        types = [] if window is None else [FULL] * min(first, layers) + [SLIDING] * (layers - first)
    elif not isinstance(types, list) or len(types) != layers or not all(kind in (FULL, SLIDING) for kind in types):
        raise config.refuse("layer_types", f"{layers} of {FULL} and {SLIDING} work, one for each layer")
    if SLIDING not in types:
        return None, None
    if window is None:
        raise config.refuse("layer_types", f"{SLIDING} needs a sliding_window, and the file says none")
    return window, tuple(types)
