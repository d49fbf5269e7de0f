"""Figures of chapter 00: ranks that keep an appointment, and one that does not."""

from matplotlib.figure import Figure

from tplearn.show.lanes import draw_appointments


def draw_missing_rank() -> Figure:
    """Four ranks keep the first all_reduce. Rank 2 then returns, and ranks 0, 1 and 3 wait for it in the second one."""
    return draw_appointments(None, world_size=4, meetings=2, leaver=2, after=1)


def draw_leaves_later() -> Figure:
    """Four ranks and three all_reduces. Rank 1 returns after two of them, so the others wait in the third."""
    return draw_appointments(None, world_size=4, meetings=3, leaver=1, after=2)
