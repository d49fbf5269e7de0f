"""The weights of a rank, counted with one thing wrong: what the mutants of 01.1 and 01.2 share."""

import math

from tplearn.planning.models import ModelShape


def count(shape: ModelShape, tp: int = 1, bytes_each: int = 1, wrong: str = "") -> int:
    """Bytes of weights on one rank of tp; with nothing `wrong`, the right number."""
    hidden, layers = shape.hidden_size, shape.num_hidden_layers
    q, kv = _widths(shape, tp, wrong)
    norms = {
        "no norms": 0,
        "norms with biases": 2 * (2 * layers + 1),
        "no final norm": 2 * layers,
        "one norm a layer": layers + 1,
        "final norm in each layer": 3 * layers,
        "all in each layer": 3 * layers,
    }.get(wrong, 2 * layers + 1)
    one_layer = _attention(shape, q, kv, tp, wrong) + _mlp(shape, tp, wrong)
    tables = _tables(shape, tp, wrong) * (layers if wrong == "all in each layer" else 1)
    total = (1 if wrong == "one layer" else layers) * one_layer + tables
    if wrong.startswith("biases once") and shape.qkv_bias:
        total += q + 2 * kv + (hidden if wrong.endswith("with o's") else 0)
    total += (norms * hidden) // (tp if wrong == "norms cut" else 1)
    return total * (1 if wrong == "numbers" else bytes_each) * (8 if wrong == "bits" else 1)


def _widths(shape: ModelShape, tp: int, wrong: str) -> tuple[int, int]:
    """Of a rank's queries, and of its keys."""
    heads, kv_heads = shape.num_attention_heads, shape.num_key_value_heads
    head_dim = shape.hidden_size // heads if wrong == "head_dim" else shape.head_dim
    q = (heads if wrong == "q not cut" else heads // tp) * head_dim
    kv = {
        "query heads": q,
        "below one head": kv_heads * head_dim // tp,
        "not cut": kv_heads * head_dim,
        "all copied": (kv_heads if kv_heads < tp else kv_heads // tp) * head_dim,
        "no head left": kv_heads // tp * head_dim,
    }
    return q, kv.get(wrong, max(1, kv_heads // tp) * head_dim)


def _attention(shape: ModelShape, q: int, kv: int, tp: int, wrong: str) -> int:
    """q, k, v and o of one layer, with their biases."""
    hidden, heads, kv_heads = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads
    matrices = {
        "k or v": hidden * (2 * q + kv),
        "no o": hidden * (q + 2 * kv),
        "four squares": 4 * hidden * hidden // tp,
        "o square": hidden * (q + 2 * kv + hidden // tp),
        "o not cut": hidden * (q + 2 * kv + heads * shape.head_dim),
        "q and o square": hidden * (2 * hidden // tp + 2 * kv),
        "o cut twice": hidden * (q + 2 * kv) + hidden // tp * q,
    }.get(wrong, hidden * (2 * q + 2 * kv))
    biases = {
        "no bias": 0,
        "bias of q": q,
        "tied and biases": 0,
        "biases once": 0,
        "biases once, with o's": 0,
        "a number a head": (q + 2 * kv) // shape.head_dim,
        "biases everywhere": q + 2 * kv + hidden + 2 * shape.intermediate_size // tp + hidden,
        "bias as wide as hidden": 3 * hidden,
        "bias as wide as q": 3 * q,
        "bias of o": q + 2 * kv + hidden,
        "biases whole": (heads + 2 * kv_heads) * shape.head_dim,
    }.get(wrong, q + 2 * kv)
    return matrices + (biases if shape.qkv_bias or wrong == "bias always" else 0)


def _mlp(shape: ModelShape, tp: int, wrong: str) -> int:
    """gate, up and down of one layer."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    matrices = {"no gate": 2, "one matrix": 1}.get(wrong, 3)
    return {
        "mlp whole": matrices * hidden * inner,
        "down whole": hidden * inner + 2 * hidden * (inner // tp),
    }.get(wrong, matrices * hidden * (inner // tp))


def _tables(shape: ModelShape, tp: int, wrong: str) -> int:
    """The embedding and the lm_head."""
    vocabulary = shape.vocab_size
    tables = {
        "tied twice": 2,
        "tied and biases": 2,
        "one table": 1,
        "no table": 0,
        "tied the other way": 2 if shape.tie_word_embeddings else 1,
    }.get(wrong, 1 if shape.tie_word_embeddings else 2)
    rows = {
        "tables whole": vocabulary,
        "embedding whole": (vocabulary + (tables - 1) * math.ceil(vocabulary / tp)) / tables if tables else 0,
        "remainder": vocabulary // tp,
        "one row more": vocabulary // tp + (tp > 1),
        "padded to 128": math.ceil(vocabulary / (128 * tp)) * 128,
    }.get(wrong, math.ceil(vocabulary / tp))
    if wrong == "tables cut by columns":
        return tables * (vocabulary * shape.hidden_size // tp)
    return int(tables * rows * shape.hidden_size)
