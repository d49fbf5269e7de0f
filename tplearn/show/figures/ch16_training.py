"""Figures of chapter 16 on training: a step's seconds by part for the best layouts, and how far the model is off."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tplearn.planning import ACCELERATORS, MODELS, Layout, StepTime, TrainingJob, all_layouts, step_time, training_flops
from tplearn.show.style import GREY, INK, RED

HELD_OUT = Path(__file__).parents[3] / "tests" / "planning" / "held_out.json"
JOB = TrainingJob(MODELS["Llama-3.1-405B"], sequence=8192, batch=2048)  # arXiv:2407.21783, Table 4: 16.8 M tokens
TIMES = ("s a step", "ms to the first token")  # units of the held-out rows in which less is faster
GPUS, PUBLISHED_TFLOPS = 16384, 400
PUBLISHED = Layout(tp=8, pp=16, dp=128, zero=1, micro_batches=16, recompute="selective", virtual_stages=8)
TPS = (4, 8, 16, 32)
PARTS = {  # part of a step: name, colour, hatch
    "matmuls": ("matmuls", "#a9d3f0", ""),
    "elementwise": ("elementwise", "#d5d9dd", "---"),
    "tensor_parallel": ("TP", "#f3b79b", "///"),
    "context_parallel": ("CP", "#5b6472", ""),
    "bubble": ("bubble", "#ffffff", "xxx"),
    "pipeline_sends": ("sends", "#9fdcc4", "..."),
    "data_parallel": ("DP", "#8f98a3", "\\\\\\"),
}


def published_seconds() -> float:
    """A step at the published rate, with the causal half of the scores counted, as that paper counts."""
    return training_flops(JOB.shape, JOB.tokens, JOB.sequence, causal=True) / (GPUS * PUBLISHED_TFLOPS * 1e12)


def step_rows() -> dict[str, StepTime]:
    """The published layout, and for some tp the best that the search finds, by name."""
    card = ACCELERATORS["H100"]
    found = all_layouts(JOB, GPUS, card).ranked
    rows = {_name(PUBLISHED) + ", the paper's": step_time(JOB, PUBLISHED, card)}
    for tp in TPS:
        best = next(one for one in found if one.layout.tp == tp)
        rows[_name(best.layout)] = best.time
    return rows


def draw_step() -> Figure:
    """A step of Llama 3 405B on 16,384 H100 by part, the paper's layout and the best of tp 4 to 32: 8 leads."""
    rows = step_rows()
    figure = Figure(figsize=(9.6, 3.6), facecolor="white", layout="constrained")
    ax, names = figure.subplots(), list(rows)
    left = [0.0] * len(rows)
    for part, (name, colour, hatch) in PARTS.items():
        seconds = [time.parts[part] for time in rows.values()]
        look = {"color": colour, "hatch": hatch, "edgecolor": INK, "linewidth": 0.6}
        ax.barh(range(len(rows)), seconds, left=left, height=0.65, label=name, **look)
        left = [start + one for start, one in zip(left, seconds, strict=True)]
    for row, end in enumerate(left):
        ax.text(end + 0.08, row, f"{end:.2f} s", fontsize=9.5, va="center")
    ax.plot([published_seconds()] * 2, [-0.45, 0.45], color=RED, linewidth=2.4, label="published: 400 TFLOP/s")
    ax.set_yticks(range(len(rows)), names)
    ax.invert_yaxis()
    ax.set_xlim(0, max(left) * 1.1)
    ax.set_xlabel("seconds of a step, 16.8 M tokens", color=GREY)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_held_out() -> Figure:
    """Thirty measurements that the model had not seen: how far it was off, from half too little to 74 % too much."""
    rows = sorted(json.loads(HELD_OUT.read_text(encoding="utf-8"))["rows"], key=lambda row: row["error"])
    figure = Figure(figsize=(9.6, 5.9), facecolor="white", layout="constrained")
    ax = figure.subplots()
    ax.axvspan(-10, 10, color="#e5e7eb", zorder=0)
    ax.axvline(0, color=INK, linewidth=1.0)
    for place, row in enumerate(rows):
        error, face = 100 * row["error"], "white" if row["unit"] in TIMES else None
        colour = RED if abs(error) > 25 else INK
        ax.plot([0, error], [place] * 2, color=GREY, linewidth=1.0)
        ax.plot([error], [place], "o", color=colour, markersize=6, markerfacecolor=face or colour)
    ax.set_yticks(range(len(rows)), [row["what"] for row in rows], fontsize=9)
    ax.set_ylim(-0.7, len(rows) - 0.3)
    median = statistics.median(abs(row["error"]) for row in rows)
    ax.set_title("predicted against measured, in % (filled: a rate; hollow: a time)", fontsize=10, loc="left")
    ax.set_xlabel(f"grey: within 10 %; median without sign: {median:.1%}", color=GREY)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def too_fast(row: dict) -> bool:
    """Whether the model promised more than was measured: a higher rate, or a shorter time."""
    return (row["error"] < 0) == (row["unit"] in TIMES)


def _name(layout: Layout) -> str:
    sizes: Sequence[tuple[str, int]] = [(name, getattr(layout, name)) for name in ("tp", "cp", "pp", "dp")]
    return " · ".join(f"{name} {size}" for name, size in sizes if size > 1)
