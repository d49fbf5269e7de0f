"""Who leaves early, and what becomes of the others: swim-lanes of ranks with the missing one in red."""

from matplotlib.figure import Figure

from tplearn.show.lanes import draw_appointments, verdict

NOBODY = -1


def draw(figure: Figure, world_size: int = 4, leaver: int = 2, after: int = 1, meetings: int = 3) -> str:
    """Draw the lanes, return the verdict. leaver = -1: nobody leaves. ValueError for a rank that is not there."""
    who = None if leaver == NOBODY else leaver
    draw_appointments(figure, world_size, meetings, who, after)
    return verdict(world_size, meetings, who, after)


def show():  # noqa: ANN201 (ipywidgets is only imported when a widget is wanted)
    """The widget: how many ranks, which of them returns early, after how many of the three all_reduces."""
    from tplearn.show.widgets.picture import Picture, choice, slider

    ranks = {"nobody": NOBODY} | {f"rank {rank}": rank for rank in range(4)}
    return Picture(
        draw,
        {
            "world_size": slider([2, 3, 4], 4, "ranks"),
            "leaver": choice(ranks, 2, "leaves early"),
            "after": slider([0, 1, 2, 3], 1, "after how many all_reduces"),
        },
    )
