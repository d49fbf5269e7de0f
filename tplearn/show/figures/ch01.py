"""Chapter 01's pictures: what a GPU stores, and four ways to store less of it."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.planning import MODELS, ModelShape, Plan, max_sequences, memory_plan, weight_bytes_per_rank
from tplearn.show.style import GREEN, GREY, HIGHLIGHT, INK, LIGHT, RED, arrow, box, canvas, label, repeatable

GB = 10**9
WEIGHTS, CACHE = "#9aa3af", "#a9d3f0"  # dark and light also in greyscale
WAYS = ("DP", "TP", "PP", "FSDP")
LEFT, FULL = 0.95, 4.75  # a bar's left edge and its length, in inches


def draw_one_gpu() -> Figure:
    """A 70B model in bfloat16 on one 160 GB GPU: little room is left for KV cache. On two GPUs: a question."""
    figure = _bars((1,), 2)
    ax, y = figure.axes[0], _height(1, 2)
    label(ax, 0.12, y + 0.22, "TP = 2", size=11, bold=True, ha="left")
    box(ax, LEFT, y, FULL, 0.45, "?", face="white", edge=GREY, dashed=True)
    for x in (6.5, 7.7):
        label(ax, x, y + 0.22, "?", size=12)
    return figure


def draw_memory_bars() -> Figure:
    """A 70B model in bfloat16 on 160 GB GPUs at TP 1, 2, 4, 8: as the weights shrink, the room for KV cache grows."""
    return _bars((1, 2, 4, 8), 4)


def _height(row: int, rows: int) -> float:
    return 0.4 + (rows - 1 - row) * 0.65


def _bars(sizes: tuple[int, ...], rows: int) -> Figure:
    """One bar for each tp, in a picture with room for `rows` bars: weights, room, and how many sequences fit."""
    shape, gpu_bytes, sequence = MODELS["Llama-3.1-70B"], 160 * GB, 8192
    figure, ax = canvas(8.4, 0.9 + 0.65 * rows)
    top = _height(0, rows) + 0.87
    label(ax, LEFT, top, "memory of one GPU: 160 GB", size=10.5, bold=True, ha="left")
    for x, text in ((6.5, "8K sequences\nper group"), (7.7, "per GPU")):
        label(ax, x, top, text, size=10, bold=True)
    for row, tp in enumerate(sizes):
        y = _height(row, rows)
        weights = weight_bytes_per_rank(shape, tp)
        cut = FULL * weights / gpu_bytes
        label(ax, 0.12, y + 0.22, f"TP = {tp}", size=11, bold=True, ha="left")
        box(ax, LEFT, y, cut, 0.45, f"{'weights ' if cut > 1.1 else ''}{weights / GB:.0f}", face=WEIGHTS)
        room = FULL - cut
        box(ax, LEFT + cut, y, room, 0.45, f"{'KV cache ' if room > 1.1 else ''}{160 - weights / GB:.0f}", face=CACHE)
        fits = max_sequences(shape, tp, sequence, gpu_bytes)
        label(ax, 6.5, y + 0.22, str(fits), size=12)
        label(ax, 7.7, y + 0.22, f"{fits / tp:.0f}", size=12, bold=True)
    note = "Numbers in GB. Left: weights of Llama-3.1-70B. Right: room for KV cache."
    label(ax, LEFT, 0.15, note, ha="left", colour=GREY)
    return figure


def draw_four_ways() -> Figure:
    """Data, tensor, pipeline parallelism and FSDP on four GPUs: the weights and the KV cache that each GPU keeps."""
    ways = (
        ("DP: cut the batch", "all weights · its own sequences", "nothing to serve, gradients to train"),
        ("TP: cut every matrix", "a slice of each layer · its heads' cache", "two sums in every layer"),
        ("PP: cut the stack", "whole layers, a few · their cache", "activations, stage to stage"),
        ("FSDP: cut the storage", "a slice of all layers · its own sequences", "weights, a layer at a time (shaded)"),
    )
    figure, ax = canvas(9.0, 6.3)
    for place, (title, keeps, talks) in enumerate(ways):
        left, bottom = 0.25 + place % 2 * 4.5, 3.25 - place // 2 * 3.1
        label(ax, left, bottom + 2.8, title, size=12, bold=True, ha="left")
        for rank in range(4):
            _gpu(figure, left + rank * 1.04, bottom + 0.72, title[:2], rank)
        label(ax, left, bottom + 0.47, f"A GPU keeps: {keeps}", size=9.5, ha="left")
        label(ax, left, bottom + 0.22, f"The wire carries: {talks}", size=9.5, ha="left", colour=GREY)
    return figure


def _gpu(figure: Figure, left: float, bottom: float, way: str, rank: int) -> None:
    """One GPU's card: four layers above, the KV cache of four sequences below; what it keeps is filled."""
    ax, width, high = figure.axes[0], 0.78, 0.2
    box(ax, left, bottom, 0.94, 1.88, face="white", edge=GREY)
    label(ax, left + 0.47, bottom + 1.74, f"GPU {rank}", size=9)
    for layer in range(4):
        y = bottom + 1.36 - layer * 0.24
        box(ax, left + 0.08, y, width, high, face="white", edge=GREY, dashed=True, line=0.7)
        if way == "FS" and layer == 1:
            box(ax, left + 0.08, y, width, high, face=HIGHLIGHT, dashed=True, line=0.9)
        if way in ("TP", "FS"):
            box(ax, left + 0.08 + rank * width / 4, y, width / 4, high, rank=rank)
        elif way == "DP" or layer == rank:
            box(ax, left + 0.08, y, width, high, rank=rank)
    label(ax, left + 0.47, bottom + 0.5, "cache", size=9, colour=GREY)
    for sequence in range(4):  # a column for a sequence; its height stands for layers and heads
        x, y = left + 0.1 + sequence * 0.2, bottom + 0.07
        box(ax, x, y, 0.14, 0.32, face="white", edge=GREY, dashed=True, line=0.7)
        if way in ("DP", "FS") and sequence == rank:
            box(ax, x, y, 0.14, 0.32, rank=rank)
        elif way in ("TP", "PP"):
            box(ax, x, y + 0.24 - rank * 0.08, 0.14, 0.08, rank=rank)


def draw_memory_planner() -> Figure:
    """Llama-3.1-8B in bfloat16 on four 24 GB GPUs, 32 sequences of 8,192 tokens: DP does not fit, the others do."""
    figure = Figure(facecolor="white")
    planner_picture(figure, MODELS["Llama-3.1-8B"], 24, 4, 32, 8192, 2, 2)
    return figure


def planner_picture(
    figure: Figure,
    shape: ModelShape,
    gpu_gb: int,
    gpus: int,
    batch: int,
    sequence: int,
    bytes_per_parameter: float,
    bytes_per_value: float,
) -> str:
    """Draw the fullest GPU of DP, TP, PP and FSDP against its capacity; return the same in words."""
    _, ax = canvas(8.6, 3.5, figure)
    left, full = 0.75, 4.3  # inches from the left edge, and inches of capacity
    words = []
    label(ax, left, 3.25, f"one of {gpus} GPUs", size=10.5, bold=True, ha="left")
    label(ax, left + full, 3.25, f"{gpu_gb} GB", size=10.5, bold=True)
    _planner_frame(ax, left, full)
    for row, way in enumerate(WAYS):
        y = _row(row)
        try:
            plan = memory_plan(
                shape,
                **{"DP": {"dp": gpus}, "TP": {"tp": gpus}, "PP": {"pp": gpus}, "FSDP": {"dp": gpus, "fsdp": True}}[way],
                gpu_bytes=gpu_gb * GB,
                batch=batch,
                sequence=sequence,
                bytes_per_parameter=bytes_per_parameter,
                bytes_per_value=bytes_per_value,
            )
        except ValueError as error:
            label(ax, left, y + 0.21, f"cannot be cut; {str(error).rpartition('; ')[2]}", colour=RED, ha="left")
            words.append(f"{way} cannot be cut this way.")
            continue
        used = (plan.gpu_bytes - plan.free_bytes) / GB
        _planner_bar(figure, left, y, full, plan)
        colour, verdict = (GREEN, "✓ fits") if plan.fits else (RED, "✗ too much")
        label(ax, 6.15, y + 0.21, f"{used:.1f} GB {verdict}", size=10, colour=colour, bold=True, ha="left")
        label(ax, 8.4, y + 0.21, str(plan.max_sequences), size=11, ha="right")
        words.append(f"{way} needs {used:.1f} of {gpu_gb} GB and {'fits' if plan.fits else 'does not fit'}.")
    return " ".join(words)


def _row(row: int) -> float:
    """Where a way's bar stands: its lower edge."""
    return 2.45 - row * 0.65


@repeatable
def _planner_frame(ax: Axes, left: float, full: float) -> None:
    """What every setting shares: the ways' names, the line of the capacity, the legend."""
    label(ax, 8.5, 3.25, "sequences that fit", size=10.5, bold=True, ha="right")
    for row, way in enumerate(WAYS):
        label(ax, 0.1, _row(row) + 0.21, way, size=11, bold=True, ha="left")
    ax.plot([left + full] * 2, [0.42, 2.98], color=INK, linewidth=1.6, linestyle="--", zorder=6)
    for x, face, text in ((left, WEIGHTS, "weights"), (2.0, HIGHLIGHT, "gathered layer"), (3.7, CACHE, "KV cache")):
        box(ax, x, 0.1, 0.24, 0.2, face=face)
        label(ax, x + 0.32, 0.2, text, size=9.5, ha="left")


def _planner_bar(figure: Figure, left: float, y: float, full: float, plan: Plan) -> None:
    """Weights, gathered layer and cache end to end; what would leave the page ends in an arrow."""
    ax, x, end = figure.axes[0], left, left + full * 1.2
    pieces = ((plan.weight_bytes, WEIGHTS), (plan.gathered_bytes, HIGHLIGHT), (plan.kv_cache_bytes, CACHE))
    for size, face in pieces:
        width = min(full * size / plan.gpu_bytes, end - x)
        if width > 0.005:
            box(ax, x, y, width, 0.42, f"{size / GB:.1f}" if width > 0.5 else "", face=face)
            x += width
    if plan.gpu_bytes - plan.free_bytes > 1.2 * plan.gpu_bytes:
        arrow(ax, (end - 0.02, y + 0.21), (end + 0.2, y + 0.21), colour=RED)
    if plan.free_bytes > 0:
        box(ax, x, y, left + full - x, 0.42, face=LIGHT, edge=GREY, dashed=True, line=0.7)
