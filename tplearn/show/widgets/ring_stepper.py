"""Ring stepper: who holds which sums after each step of a ring all-reduce, and how many bytes have been sent."""

from fractions import Fraction

import ipywidgets
from matplotlib.figure import Figure

from tplearn.show.figures.ch04 import place_moment, ring_history
from tplearn.show.style import canvas, label
from tplearn.show.widgets.picture import Picture, slider

RANKS = [2, 3, 4, 5]


def draw(figure: Figure, p: int, step: int) -> str:
    """Draw the ring of `p` ranks after `step` steps (0 to 2 (p − 1)) onto `figure`; returns what is seen, in words."""
    moments = ring_history(p)
    moment = moments[min(step, len(moments) - 1)]
    sent = Fraction(min(step, len(moments) - 1), p)
    segment, height, gap = 0.2, 0.4, 0.32
    width = p * p * segment + (p - 1) * gap
    _, ax = canvas(max(width + 1.0, 5.2), p * height + 1.35, figure)
    x = (ax.get_xlim()[1] - width) / 2
    middle = ax.get_xlim()[1] / 2
    label(ax, middle, p * height + 1.12, moment.name, size=11, bold=True)
    place_moment(ax, moment, x, 0.5, segment, height, gap, hatched=False)
    label(
        ax,
        middle,
        0.22,
        f"sent by each rank so far: {_times_n(sent)}   of {_times_n(Fraction(2 * (p - 1), p))}",
        size=10,
    )
    finished = [sum(len(ranks) == p for ranks in column) for column in moment.cells]
    return (
        f"{moment.name}, {p} ranks. Finished chunks on each rank: {', '.join(map(str, finished))} of {p}. "
        f"Bytes sent by each rank: {_times_n(sent)}, where n is the size of the tensor."
    )


def show(p: int = 4) -> ipywidgets.Widget:
    """Two sliders, the number of ranks and the step, above the picture. Moving to fewer ranks shortens the steps."""
    ranks = slider(RANKS, p, "ranks")
    steps = ipywidgets.IntSlider(value=0, min=0, max=2 * (p - 1), description="step")

    def shorten(change: dict[str, int]) -> None:
        steps.max = 2 * (change["new"] - 1)

    ranks.observe(shorten, names="value")
    return Picture(draw, {"p": ranks, "step": steps})


def _times_n(share: Fraction) -> str:
    """The share as text: "1.50 n"."""
    return f"{float(share):.2f} n"
