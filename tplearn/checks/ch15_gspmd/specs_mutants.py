"""What the wrong answers to exercise 15.1 show: every result is right, and every mistake costs bytes or messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tplearn.checks.ch15_gspmd.drive import Axes
from tplearn.checks.exercise import mutants_of

if TYPE_CHECKING:
    from jax.sharding import PartitionSpec

RIGHT = "The logits are right, "


def _wrong_spec(name: str, tp_axis: Axes, kv_axis: Axes, wrong: str) -> PartitionSpec:
    """A spec with one thing `wrong`."""
    from jax.sharding import PartitionSpec as P

    table, bias, norm = name in ("model.embed_tokens.weight", "lm_head.weight"), name.endswith("bias"), "norm" in name
    kv, row = "k_proj" in name or "v_proj" in name, "o_proj" in name or "down_proj" in name
    every = {"over batch": "batch", "the axis by its name": "model", "everything over kv_axis": kv_axis}.get(
        wrong, tp_axis
    )
    keys = {"over batch": "batch", "the axis by its name": "model", "keys over tp_axis": tp_axis}.get(wrong, kv_axis)
    whole = {
        "nothing cut": True,
        "biases whole": bias,
        "keys and values whole": kv,
        "o and down whole": row,
        "tables whole": table,
        "embedding whole": "embed" in name,
        "head whole": "lm_head" in name,
        "norms and biases alone": not norm and not bias,
        "MLP whole": "mlp" in name,
        "attention whole": "self_attn" in name,
    }.get(wrong, False)
    by_columns = {
        "rows and columns swapped": not row and not table,
        "everything by rows": True,
        "embedding by hidden numbers": row or "embed" in name,
        "head by hidden numbers": row or "lm_head" in name,
        "tables by hidden numbers": row or table,
    }.get(wrong, row)
    if wrong in ("rows and columns swapped", "everything by columns") and row:
        by_columns = False
    if whole or (norm and wrong != "norms cut"):
        return P()
    over = keys if kv else kv_axis if wrong == "queries over kv_axis" and "q_proj" in name else every
    if bias and wrong == "biases over tp_axis":
        return P(tp_axis)
    if bias or norm:
        return P("batch") if wrong == "biases over batch" and bias else P(over)
    return P(None, over) if by_columns else P(over, None)


MUTANTS = mutants_of(
    _wrong_spec,
    (
        "rows and columns swapped",
        RIGHT + "for a wrong annotation does not lie. It costs. You cut the columns where rows are due, and rows where "
        "columns are. Every matrix then meets an input that is cut the wrong way, and the compiler mends each with "
        "collectives of its own. Even the bytes on a device are as they should be; only the ledger shows it.",
        "q, k, v, gate and up give what is cut: rows of [out, in]. o and down read what is cut: columns.",
    ),
    (
        "everything by columns",
        RIGHT + "but you cut the outputs of every matrix, rows of [out, in], also of o_proj and down_proj. These read "
        "heads and inner numbers, of which each device has its own: the compiler gathers them, or changes the cut.",
        "o_proj and down_proj: their inputs are cut, columns of [out, in].",
    ),
    (
        "everything by rows",
        RIGHT + "but you cut the inputs of every matrix, columns of [out, in], the tables' too. Each product is then a "
        "partial sum, and has to be summed over the devices. One such sum is due in attention and one in the MLP.",
        "q, k, v, gate and up: outputs are cut, rows of [out, in], and so are the words of the tables.",
    ),
    (
        "nothing cut",
        RIGHT + "but P() says that each device holds all of it. There are no collectives, for nothing was shared: each "
        "device holds the whole model, and those of one row of the mesh do the same work.",
        "the matrices, the tables and the biases.",
    ),
    (
        "norms cut",
        RIGHT + "but you cut the norms' weights. It saves a few bytes, and the compiler takes it for a wish about the "
        "whole stream: it cuts hidden numbers that every matrix wants whole, and pays with collectives.",
        "the names with norm in them: P().",
    ),
    (
        "biases whole",
        RIGHT + "and the collectives are those that are due. But each device holds the biases of all heads, and uses "
        "those of its own. A bias is cut as the rows of its weight.",
        "the names that end in bias: one dimension, so one entry.",
    ),
    (
        "biases over tp_axis",
        RIGHT
        + "but you cut the biases of keys and values over tp_axis. Their weights are cut over kv_axis, and on the "
        "mesh with copies that is something else: bias and product then lie differently, and the compiler moves one.",
        "the names that end in bias: the axis that cuts the rows of their weight.",
    ),
    (
        "biases over batch",
        RIGHT + "but you cut the biases over batch, whose devices hold other texts, not other heads. The compiler has "
        "to move them before each use.",
        "the names that end in bias: the axis that cuts the rows of their weight.",
    ),
    (
        "over batch",
        RIGHT + "but you cut over batch. Devices along that axis have different texts and want the same weights, so "
        "these are gathered again before each use.",
        "the axes that the function is given.",
    ),
    (
        "the axis by its name",
        'You wrote "model" into the spec. A mesh in which KV heads have copies has no such axis, and JAX refuses. '
        "The function is told which axes to cut over.",
        "tp_axis and kv_axis, which may be a name or a tuple of names.",
    ),
    (
        "keys over tp_axis",
        RIGHT + "but where tp_axis is two axes, you cut keys and values over both. There are more devices than KV "
        "heads then: each head falls apart in pieces, and the compiler puts it together again with collectives.",
        "k_proj and v_proj: kv_axis.",
    ),
    (
        "queries over kv_axis",
        RIGHT + "but you cut the queries as the keys are. Where tp_axis is two axes, the devices that copy a KV head "
        "then also copy its queries, in bytes and in work.",
        "q_proj: tp_axis.",
    ),
    (
        "everything over kv_axis",
        RIGHT + "but you cut everything over kv_axis. Where tp_axis is two axes, half of the devices or more are then "
        "copies of the others. Only keys and values have so few heads that copies are due.",
        "tp_axis for all that are not keys or values.",
    ),
    (
        "keys and values whole",
        RIGHT + "and the collectives are those that are due. But each device holds the keys and values of all heads, "
        "and uses those of its own.",
        "k_proj and v_proj: rows over kv_axis, their biases too.",
    ),
    (
        "o and down whole",
        RIGHT + "but o_proj and down_proj are whole on each device. What they read is cut, so the compiler gathers it "
        "before the product, or cuts the weight again by itself.",
        "o_proj and down_proj: columns.",
    ),
    (
        "tables whole",
        RIGHT + "but embedding and head are whole on each device.",
        "embed_tokens and lm_head: rows of [vocab, hidden] are words.",
    ),
    (
        "embedding whole",
        RIGHT + "and one all-reduce is saved. But each device holds the whole embedding.",
        "embed_tokens: rows of [vocab, hidden] are words.",
    ),
    (
        "head whole",
        RIGHT + "but each device holds the whole head.",
        "lm_head: rows of [vocab, hidden] are words. It has no norm in its name and no proj either.",
    ),
    (
        "embedding by hidden numbers",
        RIGHT + "but you cut the embedding by hidden numbers. Everything after it wants the whole stream, and the "
        "compiler brings it about with more collectives than the one that a cut by words needs.",
        "embed_tokens: rows of [vocab, hidden] are words.",
    ),
    (
        "head by hidden numbers",
        RIGHT + "but you cut the head by hidden numbers. It reads the whole stream, and gives words: cut by words it "
        "needs no collective.",
        "lm_head: rows of [vocab, hidden] are words.",
    ),
    (
        "tables by hidden numbers",
        RIGHT + "but you cut embedding and head by hidden numbers. Cut by words the embedding costs one all-reduce, "
        "and the head nothing.",
        "embed_tokens and lm_head: rows of [vocab, hidden] are words.",
    ),
    (
        "MLP whole",
        RIGHT + "but the MLP is whole on each device, in memory and in work.",
        "gate_proj, up_proj, down_proj.",
    ),
    (
        "attention whole",
        RIGHT + "but attention is whole on each device, in memory and in work.",
        "q_proj, k_proj, v_proj, o_proj and the biases.",
    ),
    (
        "norms and biases alone",
        RIGHT + "but every matrix and table is whole on each device: only what ends in bias is cut.",
        "the names that end in weight.",
    ),
)
