"""Chapter 03: the data flow of an MLP over ranks, with the activation inside or outside the cut; fused weights."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import silu

from tplearn.show.style import GREEN, GREY, HIGHLIGHT, RED, arrow, box, canvas, label, legend_of_ranks
from tplearn.simulated import Ledger, all_reduce, split

TOKENS, HIDDEN, FFN = 4, 8, 16
PLANS = ("inside the cut", "outside: sum, then activate", "before the sum")
WEIGHTS = ("separate", "fused, each cut", "fused, cut as one block")


def draw_where_to_talk() -> Figure:
    """An MLP on one GPU, and the same on two ranks: how to cut up and down, and where must the ranks talk?"""
    figure, ax = canvas(10, 3.5)
    steps = (("x", 0.3, 0.8), ("up", 2.0, 1.5), ("gelu", 4.5, 1.1), ("down", 6.4, 1.5), ("y", 8.95, 0.8))
    label(ax, 0.3, 3.25, "one GPU", size=10.5, bold=True, ha="left")
    label(ax, 0.3, 2.0, "two ranks", size=10.5, bold=True, ha="left")
    legend_of_ranks(ax, 1.6, 1.9, range(2))
    for middle, rank in ((2.72, None), (1.35, 0), (0.55, 1)):
        for name, left, width in steps:
            text = name if rank is None or name in ("x", "gelu", "y") else f"half of {name}"
            box(ax, left, middle - 0.28, width, 0.56, text, rank=rank, size=9.5)
        for start, end in ((1.1, 2.0), (3.5, 4.5), (5.6, 6.4), (7.9, 8.95)):
            arrow(ax, (start, middle), (end, middle))
    for left in (3.65, 8.05):
        box(ax, left, 0.2, 0.7, 1.5, face="white", edge=GREY, dashed=True, rounded=True)
        label(ax, left + 0.35, 0.95, "talk?", size=10, bold=True, backed=True)
    return figure


def draw_data_flow() -> Figure:
    """Column then row on 2 ranks: each rank runs matmul, activation, matmul alone; one all-reduce at the end."""
    figure = Figure(facecolor="white")
    paint_data_flow(figure, activation=PLANS[0], weights=WEIGHTS[0], tp=2)
    return figure


def draw_activation_outside() -> Figure:
    """Row first on 2 ranks: the inner layer arrives as partials, to be summed before the activation: two sums."""
    figure = Figure(facecolor="white")
    paint_data_flow(figure, activation=PLANS[1], weights=WEIGHTS[0], tp=2)
    return figure


def draw_fused_cut() -> Figure:
    """A fused weight, gate above up: cut as one block, rank 0 gets all of gate; cut each, both get matching rows."""
    figure, ax = canvas(10, 3.9)
    label(ax, 0.3, 3.6, "gate_up.weight", bold=True, ha="left")
    for name, base in (("gate", 1.9), ("up", 0.5)):
        for half in range(2):
            box(ax, 0.3, base + 0.7 * (1 - half), 1.8, 0.7, f"{name} rows,\n{('first', 'second')[half]} half", size=9.5)
    label(ax, 3.1, 3.6, "cut as one block  ✗", bold=True, ha="left", colour=RED)
    label(ax, 6.7, 3.6, "gate and up cut one by one  ✓", bold=True, ha="left", colour=GREEN)
    wrong = (("gate, first", "gate, second"), ("up, first", "up, second"))
    right = (("gate, first", "up, first"), ("gate, second", "up, second"))
    arrow(ax, (2.25, 1.9), (2.95, 1.9))
    label(ax, 6.15, 1.9, "or", size=12, bold=True)
    for left, shards in ((3.1, wrong), (6.7, right)):
        for rank, rows in enumerate(shards):
            base = 1.9 if rank == 0 else 0.5
            for place, text in enumerate(rows):
                box(
                    ax, left, base - 0.03 + 0.12 * (1 - rank) + 0.66 * (1 - place), 1.7, 0.62, text, rank=rank, size=9.5
                )
            label(ax, left + 1.8, base + 0.65, f"rank {rank}", ha="left", bold=True)
    label(ax, 3.1, 0.15, "no rank can form silu(gate) · up", ha="left", colour=RED)
    label(ax, 6.7, 0.15, "each rank forms its own columns", ha="left", colour=GREEN)
    return figure


def run_plan(activation: str, weights: str, tp: int) -> tuple[float, Ledger]:
    """Run a small SwiGLU MLP over tp simulated ranks: the largest error against the dense one, and the ledger.

    activation: one of PLANS. weights: one of WEIGHTS. Raises ValueError for another word, or a tp that does not divide.
    """
    for name, word, known in (("activation", activation, PLANS), ("weights", weights, WEIGHTS)):
        if word not in known:
            raise ValueError(f"{name} = {word!r} is none of: {', '.join(known)}")
    random = torch.Generator().manual_seed(0)
    shapes = ((TOKENS, HIDDEN), (FFN, HIDDEN), (FFN, HIDDEN), (HIDDEN, FFN))
    x, gate, up, down = (torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes)
    ledger = Ledger()
    if activation == PLANS[0]:
        if weights == WEIGHTS[2]:
            shards = split(torch.cat([gate, up]), tp, dim=0)
        else:
            shards = [torch.cat(pair) for pair in zip(split(gate, tp, 0), split(up, tp, 0), strict=True)]
        h_shards = [_swiglu(x @ shard.T) for shard in shards]
    else:  # the first weight is cut by its inputs: fused or not makes no difference
        shards = split(torch.cat([gate, up]), tp, 1)
        inner = [x_shard @ shard.T for x_shard, shard in zip(split(x, tp, 1), shards, strict=True)]  # partials
        inner = all_reduce(inner, ledger=ledger) if activation == PLANS[1] else inner
        h_shards = [split(_swiglu(h), tp, 1)[rank] for rank, h in enumerate(inner)]
    result = all_reduce([h @ d.T for h, d in zip(h_shards, split(down, tp, 1), strict=True)], ledger=ledger)
    return float((result[0] - (silu(x @ gate.T) * (x @ up.T)) @ down.T).abs().max()), ledger


def _swiglu(inner: Tensor) -> Tensor:
    """silu(first half of the columns) · second half."""
    gate, up = inner.chunk(2, dim=-1)
    return silu(gate) * up


def paint_data_flow(figure: Figure, *, activation: str, weights: str, tp: int) -> str:
    """Draw the data flow of one plan over tp ranks on `figure`, run it, and say what came out."""
    error, ledger = run_plan(activation, weights, tp)
    lane = 0.72
    height = 2.2 + lane * tp
    _, ax = canvas(10, height, figure)
    inside, summed_first = activation == PLANS[0], activation == PLANS[1]
    columns = {
        "x": (0.2, 1.0, "x: all" if inside else "x: columns"),
        "first": (1.6, 1.7, "gate, up:\noutputs cut" if inside else "gate, up:\ninputs cut"),
        "act": (
            4.3,
            1.5,
            "silu(gate)·up\n" + ("on a shard" if inside else "on the whole" if summed_first else "on a PARTIAL"),
        ),
        "down": (6.1, 1.4, "down:\ninputs cut"),
        "y": (8.75, 1.05, "y: all"),
    }
    top = height - 0.55
    legend_of_ranks(ax, 0.2, height - 0.33, range(tp))
    for rank in range(tp):
        middle = top - lane * (rank + 0.5)
        for name, (left, width, text) in columns.items():
            if name == "first" and inside and weights != WEIGHTS[0]:
                torn = weights == WEIGHTS[2] and tp > 1
                text = f"gate_up: only\n{'gate' if rank < tp / 2 else 'up'} rows" if torn else "gate_up:\neach cut"
            if rank > 1 and not (name == "first" and "only" in text):
                text = ""  # the lanes are alike: two that are labelled say it, and text is what makes a redraw slow
            box(ax, left, middle - 0.28, width, 0.56, text, rank=rank, size=9)
        for start, end in ((1.2, 1.6), (3.3, 4.3), (5.8, 6.1), (7.5, 8.75)):
            arrow(ax, (start, middle), (end, middle))
    bars = [(3.45, "all-\nreduce")] * summed_first + [(7.75, "all-\nreduce")]
    for left, text in bars:
        box(ax, left, top - lane * tp, 0.68, lane * tp, face=HIGHLIGHT, rounded=True)
        label(ax, left + 0.34, top - lane * tp / 2, text, size=9.5, bold=True, backed=True)
    return _say(ax, activation, weights, error, ledger)


def _say(ax: Axes, activation: str, weights: str, error: float, ledger: Ledger) -> str:
    """The panel below the lanes: the error, the number of all-reduces, their bytes, and one sentence."""
    right = error < 1e-12
    count, size = ledger.count("all_reduce", rank=0), ledger.bytes("all_reduce", rank=0)
    verdict = "right ✓   error below 1e-12" if right else f"wrong ✗   largest error {error:.0f}"
    bill = f"all-reduces: {count}   bytes handed over by each rank: {size}"
    if activation == PLANS[0]:
        why = (
            "Half of the ranks hold gate rows only, the others up rows only: every pair is torn apart."
            if not right
            else ("A shard's numbers are finished, so the activation may run inside the cut.")
        )
    elif activation == PLANS[1]:
        why = "Cut by inputs, the inner layer arrives as partials. They must be summed before the activation."
    else:
        why = (
            "silu(a) + silu(b) is not silu(a + b): partials are summed first."
            if not right
            else "One rank: nothing to sum."
        )
    box(ax, 0.2, 0.15, 9.6, 1.2, face="#ffffff", edge=GREEN if right else RED, rounded=True, line=2)
    label(ax, 0.45, 1.07, verdict, size=11, bold=True, ha="left", colour=GREEN if right else RED)
    label(ax, 0.45, 0.74, bill, ha="left")
    label(ax, 0.45, 0.42, why, ha="left")
    return f"Activation {activation}, weights {weights}: {verdict}. {bill}. {why}"
