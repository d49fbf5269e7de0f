"""Where a rank's time goes by tp: a roofline at the left, bars at the right, and under them what limits tp."""

from collections.abc import Iterator
from math import log

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from tplearn.planning import ACCELERATORS, MODELS, Accelerator, ModelShape, compute_bound_tp, tp_sizes
from tplearn.show.figures.ch16_parts import Cost, cost_of
from tplearn.show.style import GREY, INK, RED, Point, box, canvas, label, repeatable

PARTS = {  # name: colour, hatch; light to dark also in greyscale
    "matmuls": ("#a9d3f0", ""),
    "weights": ("#ffffff", "..."),
    "KV cache": ("#d5d9dd", "|||"),
    "norms, optimizer": ("#d5d9dd", "---"),
    "kernel starts": ("#8f98a3", ""),
    "collectives": ("#f3b79b", "///"),
}
LARGEST = 32
LEFT, RIGHT, LOW, HIGH = 5.0, 9.9, 1.72, 3.75  # of the bars, inches
ROOF = (0.75, 3.9, 0.75, 3.75)  # left, right, low, high
FLOPS_A_BYTE, TFLOPS = (0.5, 5e4), (0.5, 4e3)  # ends of the roofline's axes


def paint_explorer(figure: Figure, model: str, card: str, phase: str, batch: int, tokens: int, tp: int) -> str:
    """Draw all tp that cut the model, up to 32, mark `tp`, and say it in words.

    Raises ValueError as `cost_of` does.
    """
    shape, accelerator = MODELS[model], ACCELERATORS[card]
    own = cost_of(shape, accelerator, phase, batch, tokens, tp)
    _, ax = canvas(10.3, 4.5, figure)
    _setting(ax, model, card, phase, batch, tokens)
    _chosen(ax, accelerator, own)
    costs = _costs(shape, accelerator, phase, batch, tokens)
    step = (RIGHT - LEFT) / len(costs)
    for place, cost in enumerate(costs):
        name = f"tp {cost.tp}" if cost.fits else f"tp {cost.tp} ✗"
        _name(ax, LEFT + (place + 0.5) * step, _time(cost.total), name, cost.tp == tp)
    gain, share = costs[0].total / own.total, own.parts["collectives"] / own.total
    return (
        f"{model} on {card}, {phase} of {batch} sequences of {tokens:,} tokens: tp {tp} takes {_time(own.total)}, "
        f"{gain:.1f} times as fast as tp 1 on {tp} times the GPUs. Collectives take {share:.0%} of it. "
        f"{own.intensity:,.0f} FLOPs a byte; the ridge of {card} is at "
        f"{accelerator.peak_flops / accelerator.memory_bandwidth:.0f}."
        + ("" if own.fits else f" It does not fit the {accelerator.memory / 1e9:.0f} GB of a GPU.")
    )


def _costs(shape: ModelShape, card: Accelerator, phase: str, batch: int, tokens: int) -> list[Cost]:
    """Of every tp that the picture shows."""
    return [cost_of(shape, card, phase, batch, tokens, size) for size in tp_sizes(shape) if size <= LARGEST]


@repeatable
def _setting(ax: Axes, model: str, card: str, phase: str, batch: int, tokens: int) -> None:
    """What is the same whichever tp is chosen."""
    shape, accelerator = MODELS[model], ACCELERATORS[card]
    costs = _costs(shape, accelerator, phase, batch, tokens)
    label(ax, 0.15, 4.25, f"{model} on {card}, {phase}, {batch} × {tokens:,} tokens", ha="left", bold=True, size=11)
    _roof(ax, accelerator)
    _scales(ax)
    step = (RIGHT - LEFT) / len(costs)
    _bars(ax, costs, step)
    for row, (text, reach) in enumerate(_limits(shape, accelerator)):
        _limit(ax, 1.12 - 0.3 * row, text, sum(cost.tp <= reach for cost in costs) * step)
    _legend(ax, [name for name in PARTS if any(name in cost.parts for cost in costs)])


def _bars(ax: Axes, costs: list[Cost], step: float) -> None:
    """Shares of the time, 100 % high, and under each the gain over tp 1."""
    shapes: dict[str, list] = {name: [] for name in PARTS}
    for place, cost in enumerate(costs):
        x, y, wide, total = LEFT + (place + 0.1) * step, LOW, 0.8 * step, cost.total
        for name in PARTS:
            if size := cost.parts.get(name, 0.0) / total * (HIGH - LOW):
                shapes[name].append(((x, y), (x + wide, y), (x + wide, y + size), (x, y + size)))
                y += size
        label(ax, x + wide / 2, LOW - 0.35, f"{costs[0].total / total:.1f}×", size=9.5, colour=GREY)
    for name, corners in shapes.items():
        if corners:
            _fill(ax, name, tuple(corners))


@repeatable
def _name(ax: Axes, x: float, time: str, name: str, chosen: bool) -> None:
    """Over and under a bar."""
    label(ax, x, HIGH + 0.14, time, size=9, bold=chosen)
    label(ax, x, LOW - 0.14, name, size=9.5, bold=chosen)


@repeatable
def _fill(ax: Axes, name: str, corners: tuple[tuple[Point, ...], ...]) -> None:
    """Polygons in the look of a part: one artist, for one each would take longer than a redraw may."""
    face, hatch = PARTS[name]
    ax.add_collection(PolyCollection(corners, facecolor=face, edgecolor=INK, hatch=hatch, lw=0.7), autolim=False)


def _limits(shape: ModelShape, card: Accelerator) -> Iterator[tuple[str, float]]:
    """What limits tp, and how far it lets it go."""
    yield f"one node: {card.node_size}", card.node_size
    yield f"KV heads: {shape.num_key_value_heads}", shape.num_key_value_heads
    bound = compute_bound_tp(shape.intermediate_size, card)
    yield f"F·W/C: {bound:.1f}", bound


def _limit(ax: Axes, y: float, text: str, wide: float) -> None:
    """A bar under the tp that keep within a limit, with its name at the left."""
    label(ax, LEFT - 0.1, y, text, ha="right", size=9.5)
    box(ax, LEFT, y - 0.07, max(wide, 0.02), 0.14, face="#5b6472")


@repeatable
def _roof(ax: Axes, card: Accelerator) -> None:
    """The data sheet's roof, and that of programs dashed under it."""
    left, right, low, high = ROOF
    for fraction, memory, style in ((1.0, 1.0, "-"), (card.matmul_fraction, card.memory_fraction, "--")):
        peak, slope = card.peak_flops * fraction, card.memory_bandwidth * memory
        ends = (FLOPS_A_BYTE[0], peak / slope, FLOPS_A_BYTE[1])
        points = [_at(flops, min(peak, flops * slope) / 1e12) for flops in ends]
        ax.plot(*zip(*points, strict=True), style, color=INK, linewidth=1.2)
    ax.plot([left, left, right], [high, low, low], color=GREY, linewidth=1.0)


@repeatable
def _scales(ax: Axes) -> None:
    """Numbers and names at both axes of the roofline."""
    left, right, low, high = ROOF
    for flops in (1, 100, 10_000):
        label(ax, _at(flops, 1)[0], low - 0.17, f"{flops:,}", size=9, colour=GREY)
    for rate in (1, 10, 100, 1000):
        label(ax, left - 0.08, _at(1, rate)[1], f"{rate:,}", size=9, colour=GREY, ha="right")
    label(ax, (left + right) / 2, low - 0.42, "FLOPs a byte", size=9.5, colour=GREY)
    label(ax, left, high + 0.14, "TFLOP/s (dashed: what programs get)", size=9.5, colour=GREY, ha="left")


def _chosen(ax: Axes, card: Accelerator, own: Cost) -> None:
    """The chosen tp as a point on the dashed roof."""
    left, right, low, _ = ROOF
    reached = min(card.matmul_flops, own.intensity * card.read_bandwidth) / 1e12
    x, y = _at(min(max(own.intensity, FLOPS_A_BYTE[0]), FLOPS_A_BYTE[1]), max(reached, TFLOPS[0]))
    x, y = round(x, 3), round(y, 3)  # finer than a pixel; so many settings share a point
    _point(ax, x, y)
    under = y > low + 1.0
    label(
        ax, min(max(x, left + 0.6), right - 0.6), y + (-0.28 if under else 0.3), f"tp {own.tp}", colour=RED, bold=True
    )


@repeatable
def _point(ax: Axes, x: float, y: float) -> None:
    ax.plot([x], [y], "o", color=RED, markersize=9, zorder=6)


def _at(flops_a_byte: float, tflops: float) -> tuple[float, float]:
    """Inches of a point of the roofline, both axes logarithmic."""
    left, right, low, high = ROOF
    across = log(flops_a_byte / FLOPS_A_BYTE[0]) / log(FLOPS_A_BYTE[1] / FLOPS_A_BYTE[0])
    up = log(tflops / TFLOPS[0]) / log(TFLOPS[1] / TFLOPS[0])
    return left + across * (right - left), low + up * (high - low)


def _legend(ax: Axes, names: list[str]) -> None:
    x = LEFT - 1.1
    for name in names:
        _fill(ax, name, (((x, 0.12), (x + 0.24, 0.12), (x + 0.24, 0.3), (x, 0.3)),))
        label(ax, x + 0.3, 0.21, name, ha="left", size=9)
        x += 0.5 + 0.082 * len(name)


def _time(seconds: float) -> str:
    """Seconds with three digits, in a unit that suits them."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
