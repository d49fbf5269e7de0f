"""Figures of chapter 13: two replicas of a cut model, who talks to whom in a step, curves that lie on each other."""

import json
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.course.places import course_folder
from tplearn.show.curves import training_curves
from tplearn.show.figures.ch13_mesh import ORDERS, paint_mesh
from tplearn.show.mesh import DP_COLOUR, TP_COLOUR
from tplearn.show.style import GREY, INK, RED, arrow, box, canvas, label

RECORDED = course_folder() / "figures" / "recorded"
DENSE, CUT_DATA = "1×1", "2×2, data cut over tp"


def draw_two_replicas() -> Figure:
    """Two replicas of one model, each cut in two shards, read one text: who reads what, and what do they exchange?"""
    figure, ax = canvas(9.2, 3.5)
    label(ax, 0.95, 3.22, "one text, in windows", bold=True)
    for k in range(8):
        box(ax, 0.3, 2.68 - 0.3 * k, 1.3, 0.26, f"window {k}", size=9)
    label(ax, 4.55, 3.22, "two replicas of one model, two shards each", bold=True)
    for replica in range(2):
        y = 1.9 - 1.5 * replica
        label(ax, 3.35, y + 0.42, f"replica {replica}", ha="right")
        for shard in range(2):
            box(ax, 3.5 + 1.35 * shard, y, 1.2, 0.85, f"shard {shard}", rank=shard, size=10.5)
        arrow(ax, (1.7, 1.9 - 0.65 * replica), (2.55, y + 0.42))
        arrow(ax, (6.15, y + 0.42), (7.0, 1.8 - 0.2 * replica))
    label(ax, 2.32, 1.58, "who reads\nwhich?", size=10, colour=RED, bold=True)
    for shard in range(2):
        x = 4.1 + 1.35 * shard
        arrow(ax, (x, 1.3), (x, 1.85), both=True, dashed=True)
    label(ax, 4.78, 1.58, "what?", size=10, colour=RED, bold=True)
    label(ax, 8.05, 3.22, "one loss", bold=True)
    curve = [(7.15 + 0.17 * k, 1.3 + 1.25 * 0.72**k) for k in range(11)]
    ax.plot(*zip(*curve, strict=True), color=INK, linewidth=1.8)
    ax.plot([7.1, 7.1, 9.0], [2.7, 1.15, 1.15], color=GREY, linewidth=1.0)
    label(ax, 8.05, 0.95, "steps", size=9.5, colour=GREY)
    return figure


def draw_who_talks() -> Figure:
    """Four ranks as 2×2: along a row 14 all-reduces in a step, along a column two, one of them of all gradients."""
    figure, ax = canvas(8.8, 3.7)
    for rank in range(4):
        replica, shard = divmod(rank, 2)
        box(ax, 1.2 + 5.6 * shard, 2.5 - 1.9 * replica, 1.6, 0.8, f"rank {rank}\nshard {shard}", rank=shard)
    for replica in range(2):
        y = 2.9 - 1.9 * replica
        label(ax, 1.05, y, f"replica {replica}", ha="right")
        for shift in (-0.12, 0.0, 0.12):
            arrow(ax, (2.88, y + shift), (6.72, y + shift), both=True, colour=TP_COLOUR)
        label(ax, 4.8, y + 0.33, "tp: 5 + 3 forward, 5 backward, 1 for the norm", size=9, colour=TP_COLOUR, bold=True)
        label(ax, 4.8, y - 0.32, "activations, in every layer", size=9.5, colour=TP_COLOUR)
    for shard in range(2):
        x = 2.0 + 5.6 * shard
        arrow(ax, (x, 1.45), (x, 2.45), both=True, colour=DP_COLOUR)
        side = {"ha": "left" if shard == 0 else "right", "size": 9.5, "colour": DP_COLOUR}
        near = x + (0.12 if shard == 0 else -0.12)
        label(ax, near, 2.05, "dp: 1, all gradients", bold=True, **side)
        label(ax, near, 1.8, "and 1 number, the loss", **side)
    label(ax, 4.8, 0.2, "one step, 2 layers, on 2 × 2 ranks", size=10, colour=GREY)
    return figure


def draw_overlay() -> Figure:
    """Losses of four meshes lie on one curve; a run with its data cut over tp falls too, on another curve."""
    told = json.loads((RECORDED / "overlay.json").read_text(encoding="utf-8"))
    dense = told[DENSE]
    figure = Figure(figsize=(10.4, 3.7), facecolor="white", layout="constrained")
    losses, away = figure.subplots(1, 2)
    losses.plot(dense, color="#9db7d5", linewidth=6.0, label="one process")
    for name, style in (("2×2", "--"), ("1×4", ":"), ("4×1", "-.")):
        losses.plot(told[name], style, color=INK, linewidth=1.3, label=f"dp×tp {name}")
    losses.plot(told[CUT_DATA], color=RED, linewidth=1.3, marker="x", markevery=6, label="✗ 2×2, data cut over tp")
    losses.set_title("loss, float64", fontsize=10, loc="left")
    losses.set_ylim(bottom=0)
    losses.legend(frameon=False, fontsize=9)
    lines = (
        (CUT_DATA, {"color": RED, "marker": "x", "markevery": 6}, "✗ data cut over tp"),
        ("1×1 float32", {"color": "#9db7d5", "linewidth": 5.0}, "one process, float32"),
        ("2×2 float32", {"color": INK, "linestyle": "--"}, "2×2, float32"),
        ("2×2", {"color": GREY}, "2×2, float64"),
    )
    for name, line, text in lines:
        _away(away, told[name], dense, line, text)
    away.set_yscale("log")
    away.set_ylim(1e-17, 3)
    away.set_title("how far from one process in float64, relative", fontsize=10, loc="left")
    away.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for ax in (losses, away):
        ax.set_xlabel("step", color=GREY)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _away(ax: Axes, curve: Sequence[float], dense: Sequence[float], line: dict, text: str) -> None:
    """The largest relative difference up to each step; one of nothing is drawn as half of float64's rounding."""
    largest, points = 5e-17, []
    for ours, theirs in zip(curve, dense, strict=True):
        largest = max(largest, abs(ours - theirs) / theirs)
        points.append(largest)
    ax.plot(points, label=text, **line)


def draw_real_run() -> Figure:
    """300 steps of tiny-llama's model on one process and on 2×2 ranks: loss, held-out bits a byte, tokens a second."""
    return training_curves({f"dp×tp {mesh.replace('x', '×')}": recorded_run(mesh) for mesh in ("1x1", "2x2")})


def recorded_run(mesh: str) -> list[dict]:
    """The log of a recorded run of `tplearn train --mesh {mesh}`."""
    lines = (RECORDED / f"train_{mesh}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def draw_mesh_picker() -> Figure:
    """Sixteen ranks as two replicas of eight shards each: what each rank reads and holds, and what its groups send."""
    figure = Figure(facecolor="white")
    paint_mesh(figure, ranks=16, tp=8, order=ORDERS[0], model="Llama-3.1-8B", batch=16, length=2048)
    return figure
