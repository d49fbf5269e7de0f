"""What the compiler sends, from the record, beside what the layers written by hand send, from their formulas."""

from collections.abc import Sequence
from dataclasses import dataclass

from tplearn.llama import TINY_LLAMA, LlamaConfig
from tplearn.planning import MODELS, ModelShape, kv_heads_per_rank, parameter_breakdown
from tplearn.show.figures.ch15_mesh import Mesh

TINY = "tiny-llama"  # its numbers are float32, those of the others 16 bits wide
NAMES = {
    "all_reduce": "all-reduce",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "all_to_all": "all-to-all",
    "collective_permute": "permute",
}
Counts = tuple[tuple[str, int, str], ...]  # op, how often, a remark


@dataclass(frozen=True)
class Side:
    """One of two ledgers of a phase, in bytes a device: its collectives, the weights it holds, what rings send.

    refusal: why there is none.
    """

    name: str
    counts: Counts = ()
    held: int = 0
    sent: int = 0
    refusal: str = ""

    @property
    def total(self) -> int:
        """Collectives of all kinds."""
        return sum(count for _, count, _ in self.counts)

    @property
    def rows(self) -> list[str]:
        """A line for each kind."""
        return [f"{_several(op, count)}{remark}" for op, count, remark in self.counts]

    @property
    def holds(self) -> str:
        return _size(self.held)

    @property
    def sends(self) -> str:
        return _size(self.sent) if self.sent else "nothing"

    def said(self) -> str:
        """The side in words."""
        if self.refusal:
            return "refused, " + self.refusal.replace("\n", " ")
        rows = ", ".join(self.rows) or "no collective"
        return f"{rows}; a device holds {self.holds} and sends {self.sends}"


def compiled(model: str, told: dict, mesh: str, phase: str) -> Side:
    """The compiler's side, of an entry of the record; remarks name how many tensors lie in combined collectives."""
    entry, number = told["meshes"][mesh], number_bytes(model)
    counts = tuple(
        (op, count, f" of {tensors} tensors" if tensors > count else "")
        for op, (count, tensors, _) in sorted(entry[phase].items(), key=lambda item: -item[1][0])
    )
    sent = sum(wire for _, _, wire in entry[phase].values())
    return Side("JAX, compiled", counts, entry["numbers"] * number, sent * number // 4)  # the record is of float32


def by_hand(shape: ModelShape, number: int, texts: Sequence[int], mesh: Mesh, phase: str) -> Side:
    """The side of chapters 11 and 13, as their formulas have it: 2L + 1 forward and again backward, loss, gradients.

    number: bytes of one. texts: how many, and the tokens of each.
    """
    name, tp, dp = "By hand", mesh.model, mesh.batch
    try:
        kv_heads_per_rank(shape, tp)
    except ValueError:
        heads = f"{shape.num_attention_heads} query heads, {shape.num_key_value_heads} KV heads"
        return Side(name, refusal=f"{heads}\non {tp} ranks")
    numbers = sum(parameter_breakdown(shape, tp).values())
    tokens = texts[0] // dp * texts[1]
    once, ring = 2 * shape.num_hidden_layers + 1, 2 * (tp - 1) / tp
    counts, sent = [], 0.0
    if tp > 1:
        times = once if phase == "forward" else 2 * once
        counts.append(("all_reduce", times, " of activations"))
        sent += ring * times * tokens * shape.hidden_size * number
    if phase != "forward" and tp > 1:
        counts.append(("all_reduce", 3, " of the loss"))
        sent += ring * 3 * tokens * 4
        if tp > shape.num_key_value_heads:  # copies hold partials; they are added over the whole group
            counts.append(("all_reduce", 1, " of KV gradients"))
            rows = 2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim
            sent += ring * rows * (shape.hidden_size + shape.qkv_bias) * number
    if phase != "forward" and dp > 1:
        counts.append(("all_reduce", 1, " of all gradients"))
        counts.append(("all_reduce", 1, " of the mean loss"))
        sent += 2 * (dp - 1) / dp * (numbers * number + 4)
    return Side(name, tuple(counts), numbers * number, round(sent))


def verdict(ours: Side, hand: Side) -> tuple[str, bool]:
    """What the two tell, and whether the compiler's is no worse. Annotations leave numbers right: the ledger judges."""
    if hand.refusal:
        return f"Layers by hand refuse. The compiler does not, and puts in {ours.total:,} collectives ✗", False
    others = [op for op, _, _ in ours.counts if op != "all_reduce"]
    times = ours.sent / hand.sent if hand.sent else 1.0
    if others or ours.total > hand.total:
        return f"{ours.total:,} collectives where {hand.total:,} do ✗", False
    if times > 1.05:
        return f"No more collectives, but {times:.1f} × the bytes ✗: a sum for each summand", False
    if not ours.total:
        return "No weight is cut, nothing is sent ✓", True
    return f"Annotations alone: {ours.total:,} collectives, as by hand ✓", True


def shape_of(model: str) -> ModelShape:
    """The shape of a model of the record."""
    return LlamaConfig.from_folder(TINY_LLAMA) if model == TINY else MODELS[model]


def number_bytes(model: str) -> int:
    """Bytes of each number of a model of the record, as it is shown."""
    return 4 if model == TINY else 2


def _several(op: str, count: int) -> str:
    return f"{count:,} {NAMES[op]}{'s' if count > 1 else ''}"


def _size(count: float) -> str:
    """Bytes in powers of ten, three digits, as memory is sold."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count / 1000:,.3g} kB"
