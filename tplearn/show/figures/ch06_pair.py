"""A small MLP between two functions, on its way forward and back: run against the dense one, and drawn lane by lane."""

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
    partials = [h.relu() @ d.T for h, d in zip(hidden, downs, strict=True)]
    y = ran(*_leave(leave, partials))
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


def _leave(leave: str, partials: list[Tensor]) -> tuple[list[Tensor], Ledger]:
    book = Ledger()
    if leave == EXITS[1]:
        return reduce_scatter(partials, 0, ledger=book), book
    return (partials if leave == EXITS[3] else all_reduce(partials, ledger=book)), book


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
    shards = {name: f"\nshard {{}} of {tp}" for name, is_cut in cut.items() if is_cut}
    for base, way, forward in ((2.75, "forward →", True), (0.75, "← backward", False)):
        label(ax, 0.1, base + 1.66, way, bold=True, ha="left")
        for k, rank in enumerate((0, tp - 1)):
            y = base + 0.75 * (1 - k)
            paint_lane(ax, y, rank, forward, trip, shards)
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


def paint_lane(ax: Axes, y: float, rank: int, forward: bool, trip: Trip, shards: dict[str, str]) -> None:
    """One rank's boxes and arrows: from left to right on the way forward, and the other way on the way back."""
    y_word, dw_word, dx_word = (trip.verdicts[name].replace("✗ ", "✗\n") for name in ("y", "dW", "dx"))
    texts = {"x": "x", "mlp": "its shard\nof the MLP", "y": f"y {y_word}"}
    if not forward:
        texts = {"x": f"dx {dx_word}", "mlp": f"dW {dw_word}", "y": "dy"}
    for name, left, width in (("x", 1.35, 1.25), ("mlp", 4.65, 1.6), ("y", 8.6, 1.25)):
        shard = shards.get(name, "") if "\n" not in texts[name] else ""
        box(ax, left, y + 0.08, width, 0.6, f"{texts[name]}{shard and shard.format(rank)}", rank=rank, size=9)
    label(ax, 1.25, y + 0.38, f"rank {rank}", size=9, ha="right", colour=GREY)
    for ends in ((2.6, 4.65), (6.25, 8.6)):
        start, end = ends if forward else ends[::-1]
        arrow(ax, (start, y + 0.38), (end, y + 0.38))


def _words(trip: Trip) -> str:
    sent = [", ".join(op for op in ops if op) or "nothing" for ops in (trip.forward, trip.backward[::-1])]
    wrong = [name for name, verdict in trip.verdicts.items() if verdict != RIGHT]
    verdict = "✓ right" if trip.right else "✗ wrong: " + ", ".join(wrong)
    return f"{verdict}.  Forward: {sent[0]}.  Backward: {sent[1]}."
