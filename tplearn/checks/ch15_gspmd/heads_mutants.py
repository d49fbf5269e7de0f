"""What the wrong answers to exercise 15.4 show: heads in pieces, heads everywhere, queries beside foreign keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tplearn.checks.exercise import mutants_of

if TYPE_CHECKING:
    from jax.sharding import Mesh, PartitionSpec

RIGHT = "The result is right, but "


def _wrong_mesh(batch: int, model: int, kv_heads: int, wrong: str) -> tuple[Mesh, dict[str, PartitionSpec]]:
    """A mesh and its specs with one thing `wrong`."""
    import jax
    from jax.sharding import AxisType
    from jax.sharding import PartitionSpec as P

    kv = min(model, kv_heads)
    if wrong == "the largest that divides":
        kv = math.gcd(model, kv_heads)
    elif model % kv_heads and kv_heads % model:
        kv = 1 if wrong == "everything copied, where it does not divide" else kv
        if wrong != "everything copied, where it does not divide":
            raise ValueError(f"kv_heads = {kv_heads}, model = {model}")
    if wrong == "no copies":
        kv = model
    elif wrong == "copies everywhere":
        kv = 1
    elif wrong == "copies where none are needed" and kv == model:
        kv //= 2
    elif wrong == "copies refused" and kv_heads < model:
        raise ValueError(f"kv_heads = {kv_heads} < model = {model}")
    elif wrong == "as many as there are heads" and kv_heads > model:
        raise ValueError(f"kv_heads = {kv_heads} > model = {model}")
    batch = {"batch forgotten": 1}.get(wrong, batch)
    mesh = jax.make_mesh((batch, kv, model // kv), ("batch", "kv", "copy"), axis_types=(AxisType.Auto,) * 3)
    order = ("copy", "kv") if wrong in ("copy before kv", "queries copy before kv") else ("kv", "copy")
    q: str | tuple[str, ...] = {"queries over kv": "kv", "queries and o over kv": "kv"}.get(wrong, order)
    o = {"o over kv": "kv", "queries and o over kv": "kv", "queries copy before kv": ("kv", "copy")}.get(wrong, order)
    over = {"keys over copy": "copy", "keys over both": ("kv", "copy"), "keys whole": None}.get(wrong, "kv")
    keys = P(None, over) if wrong == "keys by columns" else P(over, None)
    specs = {"q_proj": P(q, None), "k_proj": keys, "v_proj": keys, "o_proj": P(None, o)}
    if wrong == "values whole":
        specs["v_proj"] = P()
    if wrong == "o by rows":
        specs["o_proj"] = P(o, None)
    if wrong == "o whole":
        specs["o_proj"] = P()
    if wrong == "queries by columns":
        specs["q_proj"] = P(None, q)
    return mesh, specs


MUTANTS = mutants_of(
    _wrong_mesh,
    (
        "no copies",
        RIGHT + "your mesh has no copies: keys and values are cut over more devices than there are KV heads. Each head "
        "falls apart, and the compiler puts the pieces together again for every text.",
        "kv = min(model, kv_heads); copy = model // kv.",
    ),
    (
        "keys over both",
        RIGHT + "you cut keys and values over kv and copy. With more devices than KV heads each head falls apart, and "
        "the compiler puts the pieces together again for every text.",
        "k_proj and v_proj: the axis kv alone.",
    ),
    (
        "keys whole",
        RIGHT + "keys and values of all heads lie on every device. The collectives are those that are due; the bytes "
        "are not.",
        "k_proj and v_proj: rows over kv.",
    ),
    (
        "values whole",
        RIGHT + "the values of all heads lie on every device.",
        "v_proj: like k_proj.",
    ),
    (
        "keys over copy",
        RIGHT + "you cut keys and values over copy. Devices along that axis are those that should hold the same head, "
        "and devices along kv those that should hold different ones.",
        "k_proj and v_proj: the axis kv.",
    ),
    (
        "keys by columns",
        RIGHT + "you cut the inputs of keys and values, columns of [out, in]. Each device then has a summand of all "
        "heads, and the sums cost collectives.",
        "k_proj and v_proj: rows of [out, in].",
    ),
    (
        "copy before kv",
        RIGHT
        + "you cut queries over (copy, kv). The first axis counts slowly: neighbours in a head's group of queries "
        "then lie on devices with different KV heads, and the compiler moves them. The bytes on a device are right all "
        "the same.",
        "the order in the tuple: kv first, then copy.",
    ),
    (
        "queries copy before kv",
        RIGHT + "you cut queries over (copy, kv), and o_proj over (kv, copy). The first axis counts slowly: a device's "
        "queries are then not those of its KV head, and the compiler moves them.",
        "the order in the tuple: kv first, then copy, for both.",
    ),
    (
        "queries over kv",
        RIGHT + "you cut the queries over kv alone. Devices along copy then hold the same queries, and do the same "
        "work. They share a KV head, not its queries.",
        "q_proj: rows over kv and copy.",
    ),
    (
        "o over kv",
        RIGHT + "you cut o_proj over kv alone. It reads the query heads, which are cut over kv and copy.",
        "o_proj: columns over kv and copy.",
    ),
    (
        "queries and o over kv",
        RIGHT + "you cut queries and o_proj over kv alone: devices along copy are copies of each other in everything. "
        "They share a KV head, not its queries.",
        "q_proj and o_proj: over kv and copy.",
    ),
    (
        "queries by columns",
        RIGHT + "you cut the inputs of the queries, columns of [out, in]. Each device then has a summand of all heads.",
        "q_proj: rows of [out, in].",
    ),
    (
        "o by rows",
        RIGHT
        + "you cut the outputs of o_proj. It reads heads, of which each device has its own: columns of [out, in].",
        "o_proj: columns.",
    ),
    (
        "o whole",
        RIGHT + "o_proj is whole on every device.",
        "o_proj: columns over kv and copy.",
    ),
    (
        "copies where none are needed",
        RIGHT + "you make copies where there are enough KV heads. The collectives are the same, and each device holds "
        "twice as many keys and values as it needs.",
        "kv = min(model, kv_heads); copy = model // kv.",
    ),
    (
        "copies everywhere",
        RIGHT + "you make a copy of all KV heads on each device of a row, however many heads there are.",
        "kv = min(model, kv_heads); copy = model // kv.",
    ),
    (
        "copies refused",
        "You refuse sizes with more devices than KV heads. That is what the copies are for.",
        "when neither of kv_heads and model divides the other: then alone a ValueError.",
    ),
    (
        "as many as there are heads",
        "You refuse sizes with more KV heads than devices. A device may have several: kv is the smaller of the two.",
        "when neither of kv_heads and model divides the other: then alone a ValueError.",
    ),
    (
        "the largest that divides",
        "Where neither of model and kv_heads divides the other, you take the largest number that divides both. Then "
        "the queries of one KV head may be cut apart, and the compiler moves them; a ValueError is due.",
        "model % kv_heads and kv_heads % model.",
    ),
    (
        "everything copied, where it does not divide",
        "Where neither of model and kv_heads divides the other, you copy all KV heads to every device. A ValueError is "
        "due: whoever asks for such a mesh should know what it costs.",
        "model % kv_heads and kv_heads % model.",
    ),
    (
        "batch forgotten",
        RIGHT + "your mesh has one row, whatever batch is. The other rows' devices are idle, and each device has the "
        "texts of all.",
        "the first size of the mesh.",
    ),
)
