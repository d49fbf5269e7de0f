"""Figures of chapter 11: the block with the state of every tensor on its arrows, and the ledger of a whole model.

R: the same on every rank. S(1): own tokens. S(2): own columns or heads. P: a partial.
"""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from tplearn.parallel.heads import head_range
from tplearn.planning import MODELS, ModelShape
from tplearn.show.style import GREY, HIGHLIGHT, INK, RED, box, canvas, label
from tplearn.sizes import require_divisible

MIB = 2**20
LEFT, STEP, WIDE, HIGH = 1.35, 1.4, 0.82, 0.62  # a box every STEP inches
BRANCH, LAST, OUT = 0.45, 0.5, 0.62  # where the residual leaves; width of the last box; length of the arrow after it
ROWS = (3.1, 0.95)
COLLECTIVES = {False: ("f", "all-reduce"), True: ("all-gather", "reduce-\nscatter")}
PER_LAYER = {False: "2 + 2 all-reduces", True: "4 + 4: all-gathers and reduce-scatters"}


@dataclass(frozen=True)
class Half:
    """Names of a half's boxes, and how many columns are read and left between its two cuts on one rank."""

    name: str
    column: str
    inside: str
    row: str
    read: int
    left: int


def draw_letters() -> Figure:
    """A Llama block on 8 ranks with tensor parallelism: R, S or P on each arrow, and the shape that one rank holds."""
    figure, ax = canvas(11.1, 4.6)
    label(ax, 0.15, 4.37, "Llama-3.1-8B, 8,192 tokens, tp = 8", ha="left", bold=True, size=11)
    _block(ax, MODELS["Llama-3.1-8B"], 8192, 8, sp=False, rows=(2.75, 0.6))
    return figure


def draw_states() -> Figure:
    """The same block, and the bytes that each collective makes a rank send, forward and backward."""
    figure = Figure(facecolor="white")
    paint_block(figure, model="Llama-3.1-8B", tokens=8192, tp=8, way="TP")
    return figure


def draw_states_sp() -> Figure:
    """The same block with sequence parallelism: own tokens on the residual, gathered and scattered around the cuts."""
    figure = Figure(facecolor="white")
    paint_block(figure, model="Llama-3.1-8B", tokens=8192, tp=8, way="TP + SP")
    return figure


def paint_block(figure: Figure, *, model: str, tokens: int, tp: int, way: str) -> str:
    """Draw a block of `model` with states and shapes, or why tp ranks cannot share it; return it in words."""
    shape, sp = MODELS[model], way == "TP + SP"
    _, ax = canvas(11.1, 4.95, figure)
    head = f"{model}, {tokens:,} tokens, tp = {tp}, {way}"
    label(ax, 0.15, 4.72, head, ha="left", bold=True, size=11)
    try:
        own = _block(ax, shape, tokens, tp, sp)
    except ValueError as error:
        label(ax, 0.15, 3.6, f"refused ✗  {error}", ha="left", colour=RED)
        return f"{head}: refused. {error}."
    wire = 2 * (tp - 1) / tp * tokens * shape.hidden_size * 2  # 16-bit numbers; an all-reduce, or both of its halves
    for y in ROWS:
        for place, text in ((1, "" if sp else "backward: "), (5, "")):
            label(ax, LEFT + place * STEP + WIDE / 2, y - 0.42, text + _size(wire / (1 + sp)), size=9)
    each = f"each all-gather and reduce-scatter {_size(wire / 2)}" if sp else f"each all-reduce {_size(wire)}"
    total = f"a rank sends {_size(4 * wire)} for this layer: {PER_LAYER[sp]}, forward + backward"
    label(ax, 0.15, 0.2, f"16-bit numbers; {total}", ha="left", bold=True)
    state = "S(1), own tokens" if sp else "R"
    return (
        f"{head}. Between the cuts: {state}, [{own:,}, {shape.hidden_size:,}]. {total[0].upper()}{total[1:]}; {each}."
    )


def _block(ax: Axes, shape: ModelShape, tokens: int, tp: int, sp: bool, rows: tuple[float, float] = ROWS) -> int:
    """Both halves; returns the tokens of a rank between the cuts. Raises ValueError for sizes that do not divide."""
    halves = _halves(shape, tp)
    require_divisible("tokens", tokens, tp if sp else 1)
    own = tokens // tp if sp else tokens
    segments: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for y, half in zip(rows, halves, strict=True):
        _half(ax, y, half, (tokens, own, shape.hidden_size), sp, segments)
    _arrows(ax, segments)
    return own


def _halves(shape: ModelShape, tp: int) -> tuple[Half, Half]:
    heads = head_range(shape.num_attention_heads, shape.num_key_value_heads, 0, tp)
    queries, keys = (stop - start for start, stop in (heads.queries, heads.keys))
    ffn = require_divisible("intermediate_size", shape.intermediate_size, tp)
    return (
        Half(
            "attention", "Q, K, V", "heads", "output", (queries + 2 * keys) * shape.head_dim, queries * shape.head_dim
        ),
        Half("MLP", "gate, up", "silu(gate)\n· up", "down", 2 * ffn, ffn),
    )


def _half(ax: Axes, y: float, half: Half, sizes: tuple[int, int, int], sp: bool, segments: list) -> None:
    """One row: norm, f, column cut, inside, row cut, g, plus; `segments` takes its arrows."""
    tokens, own, hidden = sizes
    between = "S(1)" if sp else "R"
    enter, leave = COLLECTIVES[sp]
    names = ("norm", enter, half.column, half.inside, half.row, leave, "+")
    # the state and the shape on the arrow in front of each box, and after the last
    arrows = [
        (between, own, hidden),
        (between, own, hidden),
        ("R", tokens, hidden),
        ("S(2)", tokens, half.read),
        ("S(2)", tokens, half.left),
        ("P", tokens, hidden),
        (between, own, hidden),
        (between, own, hidden),
    ]
    label(ax, 0.15, y + HIGH + 0.57, half.name, ha="left", bold=True)
    for place, name in enumerate(names):
        talks = place in (1, 5)
        face = HIGHLIGHT if talks else "#ffffff" if place in (0, 6) else None
        width = WIDE if place < 6 else LAST
        edge = {"dashed": place == 1 and not sp, "line": 2.2 if talks else 1.1}
        box(ax, LEFT + place * STEP, y, width, HIGH, name, face=face, size=9.5, **edge)
    ends = [LEFT + place * STEP for place in range(7)] + [LEFT + 6 * STEP + LAST + OUT]
    starts = [BRANCH, *(LEFT + place * STEP + WIDE for place in range(6)), LEFT + 6 * STEP + LAST]
    after = ("x", "norm", "enter", "column", "inside", "row", "leave", "plus")
    for name, (state, rows, columns), start, stop in zip(after, arrows, starts, ends, strict=True):
        segments.append(((start, y + HIGH / 2), (stop, y + HIGH / 2)))
        middle = (start + stop) / 2
        label(ax, middle, y + HIGH / 2 + 0.2, state, bold=True, size=11, colour=RED if state == "P" else INK)
        if name not in ("norm", "plus"):  # after these nothing new
            label(ax, middle, y - 0.15, f"{rows}×{columns}", size=9, colour=GREY)
    plus, top = LEFT + 6 * STEP + LAST / 2, y + HIGH + 0.3
    segments.append(((BRANCH - 0.3, y + HIGH / 2), (BRANCH, y + HIGH / 2)))
    segments += [((BRANCH, y + HIGH / 2), (BRANCH, top)), ((BRANCH, top), (plus, top)), ((plus, top), (plus, y + HIGH))]
    label(ax, (BRANCH + plus) / 2, top + 0.14, f"residual: {between}", size=9.5)


def _size(count: float) -> str:
    """Bytes in a unit that shows them."""
    return f"{count / MIB:,.0f} MiB" if count >= 10 * MIB or count == 0 else f"{count / 1024:,.0f} KiB"


def _arrows(ax: Axes, segments: list) -> None:
    """All lines as one artist, and heads where they end at a box: to the right, or down."""
    ax.add_artist(LineCollection(segments, colors=GREY, linewidths=1.3, zorder=1))
    heads = []
    for (x0, y0), (x1, y1) in segments:
        if y0 == y1 and 0.5 < x1 - x0 < 1:
            heads.append(((x1, y1), (x1 - 0.12, y1 + 0.06), (x1 - 0.12, y1 - 0.06)))
        elif y1 < y0:
            heads.append(((x1, y1), (x1 - 0.06, y1 + 0.12), (x1 + 0.06, y1 + 0.12)))
    ax.add_artist(PolyCollection(heads, facecolors=GREY, zorder=3))


def draw_ledger() -> Figure:
    """Every collective of a model's training step: forward 1 + 2 a layer + 3 small ones, backward 1 + 2 a layer."""
    figure, ax = canvas(10.6, 3.4)
    parts = ("embedding", "layer 1", "…", "layer L", "norm", "head", "loss")
    forward = ("1", "2", "", "2", "–", "–", "3")
    backward = ("–", "2", "", "2", "–", "1", "–")
    left, step, wide = 1.35, 1.3, 1.12
    for place, part in enumerate(parts):
        x = left + place * step
        if part == "…":
            label(ax, x + wide / 2, 1.66, "…", size=16)
            continue
        box(ax, x, 1.41, wide, 0.5, part, bold=True)
        for y, counts in ((2.36, forward), (0.5, backward)):
            count = counts[place]
            if count == "–":
                label(ax, x + wide / 2, y + 0.22, "nothing", size=9.5, colour=GREY)
                continue
            text = f"{count} small" if count == "3" else f"{count} all-reduce{'s' if count == '2' else ''}"
            box(ax, x, y, wide, 0.44, text, face=HIGHLIGHT, size=9.5, rounded=True)
    end = left + 7 * step - 0.15
    label(ax, 0.12, 2.58, "forward", ha="left", bold=True)
    label(ax, 0.12, 0.72, "backward", ha="left", bold=True)
    for y, start, stop in ((3.0, left, end), (0.32, end, left)):
        ax.annotate("", (stop, y), (start, y), arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.3})
    label(ax, (left + end) / 2, 3.15, "[batch, seq, hidden] each: 2L + 1;  in the loss [batch, seq]: 3", size=9.5)
    label(ax, (left + end) / 2, 0.14, "[batch, seq, hidden] each: 2L + 1", size=9.5)
    return figure
