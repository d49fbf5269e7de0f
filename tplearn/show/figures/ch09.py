"""Figures of chapter 09: who owns which words, what a lookup adds up, and what a loss sends instead of its logits."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.parallel import vocab_range
from tplearn.planning import MODELS
from tplearn.ranks.ledger import WIRE_BYTES
from tplearn.show.style import GREEN, GREY, HIGHLIGHT, RED, arrow, box, canvas, label

WORDS, RANKS = 11, 4
IDS = (0, 4, 10, 7)
BYTES = 4  # the loss is computed in float32
BAR = 6.6  # inches of the widest bar


def draw_both_ends() -> Figure:
    """From ids to the loss on four ranks: the word table, the layers and the logits are cut; what travels is asked."""
    figure, ax = canvas(10.2, 2.75)
    columns = ((1.55, 1.3, "words → vectors"), (3.65, 1.3, "layers"), (5.75, 1.3, "vectors → logits"))
    columns += ((7.85, 1.0, "softmax, loss"),)
    box(ax, 0.2, 1.15, 0.7, 0.45, "ids")
    for x, width, title in columns:
        label(ax, x + width / 2, 2.5, title, bold=True)
        for rank in range(RANKS):
            box(ax, x, 1.95 - 0.5 * rank, width, 0.42, rank=rank)
        arrow(ax, (x - 0.6, 1.38), (x - 0.08, 1.38))
    for x in (3.3, 7.5, 9.2):
        box(ax, x - 0.25, 1.62, 0.36, 0.4, "?", face=HIGHLIGHT, bold=True)
    arrow(ax, (8.9, 1.38), (9.45, 1.38))
    box(ax, 9.5, 1.15, 0.5, 0.45, "loss", size=9.5)
    label(ax, 1.55, 0.1, "one colour, one rank: its words, its heads and columns, its logits", ha="left")
    return figure


def draw_lookup() -> Figure:
    """Eleven words on four ranks, with one row of padding; for each id its owner gives the vector, the others zeros."""
    figure, ax = canvas(10.2, 4.5)
    label(ax, 0.2, 4.12, "the table", bold=True, ha="left", size=11)
    label(ax, 0.2, 3.86, "3 rows on each rank", ha="left", size=9.5)
    label(ax, 0.2, 2.45, "the lookup", bold=True, ha="left", size=11)
    for rank in range(RANKS):
        start, stop, rows = vocab_range(WORDS, rank, RANKS)
        x = 2.15 + 1.62 * rank
        label(ax, x + 0.7, 4.3, f"rank {rank}", bold=True)
        for row in range(rows):
            y = 3.8 - 0.36 * row
            if start + row < stop:
                box(ax, x, y, 1.4, 0.32, f"word {start + row}", rank=rank, size=9.5)
            else:
                box(ax, x, y, 1.4, 0.32, "padding", face="white", edge=GREY, dashed=True, size=9.5, colour=GREY)
    for k, word in enumerate(IDS):
        y = 1.88 - 0.44 * k
        label(ax, 1.75, y + 0.17, f"id {word}", ha="right", mono=True)
        for rank in range(RANKS):
            start, stop, _ = vocab_range(WORDS, rank, RANKS)
            x = 2.15 + 1.62 * rank
            if start <= word < stop:
                box(ax, x, y, 1.4, 0.34, f"vector of {word}", rank=rank, size=9.5)
            else:
                box(ax, x, y, 1.4, 0.34, "0", face="white", edge=GREY, size=9.5)
            if rank:
                label(ax, x - 0.11, y + 0.17, "+", size=11)
    box(ax, 8.62, 0.5, 0.62, 1.78, "all-\nreduce", face=HIGHLIGHT, size=9.5)
    arrow(ax, (9.26, 1.39), (9.56, 1.39))
    label(ax, 9.85, 1.39, "y", bold=True, size=13)
    label(ax, 2.15, 0.2, "one vector and three zeros in each row: the sum is exact, bit by bit", ha="left", size=10)
    return figure


def draw_three_numbers() -> Figure:
    """Logits of four tokens cut by words stay where they are; a maximum and two sums, one number a token, travel."""
    figure, ax = canvas(10.2, 3.75)
    rows = vocab_range(WORDS, 0, RANKS)[2]
    label(ax, 0.2, 3.48, "logits: tokens × words, they stay where they are", bold=True, ha="left")
    for rank in range(RANKS):
        start, stop, _ = vocab_range(WORDS, rank, RANKS)
        for k in range(len(IDS)):
            for row in range(rows):
                x, y = 0.2 + 0.44 * (rank * rows + row) + 0.06 * rank, 2.5 - 0.42 * k
                if start + row >= stop:
                    box(ax, x, y, 0.42, 0.38, "−∞", face="white", edge=GREY, dashed=True, size=9, colour=GREY)
                elif IDS[k] == start + row:
                    box(ax, x, y, 0.42, 0.38, "t", rank=rank, size=10, bold=True, line=2.0)
                else:
                    box(ax, x, y, 0.42, 0.38, rank=rank)
        label(ax, 0.2 + (0.44 * rows + 0.06) * rank + 0.65, 3.1, f"rank {rank}", size=9.5)
    label(ax, 0.2, 0.95, "t: the target, each on one rank", ha="left", size=9.5)
    label(ax, 6.0, 3.48, "three all-reduces: one number for each token", bold=True, ha="left")
    for k, (name, op) in enumerate((("max z", "MAX"), ("Σ exp(z − max)", "SUM"), ("z of t", "SUM"))):
        x = 6.35 + 1.4 * k
        for token in range(len(IDS)):
            box(ax, x, 2.5 - 0.42 * token, 0.42, 0.38, face=HIGHLIGHT)
        label(ax, x + 0.21, 3.1, name, size=9.5)
        label(ax, x + 0.21, 0.95, op, size=10, bold=True)
    arrow(ax, (5.72, 2.06), (6.22, 2.06))
    label(ax, 0.2, 0.4, "loss = log Σ exp(z − max) − (z of t − max)", ha="left", size=11)
    label(ax, 6.0, 0.4, "backward: softmax − 1 at t; nothing travels", ha="left", size=10.5)
    return figure


def draw_logit_bytes() -> Figure:
    """Logits of Llama-3.1-8B, 8192 tokens, tp 8: gathered 4.2 GB on every rank, cut by words an eighth of it."""
    figure = Figure(facecolor="white")
    paint_logit_bytes(figure, "Llama-3.1-8B", 8192, 8)
    return figure


def logit_bytes(vocab_size: int, tokens: int, tp: int) -> dict[str, float]:
    """Bytes on each rank, float32: "whole" and "shard" are kept; "gather" and "three" are sent, on a ring.

    Raises ValueError where tokens or tp are not positive.
    """
    for name, value in (("tokens", tokens), ("tp", tp)):
        if value < 1:
            raise ValueError(f"{name} = {value} is not possible; numbers from 1 work")
    shard = tokens * vocab_range(vocab_size, 0, tp)[2] * BYTES
    return {
        "whole": tokens * vocab_size * BYTES,
        "shard": shard,
        "gather": WIRE_BYTES["all_gather"](shard, tp),
        "three": 3 * WIRE_BYTES["all_reduce"](tokens * BYTES, tp),
    }


def paint_logit_bytes(figure: Figure, model: str, tokens: int, tp: int) -> str:
    """Four bars on one scale: logits kept and sent, gathered or cut. Returns the picture in words."""
    if model not in MODELS:
        raise ValueError(f"model = {model!r} is not known; models that work: {', '.join(MODELS)}")
    vocab_size = MODELS[model].vocab_size
    sizes = logit_bytes(vocab_size, tokens, tp)
    figure, ax = canvas(9.6, 3.65, figure)
    label(
        ax, 0.2, 3.4, f"logits of {tokens:,} tokens × {vocab_size:,} words, on each of {tp} ranks", bold=True, ha="left"
    )
    scale = BAR / max(sizes["whole"], sizes["gather"])
    for k, (title, lines) in enumerate(
        (
            ("kept", (("gathered", "whole", RED), ("cut by words", "shard", GREEN))),
            ("sent", (("all-gather of logits", "gather", RED), ("3 small all-reduces", "three", GREEN))),
        )
    ):
        base = 2.25 - 1.55 * k
        label(ax, 0.2, base + 0.72, title, size=11, bold=True, ha="left")
        for line, (name, key, colour) in enumerate(lines):
            _bar(ax, base + 0.35 - 0.62 * line, name, sizes[key], scale, colour)
    return (
        f"{model}, {tokens:,} tokens, tp {tp}. Gathered: {amount(sizes['whole'])} of logits on every rank, and "
        f"{amount(sizes['gather'])} sent. Cut by words: {amount(sizes['shard'])}, and {amount(sizes['three'])} sent."
    )


def amount(size: float) -> str:
    """Bytes in words: "4.2 GB", "344 KB", "0 B"."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 100 * unit else f"{size / unit:.0f} {name}"
    return f"{size:.0f} B"


def _bar(ax: Axes, y: float, name: str, size: float, scale: float, colour: str) -> None:
    """A labelled bar; one that is too thin to see is a line."""
    label(ax, 1.95, y + 0.2, name, size=9.5, ha="right")
    width = max(size * scale, 0.02)
    box(ax, 2.1, y, width, 0.4, face="#fbe3e1" if colour == RED else "#d9f0e3", edge=colour)
    thin = " (too thin to draw)" if 0 < size * scale < 0.02 else ""
    inside = size * scale > 3
    place = 2.1 + (width / 2 if inside else width + 0.12)
    label(ax, place, y + 0.2, amount(size) + thin, size=10, ha="center" if inside else "left", bold=True)
