"""Figures of chapter 17: 16,384 GPUs, layers one after another, pipelines in time, their bubble, named ranks."""

import json

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.pipeline.bubble import idle_in_theory
from tplearn.show.figures.ch13 import RECORDED
from tplearn.show.figures.ch17_cube import paint_cube
from tplearn.show.figures.ch17_timeline import paint_timeline
from tplearn.show.mesh import DP_COLOUR, TP_COLOUR
from tplearn.show.style import GREY, INK, RED, arrow, box, canvas, label

SPLIT = (16, 10, 6)  # layers of three GPUs
RANKS = 4  # of the recorded bubbles
SCHEDULES = {"GPipe": (1, "o", INK), "1F1B": (1, "x", INK), "Interleaved1F1B": (2, "s", TP_COLOUR)}
PP_COLOUR = "#0f6b4a"
EIGHT = {"tp": (1, TP_COLOUR), "dp": (2, DP_COLOUR), "pp": (4, PP_COLOUR)}  # name: distance of neighbours, colour


def draw_what_is_left() -> Figure:
    """A model of 126 layers, one node of eight GPUs cut by tensor parallelism, 2,047 nodes more: what do they do?"""
    figure, ax = canvas(9.4, 3.3)
    label(ax, 1.25, 3.08, "Llama 3.1 405B", bold=True)
    for k in range(7):
        text = "…" if k == 3 else f"layer {125 - k if k < 3 else 6 - k}"
        box(ax, 0.35, 2.5 - 0.34 * k, 1.8, 0.3, text, size=9.5)
    label(ax, 1.25, 0.18, "126 layers, 812 GB in 16 bits", size=9.5, colour=GREY)
    arrow(ax, (2.35, 1.6), (2.95, 1.6))
    label(ax, 4.1, 3.08, "one node: tp = 8", bold=True)
    for rank in range(8):
        box(ax, 3.15 + 0.48 * (rank % 4), 1.65 - 0.62 * (rank // 4), 0.44, 0.56, f"{rank}", rank=rank, size=9.5)
    label(ax, 4.1, 0.65, "each layer on all 8,\n8 · 80 GB of memory", size=9.5, colour=GREY)
    label(ax, 7.4, 3.08, "2,047 nodes more", bold=True)
    for k in range(60):
        box(ax, 5.75 + 0.275 * (k % 12), 2.45 - 0.42 * (k // 12), 0.23, 0.34, face="white", edge=GREY, line=0.8)
    label(ax, 7.38, 1.77, "what do they do?", size=12, colour=RED, bold=True, backed=True)
    label(ax, 7.4, 0.4, "16,384 GPUs in all; between nodes\na slower network", size=9.5, colour=GREY)
    return figure


def draw_one_at_a_time() -> Figure:
    """Three GPUs with 16, 10 and 6 layers write three tokens: at any time one of them works and two wait."""
    figure, ax = canvas(9.2, 2.35)
    left, wide, tokens = 2.3, 6.6, 3
    slot = wide / tokens / sum(SPLIT)
    for gpu, layers in enumerate(SPLIT):
        y = 1.5 - 0.5 * gpu
        box(ax, 0.15, y, 1.95, 0.38, f"GPU {gpu}: {layers} layers", rank=gpu, size=9.5)
        ax.plot([left, left + wide], [y + 0.19] * 2, color=GREY, linewidth=1.0, linestyle=":", zorder=1)
        for token in range(tokens):
            x = left + (sum(SPLIT[:gpu]) + token * sum(SPLIT)) * slot
            box(ax, x, y, layers * slot, 0.38, str(token), rank=gpu, size=9.5)
    for token in range(tokens):
        label(ax, left + (token + 0.5) * wide / tokens, 2.12, f"token {token}", size=9.5, colour=GREY)
    label(ax, left + wide / 2, 0.2, "time →   (dotted: a GPU waits)", size=9.5, colour=GREY)
    return figure


def draw_gpipe() -> Figure:
    """GPipe on four ranks with four micro-batches: all forwards, then all backwards, and 9 of 21 slots are waiting."""
    figure = Figure(facecolor="white")
    paint_timeline(figure, schedule="GPipe", p=4, m=4, v=1)
    return figure


def draw_pipeline_timeline() -> Figure:
    """1F1B on four ranks with eight micro-batches: 9 of 33 slots are waiting, and 4, 3, 2 and 1 micro-batches alive."""
    figure = Figure(facecolor="white")
    paint_timeline(figure, schedule="1F1B", p=4, m=8, v=1)
    return figure


def draw_bubble() -> Figure:
    """The bubble of four sleeping ranks, measured, beside theory: it shrinks with micro-batches and by interleaving."""
    told = json.loads((RECORDED / "bubble.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(8.2, 3.3), facecolor="white", layout="constrained")
    ax = figure.subplots()
    many = list(range(4, 17))
    for v, line in ((1, "-"), (2, "--")):
        stages = "one stage a rank" if v == 1 else "two stages a rank"
        shares = [100 * idle_in_theory(RANKS, m, v) for m in many]
        ax.plot(many, shares, line, color=GREY, linewidth=1.3, label=f"in theory, {stages}")
    for name, (_, marker, colour) in SCHEDULES.items():
        shares = {int(m): 100 * share for m, share in told[name].items()}
        hollow = {"markerfacecolor": "none"} if marker != "x" else {}
        ax.plot(list(shares), list(shares.values()), marker, color=colour, markersize=9, label=f"{name}, ran", **hollow)
    ax.set_xticks([4, 8, 16])
    ax.set_ylim(0, 50)
    ax.set_xlabel("m, micro-batches", color=GREY)
    ax.set_title("bubble, % of a step, p = 4", fontsize=10, loc="left")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def draw_rank_cube() -> Figure:
    """128 ranks in sixteen nodes: the four groups of rank 21 in Llama 3's order, of which tp stays inside its node."""
    figure = Figure(facecolor="white")
    paint_cube(figure, dp=2, pp=4, cp=2, tp=8, order="dp, pp, cp, tp", rank=21)
    return figure


def draw_eight_ranks() -> Figure:
    """Eight ranks as the corners of a cube: tp along the edges 0 to 1, dp along 0 to 2, pp along 0 to 4."""
    figure, ax = canvas(8.8, 3.5)
    for rank in range(8):
        for step, colour in EIGHT.values():
            if not rank & step:
                _edge(ax, rank, rank | step, colour)
    for rank in range(8):
        x, y = _corner(rank)
        box(ax, x - 0.3, y - 0.17, 0.6, 0.34, str(rank), face="white", bold=True)
    lines = (
        ("tp", "activations, in every layer", "all_reduce, 18 large ones in a step"),
        ("dp", "gradients, once", "all_reduce, 1 in a step"),
        ("pp", "activations, between stages", "2 sends and 2 recvs in a step"),
    )
    for k, (name, what, op) in enumerate(lines):
        y = 2.75 - 0.85 * k
        ax.plot([5.1, 5.6], [y, y], color=EIGHT[name][1], linewidth=2.6, linestyle=_style(name))
        label(ax, 5.75, y, f"{name}: {what}", ha="left", colour=EIGHT[name][1], bold=True)
        label(ax, 5.75, y - 0.27, op, ha="left", size=9.5, colour=GREY)
    return figure


def _corner(rank: int) -> tuple[float, float]:
    """tp to the right, dp down, pp to the back."""
    pp, dp, tp = rank >> 2, rank >> 1 & 1, rank & 1
    return 0.6 + 2.4 * tp + 1.2 * pp, 2.3 - 1.7 * dp + 0.75 * pp


def _style(name: str) -> str:
    return {"tp": "-", "dp": "--", "pp": ":"}[name]


def _edge(ax: Axes, start: int, end: int, colour: str) -> None:
    name = next(name for name, (step, _) in EIGHT.items() if step == end - start)
    (x, y), (to_x, to_y) = _corner(start), _corner(end)
    ax.plot([x, to_x], [y, to_y], color=colour, linewidth=2.6, linestyle=_style(name), zorder=1)
