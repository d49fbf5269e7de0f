"""Figures of chapter 14: a plan names modules, sums in the backward pass belong to arrows, and a plan has a ledger."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.figures.layer_rows import CUT, HALVES, paint_layer
from tplearn.show.style import HIGHLIGHT, RED, arrow, box, canvas, label
from tplearn.show.widgets.plan_ledger import draw


def draw_plan() -> Figure:
    """One layer as Hugging Face names it: the plan says Colwise or Rowwise of seven modules, and nothing of arrows."""
    figure, ax = canvas(10.4, 4.75)
    paint_layer(ax, "ColwiseParallel", "RowwiseParallel")
    label(ax, 0.15, 0.18, "grey: a line of the plan; white: no line", ha="left", size=9.5)
    label(ax, 10.25, 0.18, "what runs on the arrows?", ha="right", bold=True)
    return figure


def draw_five_sums() -> Figure:
    """Backward through both halves: without PrepareModuleInput five all-reduces sum x's gradient, with it two do."""
    figure, ax = canvas(10.4, 4.0)
    for left, title, prepared in (
        (0.15, "the usual plan: 3 + 2 a layer", False),
        (5.45, "with PrepareModuleInput: 1 + 1", True),
    ):
        label(ax, left, 3.8, title, ha="left", bold=True, size=11)
        for y, (_, _, columns, _, _) in zip((2.6, 0.65), HALVES, strict=True):
            _sums(ax, left, y, columns, prepared)
    return figure


def _sums(ax: Axes, left: float, y: float, columns: tuple[str, ...], prepared: bool) -> None:
    """Gradients go from right to left: each column cut's partial is summed by itself, or all are added and summed."""
    gap = 0.62
    places = [y + gap * (k - (len(columns) - 1) / 2) for k in reversed(range(len(columns)))]
    box(ax, left, y - 0.22, 0.62, 0.44, "dx", face="#ffffff")
    for place, column in zip(places, columns, strict=True):
        box(ax, left + 3.35, place - 0.21, 1.25, 0.42, column, face=CUT)
        if prepared:
            arrow(ax, (left + 3.35, place), (left + 2.62, y))
            label(ax, left + 3.12, place + (0.17 if place >= y else -0.17), "P", bold=True, colour=RED)
        else:
            label(ax, left + 2.9, place + 0.14, "P", bold=True, colour=RED)
            arrow(ax, (left + 3.35, place), (left + 2.45, place))
            box(ax, left + 1.3, place - 0.2, 1.15, 0.4, "all-reduce", face=HIGHLIGHT, size=9.5)
            arrow(ax, (left + 1.3, place), (left + 0.62, y))
    if prepared:
        label(ax, left + 2.5, y, "+", bold=True, size=12)
        arrow(ax, (left + 2.38, y), (left + 2.05, y))
        label(ax, left + 2.22, y + 0.17, "P", bold=True, colour=RED)
        box(ax, left + 0.9, y - 0.2, 1.15, 0.4, "all-reduce", face=HIGHLIGHT, size=9.5)
        arrow(ax, (left + 0.9, y), (left + 0.62, y))


def draw_plan_ledger() -> Figure:
    """The usual plan for 32 layers on 8 ranks: 65 all-reduces forward, 161 backward, where tplearn's layers send 65."""
    figure = Figure(facecolor="white")
    draw(figure, prepare=False)
    return figure
