"""Chapter 01's exercises: count the parameters, cut them, count the KV cache, see how many sequences fit."""

import math

import torch

from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.planning.memory import kv_cache_bytes, max_sequences, parameter_count, weight_bytes_per_rank
from tplearn.planning.models import ModelShape


def draw(generator: torch.Generator, low: int, high: int, step: int = 1) -> int:
    """A random multiple of `step` in [low · step, high · step]."""
    return step * int(torch.randint(low, high + 1, (), generator=generator))


def random_shape(generator: torch.Generator, tied: bool, bias: bool) -> ModelShape:
    """8 query heads on 2 KV heads, so that tp = 4 needs copies; odd vocabulary; head_dim is never hidden / heads."""
    return ModelShape(
        hidden_size=draw(generator, 20, 40, 8),
        intermediate_size=draw(generator, 60, 90, 4),
        num_hidden_layers=draw(generator, 2, 6),
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=draw(generator, 6, 9, 8),
        vocab_size=4 * draw(generator, 200, 400) + 1,
        tie_word_embeddings=tied,
        qkv_bias=bias,
    )


def shapes(generator: torch.Generator) -> list[ModelShape]:
    """One shape for every mix of tied or not, biases or not."""
    return [random_shape(generator, tied, bias) for tied in (False, True) for bias in (False, True)]


def parameter_cases(generator: torch.Generator) -> list[Case]:
    """Whole models."""
    return [Case(1, (shape,)) for shape in shapes(generator)]


def weight_cases(generator: torch.Generator) -> list[Case]:
    """(shape, tp, bytes_per_parameter); tp = 4 is more than the KV heads."""
    return [Case(tp, (shape, tp, draw(generator, 1, 4))) for tp in (1, 2, 4) for shape in shapes(generator)]


def cache_cases(generator: torch.Generator) -> list[Case]:
    """(shape, tp, batch, sequence, bytes_per_value)."""
    return [
        Case(tp, (random_shape(generator, False, False), tp, draw(generator, 2, 9), draw(generator, 50, 99), size))
        for tp in (1, 2, 4)
        for size in (1, 2)
    ]


def fit_cases(generator: torch.Generator) -> list[Case]:
    """(shape, tp, sequence, gpu_bytes, bytes_per_value): room for some sequences and a half; and once too little."""
    cases = []
    for tp in (1, 2, 4):
        shape, sequence = random_shape(generator, False, False), draw(generator, 50, 99)
        weights, one = weight_bytes_per_rank(shape, tp, 2), kv_cache_bytes(shape, tp, 1, sequence, 2)
        gpu_bytes = weights + draw(generator, 12, 30) * one + one // 2
        cases += [Case(tp, (shape, tp, sequence, size, 2)) for size in (gpu_bytes, weights // 2)]
    return cases


def fits(shape: ModelShape, tp: int, sequence: int, gpu_bytes: int, bytes_per_value: int) -> int:
    """The reference of 01.4: weights and cache in the same type."""
    return max_sequences(shape, tp, sequence, gpu_bytes, bytes_per_value, bytes_per_value)


def count(shape: ModelShape, tp: int = 1, bytes_each: int = 1, wrong: str = "") -> int:
    """The weights of a rank, with one thing `wrong`."""
    if wrong == "all divided":
        return parameter_count(shape) * bytes_each // tp
    hidden, layers, heads = shape.hidden_size, shape.num_hidden_layers, shape.num_attention_heads
    kv_heads, head_dim = shape.num_key_value_heads, hidden // heads if wrong == "head_dim" else shape.head_dim
    q, kv = heads // tp * head_dim, max(1, kv_heads // tp) * head_dim
    kv = {"query heads": q, "below one head": kv_heads * head_dim // tp, "not cut": kv_heads * head_dim}.get(wrong, kv)
    vocabulary = shape.vocab_size
    rows = {"tables whole": vocabulary, "remainder": vocabulary // tp}.get(wrong, math.ceil(vocabulary / tp))
    bias = 0 if wrong == "no bias" or not shape.qkv_bias else q + 2 * kv
    mlp = (2 if wrong == "no gate" else 3) * hidden * (shape.intermediate_size // tp)
    norms = 2 * layers + 1
    norms = {"no norms": 0, "no final norm": 2 * layers, "norms cut": norms / tp}.get(wrong, norms)
    tables = 1 if shape.tie_word_embeddings and wrong != "tied twice" else 2
    total = tables * rows * hidden + layers * (2 * hidden * q + 2 * hidden * kv + bias + mlp) + int(norms * hidden)
    return total * bytes_each * (8 if wrong == "bits" else 1)


def cache(shape: ModelShape, tp: int, batch: int, sequence: int, bytes_per_value: int, wrong: str = "") -> int:
    """The KV cache of a rank, with one thing `wrong`."""
    heads, kv_heads = shape.num_attention_heads, shape.num_key_value_heads
    head_dim = shape.hidden_size // heads if wrong == "head_dim" else shape.head_dim
    width = {
        "query heads": heads // tp * head_dim,
        "not cut": kv_heads * head_dim,
        "no head left": kv_heads // tp * head_dim,
        "below one head": kv_heads * head_dim // tp,
    }.get(wrong, max(1, kv_heads // tp) * head_dim)
    values = (1 if wrong == "keys only" else 2) * width * (1 if wrong == "one layer" else shape.num_hidden_layers)
    tokens = sequence if wrong == "one sequence" else batch * sequence
    return values * tokens * bytes_per_value * (8 if wrong == "bits" else 1)


def fit(shape: ModelShape, tp: int, sequence: int, gpu_bytes: int, bytes_per_value: int, wrong: str = "") -> int:
    """How many sequences fit, with one thing `wrong`."""
    weights = weight_bytes_per_rank(shape, 1 if wrong == "weights whole" else tp, bytes_per_value)
    one = kv_cache_bytes(shape, 1 if wrong == "cache whole" else tp, 1, sequence, bytes_per_value)
    room = gpu_bytes - (0 if wrong == "no weights" else weights)
    number = math.ceil(room / one) if wrong == "rounded up" else room // one
    number = number if wrong == "negative" else max(0, number)
    return number * tp if wrong == "all ranks" else number


TIED = ("tied twice", "You counted a tied embedding twice. The lm_head is the embedding: one table.", "the lm_head.")
KV_AS_QUERY = (
    "query heads",
    "You counted KV heads as query heads. In grouped-query attention several query heads share one K and one V head.",
    "which head count enters the width of k and v.",
)
WIDTH = (
    "head_dim",
    "You took head_dim to be hidden_size / num_attention_heads. That holds for Llama, not for every model.",
    "where head_dim comes from: read shape.head_dim.",
)
BITS = ("bits", "Your result is 8 times the truth: you counted bits. bfloat16 is 2 bytes.", "the last factor.")
NOT_CUT = (
    "not cut",
    "Every rank of yours keeps all KV heads. While there are enough of them, K and V are cut by heads, as Q is.",
    "where tp enters the width of k and v.",
)
BELOW = (
    "below one head",
    "Your K and V go on shrinking above num_key_value_heads ranks. Each keeps one whole head, a copy, from there on.",
    "tp 4 of a model with 2 KV heads.",
)
NO_BIAS = ("no bias", "With qkv_bias the q, k and v projections have biases. You left them out.", "shape.qkv_bias.")
COUNTED = (TIED, KV_AS_QUERY, WIDTH, NO_BIAS)
CACHED = (KV_AS_QUERY, WIDTH, NOT_CUT, BELOW, BITS)

COUNTING = mutants_of(
    count,
    *COUNTED,
    ("no gate", "Your MLP has two matrices. SwiGLU has three: gate, up and down.", "the MLP."),
    ("no norms", "The norms are missing: hidden_size numbers each, two a layer, one at the end.", "the small parts."),
    ("no final norm", "The norm after the last layer is missing: you are hidden_size short.", "the end of the model."),
)
CUTTING = mutants_of(
    count,
    *(*COUNTED, NOT_CUT, BELOW, BITS),
    ("all divided", "You divided the whole model by tp. But norms stay, and KV heads stop at one.", "part by part."),
    ("norms cut", "Your norms shrink with tp. They are not cut: every rank keeps every norm whole.", "the norms."),
    (
        "tables whole",
        "Your embedding and lm_head stay whole. Both are cut by rows of the vocabulary.",
        "the two tables.",
    ),
    (
        "remainder",
        "You dropped the remainder of the vocabulary: the last tokens belong to nobody.",
        "vocab_size // tp.",
    ),
)
CACHING = mutants_of(
    cache,
    *CACHED,
    ("keys only", "Your result is half the truth: you stored K without V, or V without K.", "the first factor."),
    (
        "no head left",
        "Above num_key_value_heads ranks your cache is empty. Every rank needs a head.",
        "kv_heads // tp.",
    ),
    ("one layer", "That is one layer's cache. Every layer has its own keys and values.", "num_hidden_layers."),
    ("one sequence", "That is one sequence's cache. Each sequence of the batch has its own.", "batch."),
)
FITTING = mutants_of(
    fit,
    ("all ranks", "You multiplied by tp. But the ranks of a group hold parts of the same sequences.", "the last step."),
    ("weights whole", "You put the whole model on every rank. A rank keeps its share.", "tp in the weights."),
    ("cache whole", "You cut the weights but not the cache. A rank stores its own KV heads only.", "tp in the cache."),
    ("no weights", "You gave the whole GPU to the cache. The weights are there first.", "the room that is left."),
    ("negative", "Where the weights do not fit, you return a negative number. Nothing fits then: 0.", "a small GPU."),
    ("rounded up", "You rounded up. The last sequence does not fit whole.", "how you divide."),
)

EXERCISES: tuple[Exercise, ...] = (
    Exercise("01.1", "parameter_count", 10, 1, 10, parameter_count, parameter_cases, COUNTING),
    Exercise("01.2", "weight_bytes_per_rank", 15, 2, 15, weight_bytes_per_rank, weight_cases, CUTTING),
    Exercise("01.3", "kv_cache_bytes", 10, 1, 10, kv_cache_bytes, cache_cases, CACHING),
    Exercise("01.4", "max_sequences", 10, 2, 10, fits, fit_cases, FITTING),
)
