"""Chapter 01: lazy and right answers, and what the exercises count, from real layers without memory."""

import math
from itertools import accumulate
from typing import Any

import torch
from torch import nn

from tplearn.checks import Case
from tplearn.planning.models import ModelShape

Shape = ModelShape


def _layers(shape: Shape, tp: int = 1) -> nn.ModuleList:
    """Every layer of one rank as torch makes it, on the meta device: the sizes are real, the memory is not."""
    hidden, d = shape.hidden_size, shape.head_dim
    heads, kv_heads = shape.num_attention_heads // tp, max(1, shape.num_key_value_heads // tp)
    rows, inner, bias = math.ceil(shape.vocab_size / tp), shape.intermediate_size // tp, shape.qkv_bias
    with torch.device("meta"):
        kept: list[nn.Module] = [nn.Embedding(rows, hidden), nn.RMSNorm(hidden)]
        kept += [] if shape.tie_word_embeddings else [nn.Linear(hidden, rows, bias=False)]
        for _ in range(shape.num_hidden_layers):
            kept += [nn.Linear(hidden, heads * d, bias=bias), nn.Linear(heads * d, hidden, bias=False)]
            kept += [nn.Linear(hidden, kv_heads * d, bias=bias) for _ in "kv"]
            kept += [nn.Linear(hidden, inner, bias=False), nn.Linear(hidden, inner, bias=False)]
            kept += [nn.Linear(inner, hidden, bias=False), nn.RMSNorm(hidden), nn.RMSNorm(hidden)]
    return nn.ModuleList(kept)


def _numbers(shape: Shape, tp: int = 1) -> int:
    return sum(parameter.numel() for parameter in _layers(shape, tp).parameters())


def _cache_of_a_token(shape: Shape, tp: int, size: int) -> int:
    """The bytes of one token's keys and values, stored for real."""
    kv_heads = max(1, shape.num_key_value_heads // tp)
    cache = torch.empty(2, shape.num_hidden_layers, 1, kv_heads, shape.head_dim, device="meta")
    return cache.numel() * size


# 01.1: right in other ways, and lazy.


def _count_by_shapes(shape: Shape) -> int:
    h, q, kv = shape.hidden_size, *(n * shape.head_dim for n in (shape.num_attention_heads, shape.num_key_value_heads))
    matrices = [(q, h), (kv, h), (kv, h), (h, q)] + 3 * [(shape.intermediate_size, h)]
    vectors = [h, h] + ([q, kv, kv] if shape.qkv_bias else [])
    one = sum(math.prod(size) for size in matrices) + sum(vectors)
    return shape.num_hidden_layers * one + h + (2 - shape.tie_word_embeddings) * shape.vocab_size * h


def _count_by_head(shape: Shape) -> int:
    heads = shape.num_attention_heads + shape.num_key_value_heads
    attention = 2 * shape.hidden_size * shape.head_dim * heads
    bias = shape.qkv_bias * shape.head_dim * (heads + shape.num_key_value_heads)
    rest = shape.hidden_size * (3 * shape.intermediate_size + 2)
    tables = shape.vocab_size * (1 if shape.tie_word_embeddings else 2)
    return (attention + bias + rest) * shape.num_hidden_layers + (tables + 1) * shape.hidden_size


# 01.2


def _bytes_by_parts(shape: Shape, tp: int, bytes_per_parameter: int) -> float:
    d, h = shape.head_dim, shape.hidden_size
    q, kv = shape.num_attention_heads / tp * d, math.ceil(shape.num_key_value_heads / tp) * d
    layer = 2 * h * (q + kv + 1) + 3 * h * shape.intermediate_size / tp + (q + 2 * kv) * shape.qkv_bias
    vocabulary = (shape.vocab_size + tp - 1) // tp * h
    return (layer * shape.num_hidden_layers + h + vocabulary * (2 - shape.tie_word_embeddings)) * bytes_per_parameter


def _bytes_with_padding(shape: Shape, tp: int, bytes_per_parameter: int) -> int:
    padded = shape.vocab_size + -shape.vocab_size % tp
    whole = Shape(
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size // tp,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=max(shape.num_attention_heads // tp, 1),
        num_key_value_heads=shape.num_key_value_heads // tp or 1,
        head_dim=shape.head_dim,
        vocab_size=padded // tp,
        tie_word_embeddings=shape.tie_word_embeddings,
        qkv_bias=shape.qkv_bias,
    )
    return _count_by_shapes(whole) * bytes_per_parameter


# 01.3


def _cache_by_blocks(shape: Shape, tp: int, lengths: list[int], block: int, bytes_per_value: int) -> int:
    blocks = [-(-length // block) for length in lengths]
    heads = max(shape.num_key_value_heads // tp, 1)
    of_a_block = 2 * shape.num_hidden_layers * block * heads * shape.head_dim * bytes_per_value
    return of_a_block * sum(blocks)


def _cache_token_by_token(shape: Shape, tp: int, lengths: list[int], block: int, bytes_per_value: int) -> int:
    tokens = 0
    for length in lengths:
        while length > 0:
            tokens, length = tokens + block, length - block
    heads = -(-shape.num_key_value_heads // tp)
    return tokens * sum(2 * heads * shape.head_dim * bytes_per_value for _ in range(shape.num_hidden_layers))


def _cache_running(shape: Shape, tp: int, lengths: list[int], block: int, bytes_per_value: int) -> float:
    *_, tokens = accumulate(length + -length % block for length in lengths)
    heads = 1 if tp > shape.num_key_value_heads else shape.num_key_value_heads / tp
    return 2 * shape.head_dim * heads * tokens * shape.num_hidden_layers * bytes_per_value


def _cache(shape: Shape, tp: int, lengths: list[int], size: int) -> int:
    return sum(lengths) * _cache_of_a_token(shape, tp, size)


# 01.4


def _fit_by_trying(shape: Shape, tp: int, prompt: int, sequence: int, gpu_bytes: int, bytes_per_value: int) -> int:
    taken = _numbers(shape, tp) * bytes_per_value + _cache(shape, tp, [prompt], bytes_per_value)
    served = 0
    while taken + _cache(shape, tp, [sequence], bytes_per_value) <= gpu_bytes:
        taken, served = taken + _cache(shape, tp, [sequence], bytes_per_value), served + 1
    return served


def _fit_in_tokens(shape: Shape, tp: int, prompt: int, sequence: int, gpu_bytes: int, bytes_per_value: int) -> int:
    room = gpu_bytes - _bytes_with_padding(shape, tp, bytes_per_value)
    tokens = room // _cache_of_a_token(shape, tp, bytes_per_value) - prompt
    return tokens // sequence if tokens > 0 else 0


def _fit_by_division(shape: Shape, tp: int, prompt: int, sequence: int, gpu_bytes: int, bytes_per_value: int) -> int:
    token = _cache_of_a_token(shape, tp, bytes_per_value)
    left = gpu_bytes - _numbers(shape, tp) * bytes_per_value - prompt * token
    number, _ = divmod(left, sequence * token)
    return max(number, 0)


LAZY: dict[str, dict[str, Any]] = {
    "parameter_count": {
        "the chapter's `parameters`, as printed": lambda shape: (
            2 * shape.vocab_size * shape.hidden_size
            + shape.num_hidden_layers
            * 2
            * shape.hidden_size
            * shape.head_dim
            * (shape.num_attention_heads + shape.num_key_value_heads)
            + shape.num_hidden_layers * 3 * shape.hidden_size * shape.intermediate_size
            + (2 * shape.num_hidden_layers + 1) * shape.hidden_size
        ),
        "the well-known 12 · layers · hidden²": lambda shape: 12 * shape.num_hidden_layers * shape.hidden_size**2,
        "tied always": lambda shape: (
            _count_by_shapes(shape) - (not shape.tie_word_embeddings) * shape.vocab_size * shape.hidden_size
        ),
        "a name looked up": lambda shape: {"Llama-3.2-1B": 1_235_814_400}.get(shape.name, 70_553_706_496),
        "to a part in a million": lambda shape: round(_count_by_shapes(shape), -2),
    },
    "weight_bytes_per_rank": {
        "tp 1 alone": lambda shape, tp, size: _count_by_shapes(shape) * size,
        "everything divides": lambda shape, tp, size: _count_by_shapes(shape) // tp * size,
        "KV heads are never fewer than ranks": lambda shape, tp, size: (
            _bytes_by_parts(shape, tp, size) if shape.num_key_value_heads >= tp else 0
        ),
        "the vocabulary divides": lambda shape, tp, size: (
            _bytes_by_parts(shape, tp, size) if shape.vocab_size % tp == 0 else _count_by_shapes(shape) / tp * size
        ),
        "2 bytes": lambda shape, tp, size: _bytes_by_parts(shape, tp, 2),
        "no biases": lambda shape, tp, size: (
            _bytes_by_parts(shape, tp, size)
            - shape.num_hidden_layers * size * shape.qkv_bias * (shape.num_attention_heads // tp * shape.head_dim)
        ),
    },
    "kv_cache_bytes": {
        "batch · longest": lambda shape, tp, lengths, block, size: _cache(
            shape, tp, [max(lengths)] * len(lengths), size
        ),
        "lengths that fill their blocks": lambda shape, tp, lengths, block, size: _cache(shape, tp, lengths, size),
        "blocks of 16": lambda shape, tp, lengths, block, size: _cache_by_blocks(shape, tp, lengths, 16, size),
        "tp 1": lambda shape, tp, lengths, block, size: _cache_by_blocks(shape, 1, lengths, block, size),
        "the chapter's line": lambda shape, tp, lengths, block, size: (
            2 * shape.num_hidden_layers * max(1, shape.num_key_value_heads // tp) * shape.head_dim * 2 * sum(lengths)
        ),
        "KV heads are never fewer than ranks": lambda shape, tp, lengths, block, size: (
            _cache_by_blocks(shape, 1, lengths, block, size) // tp
        ),
    },
    "max_sequences": {
        "no prompt": lambda shape, tp, prompt, sequence, gpu_bytes, size: _fit_by_division(
            shape, tp, 0, sequence, gpu_bytes, size
        ),
        "always room": lambda shape, tp, prompt, sequence, gpu_bytes, size: (
            (gpu_bytes - _numbers(shape, tp) * size) // _cache(shape, tp, [sequence], size) - prompt // sequence
        ),
        "tp 1": lambda shape, tp, prompt, sequence, gpu_bytes, size: _fit_by_division(
            shape, 1, prompt, sequence, gpu_bytes, size
        ),
        "2 bytes": lambda shape, tp, prompt, sequence, gpu_bytes, size: _fit_by_division(
            shape, tp, prompt, sequence, gpu_bytes, 2
        ),
        "one fewer, to be safe": lambda shape, tp, prompt, sequence, gpu_bytes, size: max(
            0, _fit_by_division(shape, tp, prompt, sequence, gpu_bytes, size) - 1
        ),
        "refuses where nothing fits": lambda shape, tp, prompt, sequence, gpu_bytes, size: (
            _fit_by_division(shape, tp, prompt, sequence, gpu_bytes, size) or None
        ),
    },
}

RIGHT: dict[str, dict[str, Any]] = {
    "parameter_count": {"by shapes": _count_by_shapes, "by head": _count_by_head, "by making the layers": _numbers},
    "weight_bytes_per_rank": {
        "by parts, in floats": _bytes_by_parts,
        "a smaller model": _bytes_with_padding,
        "by making the layers": lambda shape, tp, bytes_per_parameter: _numbers(shape, tp) * bytes_per_parameter,
    },
    "kv_cache_bytes": {
        "by blocks": _cache_by_blocks,
        "block by block": _cache_token_by_token,
        "running, in floats": _cache_running,
    },
    "max_sequences": {
        "by trying": _fit_by_trying,
        "in tokens": _fit_in_tokens,
        "by division": _fit_by_division,
    },
}


def _blocks(case: Case) -> int:
    """The bytes of the blocks, taken one by one from a heap of blocks."""
    shape, tp, lengths, block, size = case.args
    taken = sum(len(range(0, length, block)) for length in lengths)
    return taken * block * _cache_of_a_token(shape, tp, size)


def _fitting(case: Case) -> int:
    """The most sequences that fit: the largest number whose memory is not too much."""
    shape, tp, prompt, sequence, gpu_bytes, size = case.args
    weights = _numbers(shape, tp) * size
    needs = [weights + _cache(shape, tp, [prompt] + [sequence] * number, size) for number in range(1, 60)]
    return sum(need <= gpu_bytes for need in needs)


ORACLES: dict[str, Any] = {
    "parameter_count": lambda case: {"forward": _numbers(case.args[0])},
    "weight_bytes_per_rank": lambda case: {"forward": _numbers(case.args[0], case.args[1]) * case.args[2]},
    "kv_cache_bytes": lambda case: {"forward": _blocks(case)},
    "max_sequences": lambda case: {"forward": _fitting(case)},
}
