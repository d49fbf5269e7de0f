"""Activation memory, tensor by tensor: what a rank keeps of one layer with and without sequence parallelism."""

from dataclasses import dataclass

from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from tplearn.show.style import GREY, INK, box, canvas, label
from tplearn.sizes import require_divisible

UNCUT, CUT = "#9aa3af", "#a9d3f0"  # dark and light also in greyscale
AGAIN, KEPT = "gathered again", "kept whole"
MIB = 2**20


@dataclass(frozen=True)
class Kept:
    """An input (or mask) that is kept for the backward pass: `units` times sequence · batch · hidden bytes in 16 bits.

    name: of the part whose input it is; attention's are Q, K and V.

    inside: between a column cut and a row cut, where tensor parallelism divides it. gathered: the input of a column
    cut, which a plain gather keeps whole.
    """

    name: str
    units: int
    inside: bool = False
    gathered: bool = False


# In the order of the forward pass; Korthikanti et al. 2022, section 4.1, without the attention scores. Sum: 34.
LAYER = (
    Kept("norm", 2),
    Kept("QKV", 2, gathered=True),
    Kept("attention", 6, inside=True),
    Kept("projection", 2, inside=True),
    Kept("dropout mask", 1),
    Kept("norm", 2),
    Kept("MLP", 2, gathered=True),
    Kept("GeLU", 8, inside=True),
    Kept("down", 8, inside=True),
    Kept("dropout mask", 1),
)


def units_kept(kept: Kept, tp: int, sequence_parallel: bool, inputs: str = AGAIN) -> float:
    """What one of tp ranks keeps of a tensor, in units of sequence · batch · hidden bytes."""
    whole = not (kept.inside or sequence_parallel) or (kept.gathered and inputs == KEPT)
    return kept.units if whole else kept.units / tp


def draw(figure: Figure, hidden: int = 12288, sequence: int = 2048, tp: int = 8, inputs: str = AGAIN) -> str:
    """Draw both ways for one sequence in 16-bit numbers, and say them. `inputs`: those of QKV and MLP, with SP.

    Raises ValueError where the sequence cannot be cut over tp ranks, or `inputs` is unknown.
    """
    if inputs not in (AGAIN, KEPT):
        raise ValueError(f"inputs = {inputs!r} is not known; values that work: {AGAIN!r}, {KEPT!r}")
    require_divisible("sequence", sequence, tp)
    _, ax = canvas(8.1, 4.5, figure)
    left, step = 1.7, 0.335
    unit = 5.6 / sum(kept.units for kept in LAYER)
    names = (("TP", UNCUT), ("TP + SP", CUT))
    totals = [0.0, 0.0]
    bars = []  # one artist for all of them: half the time of twenty boxes
    label(ax, left - 0.1, 4.3, "bytes / sbh", size=9.5, ha="right", colour=GREY)
    label(ax, left, 4.3, f"inputs kept on a rank, t = {tp}", size=10.5, bold=True, ha="left")
    for row, kept in enumerate(LAYER):
        y = 3.82 - row * step
        label(ax, left - 0.1, y + 0.14, f"{kept.name}  {kept.units}{'/t' * kept.inside}", size=9.5, ha="right")
        for way in (0, 1):
            start, low = left + totals[way] * unit, y + (1 - way) * 0.145
            totals[way] += units_kept(kept, tp, bool(way), inputs)
            stop, high = left + totals[way] * unit, low + 0.135
            bars.append(((start, low), (stop, low), (stop, high), (start, high)))
    ax.add_artist(PolyCollection(bars, facecolors=(UNCUT, CUT), edgecolors=INK, linewidths=0.6, zorder=2))
    mib = [total * sequence * hidden / MIB for total in totals]
    for way, (name, face) in enumerate(names):
        y = 0.42 - way * 0.31
        label(ax, left - 0.1, y + 0.12, name, size=10, bold=True, ha="right")
        box(ax, left, y, totals[way] * unit, 0.24, face=face)
        text, inside = f"{_short(totals[way])} sbh = {mib[way]:,.0f} MiB", totals[way] > 22
        x = left + totals[way] * unit + (-0.1 if inside else 0.1)
        label(ax, x, y + 0.12, text, size=10, bold=True, ha="right" if inside else "left")
    ax.plot([left, left], [0.05, 4.12], color=INK, linewidth=1.2)
    ax.plot([left + 34 * unit] * 2, [0.05, 4.12], color=GREY, linewidth=1.2, linestyle="--")
    label(ax, left + 34 * unit, 4.3, "34: one rank", size=9.5, colour=GREY)
    formula = f"34/{tp}" if inputs == AGAIN else f"4 + 30/{tp}"
    return (
        f"One layer, {sequence:,} tokens, hidden {hidden:,}, 16-bit numbers. "
        f"TP: 10 + 24/{tp} = {_short(totals[0])} sbh, {mib[0]:,.0f} MiB. "
        f"TP + SP: {formula} = {_short(totals[1])} sbh, {mib[1]:,.0f} MiB, {totals[1] / totals[0]:.0%} of it."
    )


def show():  # noqa: ANN201 (ipywidgets is only imported when a widget is wanted)
    """The widget: hidden size, tokens, tp, and whether the gathered inputs of QKV and MLP stay."""
    from tplearn.show.widgets.picture import Picture, choice, slider

    return Picture(
        draw,
        {
            "hidden": slider([2048, 4096, 8192, 12288, 25600], 12288, "hidden"),
            "sequence": slider([2048, 2049, 4096, 8192, 32768], 2048, "tokens"),
            "tp": slider([1, 2, 4, 8, 16], 8, "tp"),
            "inputs": choice([AGAIN, KEPT], AGAIN, "inputs of QKV and MLP, with SP"),
        },
    )


def _short(units: float) -> str:
    return f"{units:.2f}".rstrip("0").rstrip(".")
