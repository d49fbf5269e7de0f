"""Figures of chapter 18: two losses that fall, the questions in their order, all fingerprints side by side."""

import json

from matplotlib.figure import Figure

from tplearn.museum import Fingerprint
from tplearn.show.figures.ch13 import RECORDED
from tplearn.show.style import GREY, HIGHLIGHT, INK, arrow, box, canvas, label
from tplearn.show.widgets.fingerprint_matrix import draw

MUSEUM = RECORDED / "museum.json"


def recorded_losses() -> dict[str, list[float]]:
    """The losses of 60 steps, {"right": [...], "copies not summed": [...]}."""
    return json.loads(MUSEUM.read_text(encoding="utf-8"))["losses"]


def recorded_fingerprints() -> dict[str, Fingerprint]:
    """Every exhibit's, on 1, 2 and 4 ranks."""
    told = json.loads(MUSEUM.read_text(encoding="utf-8"))["fingerprints"]
    return {name: {int(tp): reading for tp, reading in of.items()} for name, of in told.items()}


def draw_two_losses() -> Figure:
    """Two runs of one small Llama on four ranks: both losses fall from 4.8, one to 1.7 and one to 1.4."""
    right, broken = recorded_losses().values()
    figure = Figure(figsize=(7.6, 3.3), facecolor="white", layout="constrained")
    ax = figure.subplots()
    for curve, style, name in ((right, "-", "run 1"), (broken, "--", "run 2")):
        ax.plot(curve, style, color=INK, linewidth=1.6)
        ax.annotate(name, (len(curve) - 1, curve[-1]), xytext=(6, 0), textcoords="offset points", va="center")
    ax.set_xlabel("step", color=GREY)
    ax.set_title("training loss; one of the two models is broken", fontsize=10, loc="left")
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


QUESTIONS = (
    (
        "Is the result right?",
        "ranks differ: sum missing, or own masks\n× tp: whole parts summed   + log tp: whole logits\n"
        "gradients right: a bias too many   all off: wrong rows",
    ),
    (
        "Are the gradients right?",
        "ranks differ: f, or the copies' sum, missing\n× tp: summed once too often   × 1/tp: divided\n"
        "× 0: graph cut   some rows off: a local index",
    ),
    ("Is it cheap?", "more bytes: which phase, which op?\nmore memory: is anything cut at all?"),
)


def draw_questions() -> Figure:
    """Three questions in the order of a step: the result, the gradients, the cost; each wrong answer names its bugs."""
    figure, ax = canvas(10.2, 3.6)
    for place, (question, bugs) in enumerate(QUESTIONS):
        y = 2.75 - 1.15 * place
        box(ax, 0.2, y - 0.1, 2.5, 0.62, question, face=HIGHLIGHT, bold=True)
        arrow(ax, (2.7, y + 0.21), (4.0, y + 0.21))
        label(ax, 3.3, y + 0.37, "no", size=9.5)
        box(ax, 4.0, y - 0.25, 6.0, 0.92, face="#ffffff")
        label(ax, 4.15, y + 0.21, bugs, ha="left", size=9.5)
        if place < 2:
            arrow(ax, (1.45, y - 0.1), (1.45, y - 0.63))
            label(ax, 1.68, y - 0.35, "yes", size=9.5)
    label(ax, 0.2, 0.16, "cheap too: leave it alone", ha="left", size=9.5, colour=GREY)
    return figure


def draw_matrix() -> Figure:
    """Twenty exhibits on four ranks by seven aspects: eighteen rows show something, and no two are the same."""
    figure = Figure(facecolor="white")
    draw(figure, recorded_fingerprints())
    return figure
