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
    }.get(wrong, hidden * (2 * q + 2 * kv))
    biases = {
        "no bias": 0,
        "bias of q": q,
        "tied and biases": 0,
        "a number a head": (q + 2 * kv) // shape.head_dim,
        "biases everywhere": q + 2 * kv + hidden + 2 * shape.intermediate_size // tp + hidden,
        "bias as wide as hidden": 3 * hidden,
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
    }.get(wrong, math.ceil(vocabulary / tp))
    if wrong == "tables cut by columns":
        return tables * (vocabulary * shape.hidden_size // tp)
    return int(tables * rows * shape.hidden_size)


# (what is wrong, what it shows, where to look): for both exercises.
COUNTED = (
    (
        "tied twice",
        "You counted a tied embedding twice. With tie_word_embeddings the lm_head is the embedding itself: one table.",
        "shape.tie_word_embeddings.",
    ),
    (
        "one table",
        "You counted one table in every model. Only with tie_word_embeddings are embedding and lm_head the same one.",
        "a model whose tie_word_embeddings is False.",
    ),
    (
        "tied the other way",
        "You counted two tables where they are tied and one where they are not. Tied means that both are one table.",
        "the condition on shape.tie_word_embeddings.",
    ),
    ("no table", "The embedding and the lm_head are missing from your count.", "vocab_size · hidden_size."),
    (
        "query heads",
        "You counted KV heads as query heads. In grouped-query attention several query heads share one KV head.",
        "which head count enters the width of k and v.",
    ),
    (
        "tied and biases",
        "You counted every model as the chapter's `parameters` does: two tables and no biases. A tied lm_head is the "
        "embedding itself, and with qkv_bias the projections q, k and v have biases.",
        "shape.tie_word_embeddings and shape.qkv_bias.",
    ),
    (
        "four squares",
        "You counted attention as four matrices [hidden, hidden]. q and o have heads · head_dim on one side, k and v "
        "num_key_value_heads · head_dim.",
        "the width of the heads, which is not hidden_size here.",
    ),
    (
        "a number a head",
        "You counted one number of bias for each head. A bias has as many numbers as its projection has outputs: "
        "head_dim for each head.",
        "the biases.",
    ),
    (
        "biases everywhere",
        "With qkv_bias you gave a bias to every projection. Only q, k and v have one.",
        "the biases of o, gate, up and down.",
    ),
    (
        "norms with biases",
        "You gave each norm two vectors. An RMSNorm has a scale, hidden_size numbers, and no bias.",
        "the norms.",
    ),
    (
        "all in each layer",
        "You multiplied everything by the number of layers. The tables and the last norm stand outside them, once.",
        "the brackets around layers · (…).",
    ),
    (
        "head_dim",
        "You took head_dim to be hidden_size / num_attention_heads. That holds for Llama, not for every model.",
        "where head_dim comes from: read shape.head_dim.",
    ),
    ("k or v", "Your count has one of k and v. There are two, of equal size.", "the factor of kv."),
    ("no o", "The matrix o is missing from your count. Attention has four: q, k, v and o.", "attention."),
    (
        "o square",
        "You counted o as [hidden, hidden]. It maps from the width of the queries, heads · head_dim, back to hidden.",
        "the shape of o.",
    ),
    (
        "no bias",
        "The biases are missing. With qkv_bias the projections q, k and v have one each, as wide as their outputs.",
        "shape.qkv_bias.",
    ),
    ("bias always", "You counted biases in every model. Only a model with qkv_bias has them.", "shape.qkv_bias."),
    ("bias of q", "Of the biases you counted only q's. With qkv_bias k and v have one each, too.", "shape.qkv_bias."),
    ("bias of o", "You gave o a bias. With qkv_bias only q, k and v have one.", "the biases."),
    (
        "bias as wide as hidden",
        "You counted the biases of q, k and v as hidden_size numbers each. A bias has as many numbers as its "
        "projection has outputs: heads · head_dim for q, fewer for k and v.",
        "the biases.",
    ),
    ("no gate", "Your MLP has two matrices. SwiGLU has three: gate, up and down.", "the MLP."),
    ("one matrix", "Your MLP has one matrix. SwiGLU has three: gate, up and down.", "the MLP."),
    ("no norms", "The norms are missing: hidden_size numbers each, two a layer, one at the end.", "the small tensors."),
    ("no final norm", "The norm after the last layer is missing: you are hidden_size numbers short.", "the end."),
    ("one norm a layer", "You counted one norm a layer. There are two: before attention and before the MLP.", "norms."),
    (
        "final norm in each layer",
        "You counted three norms a layer. Two belong to each layer; the third stands once, after the last layer.",
        "whether the final norm is multiplied by the number of layers.",
    ),
    ("one layer", "You counted one layer. The model has num_hidden_layers of them.", "shape.num_hidden_layers."),
)
