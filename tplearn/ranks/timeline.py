"""Compute and communication of every rank on one clock, from torch.profiler's spans."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPUTE = ("aten::mm", "aten::addmm", "aten::bmm", "aten::_scaled_dot_product", "aten::native_layer_norm", "aten::relu")
WIRES = ("gloo:", "nccl:")


def draw_timeline(spans: list[list[tuple[str, int, int]]]) -> "Figure":
    """One lane a rank: filled bars compute, hatched bars communicate. Spans: (name, start ns, end ns) by rank."""
    if not any(spans):
        raise ValueError("profile = False leaves no spans to draw; run_ranks(..., profile=True) works")
    from matplotlib.figure import Figure  # not pyplot: no window, no state
    from matplotlib.patches import Patch

    chosen = [[span for span in lane if span[0].startswith((*COMPUTE, *WIRES))] for lane in spans]
    everything = [span for lane in (chosen if any(chosen) else spans) for span in lane]
    zero = min(start for _, start, _ in everything)
    figure = Figure(figsize=(8, 0.9 + 0.5 * len(spans)), layout="constrained")
    axes = figure.add_subplot()
    for rank, lane in enumerate(chosen):
        for wire in (False, True):
            bars = [(start, end) for name, start, end in lane if name.startswith(WIRES) == wire]
            height = 0.34 if wire else 0.66
            axes.broken_barh(  # one for all bars of a kind: a script has easily ten thousands
                [((start - zero) / 1e6, (end - start) / 1e6) for start, end in bars],
                (rank - height / 2, height),
                facecolor="#f0a04b" if wire else "#4b7bab",
                hatch="////" if wire else None,
                edgecolor="black",
                linewidth=0.5,
            )
    axes.set_yticks(range(len(spans)), [f"rank {rank}" for rank in range(len(spans))])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds")
    legend = [
        Patch(facecolor="#4b7bab", edgecolor="black", label="compute"),
        Patch(facecolor="#f0a04b", edgecolor="black", hatch="////", label="communication"),
    ]
    axes.legend(handles=legend, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return figure
