"""Exercise 01.3: the bytes of KV cache that one rank keeps, in blocks of tokens."""

import math

import torch
from torch import Generator

from tplearn.checks.ch01_why_split.inputs import SIZES, kv_kinds, kv_label, shape_for
from tplearn.checks.ch01_why_split.weights import ALL_COPIED, BELOW, BITS, NO_HEAD, NOT_CUT, NUMBERS
from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.checks.inputs import pick
from tplearn.planning.memory import kv_cache_bytes_per_token
from tplearn.planning.models import ModelShape


def kv_cache_bytes(shape: ModelShape, tp: int, lengths: list[int], block: int, bytes_per_value: int) -> int:
    """Bytes of KV cache on one rank of tp, for sequences of `lengths` tokens, each in whole blocks of `block`."""
    tokens = sum(math.ceil(length / block) * block for length in lengths)
    return tokens * kv_cache_bytes_per_token(shape, tp, bytes_per_value)


def cache_cases(generator: Generator) -> list[Case]:
    """Sequences that fill their last block, that do not, and that are shorter than one; another order each time."""
    cases = []
    for tp in SIZES:
        for copied in kv_kinds(tp):
            block = pick(generator, 2, 5, 4)
            lengths = [block * pick(generator, 2, 6), block * pick(generator, 7, 9) + 1, pick(generator, 1, block - 1)]
            lengths += [block * pick(generator, 3, 6) - 1, block * pick(generator, 10, 12) + 2, block]
            order = torch.randperm(len(lengths), generator=generator).tolist()
            shape = shape_for(generator, tp, copied=copied)
            arguments = (shape, tp, [lengths[k] for k in order], block, pick(generator, 2, 4))
            cases.append(Case(tp, arguments, label=kv_label(copied)))
    return cases


def _cache(shape: ModelShape, tp: int, lengths: list[int], block: int, bytes_per_value: int, wrong: str) -> int:
    """The KV cache of a rank, with one thing `wrong`."""
    heads, kv_heads = shape.num_attention_heads, shape.num_key_value_heads
    head_dim = shape.hidden_size // heads if wrong == "head_dim" else shape.head_dim
    width = {
        "query heads": heads // tp * head_dim,
        "all query heads": heads * head_dim,
        "not cut": kv_heads * head_dim,
        "sequences dealt out": kv_heads * head_dim,
        "sequences cut": kv_heads * head_dim,
        "blocks dealt out": kv_heads * head_dim,
        "all copied": (kv_heads if kv_heads < tp else kv_heads // tp) * head_dim,
        "no head left": kv_heads // tp * head_dim,
        "below one head": kv_heads * head_dim // tp,
    }.get(wrong, max(1, kv_heads // tp) * head_dim)
    tokens = {
        "no blocks": sum(lengths),
        "full blocks only": sum(length // block * block for length in lengths),
        "always one block more": sum(length // block + 1 for length in lengths) * block,
        "rounded at the end": math.ceil(sum(lengths) / block) * block,
        "longest for all": len(lengths) * math.ceil(max(lengths) / block) * block,
        "longest, no blocks": len(lengths) * max(lengths),
        "one block each": len(lengths) * block,
        "first sequence": math.ceil(lengths[0] / block) * block,
        "sequences dealt out": sum(math.ceil(length / block) * block for length in lengths[::tp]),
        "sequences cut": sum(math.ceil(length / block) * block for length in lengths[: math.ceil(len(lengths) / tp)]),
        "blocks dealt out": math.ceil(sum(math.ceil(length / block) for length in lengths) / tp) * block,
        "blocks for tokens": sum(math.ceil(length / block) for length in lengths),
        "rounded to nearest": sum(round(length / block) * block for length in lengths),
    }.get(wrong, sum(math.ceil(length / block) * block for length in lengths))
    values = (1 if wrong == "keys only" else 2) * width * (1 if wrong == "one layer" else shape.num_hidden_layers)
    each = {"numbers": 1, "2 bytes": 2}.get(wrong, bytes_per_value)
    return values * tokens * each * (8 if wrong == "bits" else 1)


KV_CACHE_BYTES = Exercise(
    number="01.3",
    name="kv_cache_bytes",
    points=10,
    difficulty=1,
    minutes=12,
    reference=kv_cache_bytes,
    cases=cache_cases,
    mutants=mutants_of(
        _cache,
        ("no blocks", "You counted the tokens that are there. A block that is begun is taken whole.", "block."),
        (
            "rounded at the end",
            "You rounded the sum of all lengths up to whole blocks. A block belongs to one sequence: each length is "
            "rounded up by itself.",
            "the order of rounding and adding.",
        ),
        (
            "full blocks only",
            "You counted full blocks only. The last tokens of a sequence need a block, too.",
            "the //.",
        ),
        (
            "rounded to nearest",
            "You rounded to the nearest number of blocks. A block that is begun counts, however few tokens it has.",
            "round().",
        ),
        (
            "always one block more",
            "You counted one block more than length // block, also where a length fills its last block exactly.",
            "a length that divides by block.",
        ),
        (
            "longest for all",
            "You gave every sequence as much as the longest one. That is a padded batch; with blocks each sequence has "
            "its own number of them.",
            "max(lengths).",
        ),
        (
            "longest, no blocks",
            "You gave every sequence the tokens of the longest one. Each has its own number, in whole blocks.",
            "max(lengths).",
        ),
        (
            "blocks for tokens",
            "You counted blocks as if each held one token. It holds `block` of them.",
            "the factor block.",
        ),
        (
            "sequences dealt out",
            "You dealt the sequences out, every tp-th to a rank, with all their KV heads. The heads are what is cut: "
            "every rank stores its own heads of every sequence.",
            "lengths, and num_key_value_heads.",
        ),
        (
            "sequences cut",
            "You gave a rank its share of the list of sequences, with all KV heads. The heads are what is cut: every "
            "rank stores its own heads of every sequence.",
            "lengths, and num_key_value_heads.",
        ),
        (
            "blocks dealt out",
            "You dealt the blocks out over the ranks, each with all KV heads. The heads are what is cut: every rank "
            "stores its own heads of every block.",
            "lengths, and num_key_value_heads.",
        ),
        ("first sequence", "That is the cache of one sequence, the first. Each has its own.", "lengths."),
        (
            "query heads",
            "You counted KV heads as query heads. The cache has one key and one value for each KV head.",
            "which head count enters.",
        ),
        (
            "head_dim",
            "You took head_dim to be hidden_size / num_attention_heads. That holds for Llama, not for every model.",
            "where head_dim comes from: read shape.head_dim.",
        ),
        (
            "all query heads",
            "You counted all query heads. The cache has one key and one value for each KV head, and a rank stores its "
            "own.",
            "which head count enters, and tp.",
        ),
        ("one block each", "You gave each sequence one block. It takes as many as its length needs.", "lengths."),
        ("2 bytes", "You took 2 bytes for each value. The exercise says how many there are.", "bytes_per_value."),
        NOT_CUT,
        ALL_COPIED,
        BELOW,
        NO_HEAD,
        BITS,
        NUMBERS,
        (
            "keys only",
            "Your result is half the right one: K and V are stored, and you counted one of them.",
            "K and V.",
        ),
        ("one layer", "That is one layer's cache. Every layer has its own keys and values.", "num_hidden_layers."),
    ),
    ready=("tplearn.planning.memory.kv_cache_bytes",),
)
