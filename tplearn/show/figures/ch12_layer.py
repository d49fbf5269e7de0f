"""The picture of chapter 12's widget: what one rank reads of a layer, of the words, and of the whole file."""

import textwrap
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.parallel import head_range, vocab_range
from tplearn.planning.models import MODELS, ModelShape
from tplearn.show.style import RED, box, canvas, label
from tplearn.sizes import require_divisible, require_rank

BYTES = 2  # bfloat16
TOP, HIGH, WIDE, STEP = 3.55, 1.45, 1.05, 1.38


@dataclass(frozen=True)
class Part:
    """What a rank reads of a matrix [rows, columns]: start to stop along dim."""

    name: str
    shape: tuple[int, int]
    dim: int
    start: int
    stop: int

    @property
    def bytes(self) -> int:
        """Bytes read."""
        return (self.stop - self.start) * self.shape[1 - self.dim] * BYTES


def parts_of(shape: ModelShape, tp: int, rank: int) -> list[Part]:
    """The seven matrices of a layer. Raises ValueError where a size does not divide, or there is no such rank."""
    require_rank("rank", rank, tp)
    own = head_range(shape.num_attention_heads, shape.num_key_value_heads, rank, tp)
    inner = require_divisible("intermediate_size", shape.intermediate_size, tp)
    d, hidden = shape.head_dim, shape.hidden_size
    queries, keys = shape.num_attention_heads * d, shape.num_key_value_heads * d
    q, kv = ((first * d, stop * d) for first, stop in (own.queries, own.keys))
    mlp = rank * inner, (rank + 1) * inner
    return [
        Part("q_proj", (queries, hidden), 0, *q),
        Part("k_proj", (keys, hidden), 0, *kv),
        Part("v_proj", (keys, hidden), 0, *kv),
        Part("o_proj", (hidden, queries), 1, *q),
        Part("gate_proj", (shape.intermediate_size, hidden), 0, *mlp),
        Part("up_proj", (shape.intermediate_size, hidden), 0, *mlp),
        Part("down_proj", (hidden, shape.intermediate_size), 1, *mlp),
    ]


def bytes_read(shape: ModelShape, tp: int, rank: int) -> int:
    """Bytes of the whole checkpoint that a rank reads."""
    parts = parts_of(shape, tp, rank)
    layer = sum(part.bytes for part in parts) + 2 * shape.hidden_size * BYTES
    if shape.qkv_bias:
        layer += sum(part.stop - part.start for part in parts[:3]) * BYTES
    start, stop, _ = vocab_range(shape.vocab_size, rank, tp)
    tables = 1 if shape.tie_word_embeddings else 2
    words = tables * (stop - start) * shape.hidden_size * BYTES
    return shape.num_hidden_layers * layer + words + shape.hidden_size * BYTES


def paint_layer_map(figure: Figure, *, model: str, tp: int, rank: int) -> str:
    """Draw what `rank` of `tp` reads, or why it cannot be; return it in words."""
    _, ax = canvas(10, 4.0, figure)
    shape = MODELS[model]
    try:
        parts = parts_of(shape, tp, rank)
    except ValueError as error:
        label(ax, 0.3, 2.4, "refused ✗", ha="left", bold=True, colour=RED)
        label(ax, 0.3, 1.9, "\n".join(textwrap.wrap(str(error), 110)), ha="left", colour=RED)
        return f"{model}, tp = {tp}: refused. {error}."
    for n, part in enumerate(parts):
        _matrix(ax, 0.3 + n * STEP, part, rank)
    start, stop, _ = vocab_range(shape.vocab_size, rank, tp)
    tables = "embedding = head (tied)" if shape.tie_word_embeddings else "embedding, and head"
    label(ax, 0.3, 1.0, f"{tables}: {shape.vocab_size:,} words", ha="left", bold=True)
    full = 6 * STEP + WIDE
    box(ax, 0.3, 0.55, full, 0.3, face="#ffffff")
    box(ax, 0.3 + full * start / shape.vocab_size, 0.55, full * (stop - start) / shape.vocab_size, 0.3, rank=rank)
    mine, whole = bytes_read(shape, tp, rank), bytes_read(shape, 1, 0)
    together = sum(bytes_read(shape, tp, other) for other in range(tp))
    words = f"rank {rank} reads {_size(mine)} of {_size(whole)}; all ranks together {_size(together)}"
    copies = head_range(shape.num_attention_heads, shape.num_key_value_heads, rank, tp).kv_copies
    words += f"; each KV head is read {copies} times" if copies > 1 else ""
    label(ax, 0.3, 0.25, words, ha="left")
    cuts = ", ".join(f"{part.name} {'columns' if part.dim else 'rows'} {_span(part)}" for part in parts)
    return f"{model}, tp = {tp}, in bfloat16: {words}. Of a layer: {cuts}. Words {start:,} to {stop - 1:,}."


def _matrix(ax: Axes, x: float, part: Part, rank: int) -> None:
    """A matrix, first row on top; not to scale with the others."""
    total = part.shape[part.dim]
    first, size = part.start / total, (part.stop - part.start) / total
    bottom = TOP - HIGH
    label(ax, x + WIDE / 2, TOP + 0.2, part.name, bold=True)
    box(ax, x, bottom, WIDE, HIGH, face="#ffffff")
    if part.dim == 0:
        box(ax, x, TOP - (first + size) * HIGH, WIDE, size * HIGH, rank=rank)
    else:
        box(ax, x + first * WIDE, bottom, size * WIDE, HIGH, rank=rank)
    lines = ("×".join(map(str, part.shape)), "columns" if part.dim else "rows", _span(part), _size(part.bytes))
    label(ax, x + WIDE / 2, bottom - 0.42, "\n".join(lines), size=9)


def _span(part: Part) -> str:
    return f"{part.start} to {part.stop - 1}"


def _size(count: int) -> str:
    """Bytes for people: "1.2 GB"; a GB is 10⁹ bytes."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 100 * size else f"{count / size:.0f} {unit}"
    return f"{count} bytes"
