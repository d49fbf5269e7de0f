"""Chapter 06: what runs on the way forward and back between two ranks, and the two pairs of transposes under it all."""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tplearn.show.style import GREEN, GREY, HIGHLIGHT, RED, arrow, box, canvas, label
from tplearn.simulated import Ledger, all_gather, all_reduce, reduce_scatter, split

TOKENS, HIDDEN, FFN = 12, 4, 12
ENTRIES = ("copy_to_group (f)", "gather_sequence", "nothing")
EXITS = ("reduce_from_group (g)", "reduce_scatter_sequence", "all-reduce both ways", "nothing")
RIGHT = "✓"


@dataclass(frozen=True)
class Trip:
    """One forward and backward pass: what is right ("✓" or what is wrong), and which collectives ran where."""

    verdicts: dict[str, str]  # "y", "dW", "dx"
    forward: tuple[str, str]  # the collective at the entry and at the exit, "" for none
    backward: tuple[str, str]

    @property
    def right(self) -> bool:
        """Whether the result and every gradient are right."""
        return set(self.verdicts.values()) == {RIGHT}


def run_pair(entry: str, leave: str, tp: int) -> Trip:
    """A small relu MLP over tp simulated ranks between two functions, forward and back, against the dense one.

    entry: one of ENTRIES. leave: one of EXITS. Raises ValueError for another word, or a tp that does not divide.
    """
    for name, word, known in (("entry", entry, ENTRIES), ("leave", leave, EXITS)):
        if word not in known:
            raise ValueError(f"{name} = {word!r} is none of: {', '.join(known)}")
    random = torch.Generator().manual_seed(0)
    shapes = ((TOKENS, HIDDEN), (FFN, HIDDEN), (HIDDEN, FFN), (TOKENS, HIDDEN))
    x, up, down, dy = (torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes)
    ups, downs, ops = split(up, tp, 0), split(down, tp, 1), []

    def ran(values: list[Tensor], ledger: Ledger) -> list[Tensor]:
        ops.append(ledger.rows[0].op if ledger.rows else "")
        return values

    book = Ledger()
    whole = all_gather(split(x, tp, 0), 0, ledger=book) if entry == ENTRIES[1] else [x] * tp
    whole = ran(whole, book)
    hidden = [w @ u.T for w, u in zip(whole, ups, strict=True)]
    parts = [h.relu() @ d.T for h, d in zip(hidden, downs, strict=True)]
    y = ran(*_leave(leave, parts))
    grads = ran(*_back_from(leave, split(dy, tp, 0) if leave == EXITS[1] else [dy] * tp))
    dh = [(g @ d) * (h > 0) for g, d, h in zip(grads, downs, hidden, strict=True)]
    weights = [*(g.T @ h.relu() for g, h in zip(grads, hidden, strict=True)), *(g.T @ x for g in dh)]
    book, dx = Ledger(), [g @ u for g, u in zip(dh, ups, strict=True)]
    if entry == ENTRIES[0]:
        dx = all_reduce(dx, ledger=book)
    elif entry == ENTRIES[1]:
        dx = reduce_scatter(dx, 0, ledger=book)
    dx = ran(dx, book)

    dense_h = x @ up.T
    dense_dh = (dy @ down) * (dense_h > 0)
    dense_y, dense_dx = dense_h.relu() @ down.T, dense_dh @ up
    dense_weights = [*split(dy.T @ dense_h.relu(), tp, 1), *split(dense_dh.T @ x, tp, 0)]
    cut_y, cut_x = leave == EXITS[1], entry == ENTRIES[1]
    verdicts = {
        "y": _judge(y, split(dense_y, tp, 0) if cut_y else [dense_y] * tp),
        "dW": _judge(weights, dense_weights),
        "dx": _judge(dx, split(dense_dx, tp, 0) if cut_x else [dense_dx] * tp),
    }
    return Trip(verdicts, (ops[0], ops[1]), (ops[3], ops[2]))


def _leave(leave: str, parts: list[Tensor]) -> tuple[list[Tensor], Ledger]:
    book = Ledger()
    if leave == EXITS[1]:
        return reduce_scatter(parts, 0, ledger=book), book
    return (parts if leave == EXITS[3] else all_reduce(parts, ledger=book)), book


def _back_from(leave: str, grads: list[Tensor]) -> tuple[list[Tensor], Ledger]:
    book = Ledger()
    if leave == EXITS[1]:
        return all_gather(grads, 0, ledger=book), book
    return (all_reduce(grads, ledger=book) if leave == EXITS[2] else grads), book


def _judge(got: list[Tensor], want: list[Tensor]) -> str:
    """ "✓", or in which way the ranks' tensors are wrong."""
    times = round(float((got[0] * want[0]).sum() / (want[0] * want[0]).sum()))
    close = all(torch.allclose(g, times * w, rtol=0, atol=1e-10) for g, w in zip(got, want, strict=True))
    if close and times == 1:
        return RIGHT
    return f"✗ {times} × too large" if close else "✗ not the sum"


def paint_pair(figure: Figure | None, *, entry: str, leave: str, tp: int) -> str:
    """Draw the way forward and the way back of the first and the last of tp ranks, run it, and say what came out."""
    trip = run_pair(entry, leave, tp)
    figure, ax = canvas(10, 4.75, figure)
    for left, name in ((2.87, entry), (6.67, leave)):
        label(ax, left + 0.75, 4.5, name, bold=True)
    cut = {"x": entry == ENTRIES[1], "y": leave == EXITS[1]}
    parts = {name: f"\npart {{}} of {tp}" for name, is_cut in cut.items() if is_cut}
    for base, way, forward in ((2.75, "forward →", True), (0.75, "← backward", False)):
        label(ax, 0.1, base + 1.66, way, bold=True, ha="left")
        for k, rank in enumerate((0, tp - 1)):
            y = base + 0.75 * (1 - k)
            _lane(ax, y, rank, forward, trip, parts)
        ops = trip.forward if forward else trip.backward
        for left, op in zip((2.87, 6.67), ops, strict=True):
            low, high = base - 0.08, base + 1.58
            if op:
                box(ax, left, low, 1.5, high - low, face=HIGHLIGHT, rounded=True)
                label(ax, left + 0.75, base + 0.75, op, bold=True)
            else:
                label(ax, left + 0.75, base + 0.75, "nothing is sent", size=9, colour=GREY)
    words = _words(trip)
    label(ax, 0.1, 0.3, words, size=10.5, bold=True, ha="left", colour=GREEN if trip.right else RED)
    return f"{entry}, then {leave}, on {tp} ranks. {words}"


def _lane(ax: Axes, y: float, rank: int, forward: bool, trip: Trip, parts: dict[str, str]) -> None:
    """One rank's boxes and arrows: from left to right on the way forward, and the other way on the way back."""
    y_word, dw_word, dx_word = (trip.verdicts[name].replace("✗ ", "✗\n") for name in ("y", "dW", "dx"))
    texts = {"x": "x", "mlp": "its part\nof the MLP", "y": f"y {y_word}"}
    if not forward:
        texts = {"x": f"dx {dx_word}", "mlp": f"dW {dw_word}", "y": "dy"}
    for name, left, width in (("x", 1.35, 1.25), ("mlp", 4.65, 1.6), ("y", 8.6, 1.25)):
        part = parts.get(name, "") if "\n" not in texts[name] else ""
        box(ax, left, y + 0.08, width, 0.6, f"{texts[name]}{part and part.format(rank)}", rank=rank, size=9)
    label(ax, 1.25, y + 0.38, f"rank {rank}", size=9, ha="right", colour=GREY)
    for ends in ((2.6, 4.65), (6.25, 8.6)):
        start, end = ends if forward else ends[::-1]
        arrow(ax, (start, y + 0.38), (end, y + 0.38))


def _words(trip: Trip) -> str:
    sent = [", ".join(op for op in ops if op) or "nothing" for ops in (trip.forward, trip.backward[::-1])]
    wrong = [name for name, verdict in trip.verdicts.items() if verdict != RIGHT]
    verdict = "✓ right" if trip.right else "✗ wrong: " + ", ".join(wrong)
    return f"{verdict}.  Forward: {sent[0]}.  Backward: {sent[1]}."


def draw_f_and_g() -> Figure:
    """f and g around an MLP on 2 ranks: forward, only g sends; backward, only f sends. Each is an all-reduce."""
    figure = Figure(facecolor="white")
    paint_pair(figure, entry=ENTRIES[0], leave=EXITS[0], tp=2)
    return figure


def draw_sequence_pair() -> Figure:
    """All-gather and reduce-scatter around an MLP on 2 ranks: each is sent forward, and its transpose backward."""
    figure = Figure(facecolor="white")
    paint_pair(figure, entry=ENTRIES[1], leave=EXITS[1], tp=2)
    return figure


def draw_transposes() -> Figure:
    """Two pairs of transposes, copy and sum, join and cut: turn the arrows of one around and you have the other."""
    figure, ax = canvas(10, 3.6)
    columns = (
        (0.3, "copy", True, "[[1], [1]]", "nothing is sent"),
        (2.8, "sum", False, "[[1, 1]]", "all-reduce"),
        (5.3, "join", False, "[[1, 0], [0, 1]]", "all-gather"),
        (7.8, "cut", True, "[[1, 0], [0, 1]]", "nothing is sent"),
    )
    for left, name, splits, matrix, sent in columns:
        middle, halves = left + 0.95, name in ("join", "cut")
        label(ax, middle, 3.35, name, size=12, bold=True)
        label(ax, middle, 3.02, matrix, mono=True, size=9.5)
        one, each = (left, left + 1.3) if splits else (left + 1.3, left)
        for rank, y in ((0, 2.4), (1, 1.3)):
            text = ("left", "right")[rank] if halves else "x" if name == "copy" else f"y{rank}"
            box(ax, each, y - 0.2, 0.6, 0.4, text, rank=rank, size=9.5)
            ends = ((one + 0.6, 1.85), (each, y)) if splits else ((each + 0.6, y), (one, 1.85))
            arrow(ax, *ends)
            if halves:
                box(ax, one + 0.3 * rank, 1.65, 0.3, 0.4, rank=rank)
        if not halves:
            box(ax, one, 1.65, 0.6, 0.4, "x" if name == "copy" else "y0+y1", size=9)
        label(ax, middle, 0.85, sent, size=9.5, colour=GREY)
    for middle, words in ((2.5, "f copies, its transpose g sums"), (7.5, "gather joins, its transpose scatter cuts")):
        label(ax, middle, 3.35, "⟷", size=14, bold=True)
        label(ax, middle, 0.4, words, size=10.5, bold=True)
    return figure
