"""Pipeline timeline: choose a schedule, ranks, micro-batches and stages, and see the bubble and what stays alive."""

from tplearn.pipeline.kinds import KINDS
from tplearn.show.figures.ch17_timeline import paint_timeline
from tplearn.show.widgets.picture import Picture, choice, slider


def show() -> Picture:
    """The widget: a step of one pipeline, in slots of time."""
    return Picture(
        paint_timeline,
        {
            "schedule": choice(list(KINDS), "1F1B", "schedule"),
            "p": slider([2, 3, 4, 6, 8], 4, "p, ranks"),
            "m": slider([1, 2, 4, 6, 8, 12, 16, 24, 32], 8, "m, micro-batches"),
            "v": slider([1, 2, 3, 4], 1, "v, stages a rank"),
        },
    )
