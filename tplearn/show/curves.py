"""Training curves from logs: loss, held-out bits a byte and tokens a second, by step, one line for each run."""

from collections.abc import Mapping, Sequence
from statistics import mean, median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.style import GREY, INK

POINTS = 150  # of a curve: so many means of neighbouring steps
# The first run is a broad light line, so that a later one that lies on it can be seen.
LINES = (
    {"color": "#9db7d5", "linewidth": 5.0},
    {"color": INK, "linewidth": 1.3, "linestyle": "--"},
    {"color": "#b3591e", "linewidth": 1.3, "linestyle": ":"},
    {"color": "#1b7f4b", "linewidth": 1.3, "linestyle": "-."},
)


def training_curves(runs: Mapping[str, Sequence[Mapping]]) -> Figure:
    """runs: {name: rows of its log.jsonl}; the name "" needs no legend. At most four runs can be told apart.

    Raises ValueError for more runs, and for one without a step.
    """
    if not 1 <= len(runs) <= len(LINES):
        raise ValueError(f"{len(runs)} runs cannot be drawn in one picture; 1 to {len(LINES)} work")
    figure = Figure(figsize=(11, 3.4), facecolor="white", layout="constrained")
    loss, held, speed = figure.subplots(1, 3)
    for (name, rows), line in zip(runs.items(), LINES, strict=False):
        if not rows:
            raise ValueError(f"the run {name!r} has no rows; the log of at least one step works")
        _line(loss, rows, "loss", line, name)
        looks = [row for row in rows if row["held_out_bits"] is not None]
        held.plot([row["step"] for row in looks], [row["held_out_bits"] for row in looks], marker="o", **line)
        middle = median(row["tokens_per_second"] for row in rows)
        _line(speed, rows, "tokens_per_second", line, f"{name} (median {middle:,.0f})".strip())
    titles = {loss: "loss, nats a token", held: "held-out text, bits a byte", speed: "tokens a second"}
    for ax, title in titles.items():
        ax.set_title(title, fontsize=10, loc="left")
        ax.set_xlabel("step", color=GREY)
        ax.set_ylim(bottom=0)
        ax.spines[["top", "right"]].set_visible(False)
    if any(runs):
        loss.legend(frameon=False, fontsize=9)
    speed.legend(fontsize=9, loc="lower right", edgecolor="none", framealpha=0.85)  # on a busy machine curves are here
    return figure


def _line(ax: Axes, rows: Sequence[Mapping], key: str, line: Mapping, name: str) -> None:
    width = -(-len(rows) // POINTS)
    groups = [rows[k : k + width] for k in range(0, len(rows), width)]
    ax.plot(
        [mean(row["step"] for row in group) for group in groups],
        [mean(row[key] for row in group) for group in groups],
        label=name,
        **line,
    )
