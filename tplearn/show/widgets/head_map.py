"""Head map: choose query heads, KV heads and tp, and see which rank computes what, or why it cannot be."""

from tplearn.show.figures.ch08 import paint_head_map
from tplearn.show.widgets.picture import Picture, slider


def show() -> Picture:
    """The widget: the two head counts of a model, and over how many ranks they are shared out."""
    return Picture(
        paint_head_map,
        {
            "heads": slider([4, 6, 8, 9, 12, 14, 16, 32], 8, "query heads"),
            "kv_heads": slider([1, 2, 3, 4, 8], 2, "KV heads"),
            "tp": slider([1, 2, 3, 4, 6, 7, 8, 9], 4, "tp"),
        },
    )
