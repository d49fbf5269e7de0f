"""Counts are integers: they must be equal, to the last byte, to tensors that are really cut."""

import math
from dataclasses import replace

import pytest
import torch

from tplearn.planning import (
    MODELS,
    ModelShape,
    kv_cache_bytes,
    kv_cache_bytes_per_token,
    kv_heads_per_rank,
    max_sequences,
    parameter_breakdown,
    parameter_count,
    read_configs,
    tp_sizes,
    weight_bytes_per_rank,
)

TINY = ModelShape(
    hidden_size=24,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=8,
    num_key_value_heads=2,
    head_dim=4,
    vocab_size=101,
)
LLAMA_70B = MODELS["Llama-3.1-70B"]


def tensors_of_a_rank(shape: ModelShape, tp: int, rank: int) -> list[torch.Tensor]:
    """Every weight tensor that `rank` stores, cut head by head and row by row, on the meta device."""
    rows = math.ceil(shape.vocab_size / tp)
    group = shape.num_attention_heads // shape.num_key_value_heads
    heads = [h for h in range(shape.num_attention_heads) if h * tp // shape.num_attention_heads == rank]
    q, kv = len(heads) * shape.head_dim, len({head // group for head in heads}) * shape.head_dim
    hidden, inner = shape.hidden_size, shape.intermediate_size // tp
    sizes = [(rows, hidden)] if shape.tie_word_embeddings else [(rows, hidden), (rows, hidden)]
    sizes.append((hidden,))
    for _ in range(shape.num_hidden_layers):
        sizes += [(hidden,), (hidden,), (q, hidden), (kv, hidden), (kv, hidden), (hidden, q)]
        sizes += [(inner, hidden), (inner, hidden), (hidden, inner)]
        sizes += [(q,), (kv,), (kv,)] if shape.qkv_bias else []
    return [torch.empty(size, device="meta", dtype=torch.bfloat16) for size in sizes]


@pytest.mark.parametrize("name", MODELS)
def test_parameters_equal_the_published_count(name: str) -> None:
    assert parameter_count(MODELS[name]) == read_configs()[name]["parameters"]


def test_breakdown_adds_up_and_a_tied_head_counts_nothing() -> None:
    for shape in MODELS.values():
        parts = parameter_breakdown(shape)
        assert sum(parts.values()) == parameter_count(shape)
        assert (parts["lm_head"] == 0) == shape.tie_word_embeddings


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tp", [1, 2, 4, 8])
def test_weight_bytes_equal_real_tensors(tp: int, bias: bool, tied: bool) -> None:
    shape = replace(TINY, qkv_bias=bias, tie_word_embeddings=tied)
    for rank in range(tp):
        expected = sum(tensor.numel() * tensor.element_size() for tensor in tensors_of_a_rank(shape, tp, rank))
        assert weight_bytes_per_rank(shape, tp, 2) == expected


def test_norms_do_not_shrink() -> None:
    assert {parameter_breakdown(LLAMA_70B, tp)["norms"] for tp in (1, 2, 4, 8)} == {161 * 8192}
    assert weight_bytes_per_rank(LLAMA_70B, 2) * 2 > weight_bytes_per_rank(LLAMA_70B, 1)


@pytest.mark.parametrize(("tp", "heads"), [(1, 8), (2, 4), (8, 1), (16, 1), (64, 1)])
def test_kv_heads_are_copied_above_their_number(tp: int, heads: int) -> None:
    assert kv_heads_per_rank(LLAMA_70B, tp) == heads
    assert kv_cache_bytes_per_token(LLAMA_70B, tp) == 2 * 80 * heads * 128 * 2


def test_kv_cache_equals_real_tensors() -> None:
    cache = torch.empty(
        80, 2, 3, 100, 8, 128, dtype=torch.bfloat16, device="meta"
    )  # layer, K or V, batch, token, head, dim
    assert kv_cache_bytes(LLAMA_70B, 1, 3, 100) == cache.numel() * cache.element_size()


def test_the_numbers_of_chapter_01() -> None:
    """140 GB of 160 leaves 20; TP = 2 leaves 90 on each GPU: 4.5 times. Those are the round figures of these."""
    one, two = (160 * 10**9 - weight_bytes_per_rank(LLAMA_70B, tp) for tp in (1, 2))
    assert (round(one / 1e9, 1), round(two / 1e9, 1)) == (18.9, 89.4)
    assert (max_sequences(LLAMA_70B, 1, 8192, 160 * 10**9), max_sequences(LLAMA_70B, 2, 8192, 160 * 10**9)) == (7, 66)


def test_max_sequences_is_the_largest_that_fits() -> None:
    for tp in (1, 2, 4):
        gpu_bytes = 10**6
        found = max_sequences(TINY, tp, 7, gpu_bytes)
        weights = weight_bytes_per_rank(TINY, tp)
        assert weights + kv_cache_bytes(TINY, tp, found, 7) <= gpu_bytes
        assert weights + kv_cache_bytes(TINY, tp, found + 1, 7) > gpu_bytes
    assert max_sequences(LLAMA_70B, 1, 8192, 80 * 10**9) == 0


def test_half_a_byte() -> None:
    assert weight_bytes_per_rank(LLAMA_70B, 1, 0.5) == parameter_count(LLAMA_70B) / 2


def test_sizes_that_do_not_cut_are_named() -> None:
    with pytest.raises(ValueError, match=r"tp = 3 .*sizes that work: 1, 2, 4, 8, 16, 32, 64"):
        weight_bytes_per_rank(LLAMA_70B, 3)
    assert tp_sizes(MODELS["Qwen2.5-0.5B"]) == [1, 2]  # 14 divides the heads, but 4864 has no factor 7
    with pytest.raises(ValueError, match="tp = 0"):
        kv_heads_per_rank(LLAMA_70B, 0)
    with pytest.raises(ValueError, match="batch = 0 must be above 0"):
        kv_cache_bytes(LLAMA_70B, 1, 0, 5)
    with pytest.raises(ValueError, match="bytes_per_parameter = -1"):
        weight_bytes_per_rank(LLAMA_70B, 1, -1)
    with pytest.raises(ValueError, match="gpu_bytes = 0"):
        max_sequences(LLAMA_70B, 1, 8, 0)


def test_a_shape_refuses_sizes_that_make_no_model() -> None:
    with pytest.raises(ValueError, match="num_key_value_heads = 3 does not divide num_attention_heads = 8"):
        replace(TINY, num_key_value_heads=3)
    with pytest.raises(ValueError, match="head_dim = 0"):
        replace(TINY, head_dim=0)
