"""What one rank stores: its share of the weights, and its share of the KV cache.

| tensor | kept by a rank of tp |
|---|---|
| embedding, lm_head | ceil(vocab / tp) rows: the vocabulary is padded to a multiple of tp |
| q, o | heads / tp heads |
| k, v, KV cache | kv_heads / tp heads, and never less than one: above kv_heads ranks hold copies |
| gate, up, down (GPT: up, down) | intermediate / tp |
| norms | everything, on every rank |
"""

import math

from tplearn.planning.models import ModelShape


def tp_sizes(shape: ModelShape) -> list[int]:
    """All tp sizes that cut this model: whole query heads and MLP columns, and KV heads either whole or copied."""
    return [tp for tp in range(1, shape.num_attention_heads + 1) if _cuts(shape, tp)]


def kv_heads_per_rank(shape: ModelShape, tp: int) -> int:
    """KV heads that a rank stores: kv_heads / tp, or one copied head when tp > kv_heads (vLLM's `get_num_kv_heads`).

    Raises:
        ValueError: tp does not cut this model; the message lists the sizes that do.
    """
    if tp < 1 or not _cuts(shape, tp):
        raise ValueError(
            f"{shape.name or 'this model'} cannot be cut over tp = {tp} ranks: num_attention_heads = "
            f"{shape.num_attention_heads}, num_key_value_heads = {shape.num_key_value_heads}, intermediate_size = "
            f"{shape.intermediate_size}; sizes that work: {', '.join(map(str, tp_sizes(shape)))}"
        )
    return max(1, shape.num_key_value_heads // tp)


def parameter_breakdown(shape: ModelShape, tp: int = 1) -> dict[str, int]:
    """Parameters that one rank stores, by part, over all layers. At tp = 1 this is the whole model.

    A tied lm_head is the embedding itself: it counts 0.

    Raises:
        ValueError: tp does not cut this model.
    """
    kv_width = kv_heads_per_rank(shape, tp) * shape.head_dim
    q_width = shape.num_attention_heads // tp * shape.head_dim
    hidden, layers = shape.hidden_size, shape.num_hidden_layers
    attention = 2 * hidden * q_width + 2 * hidden * kv_width  # q and o, k and v
    if shape.qkv_bias:
        attention += q_width + 2 * kv_width
    vocabulary = math.ceil(shape.vocab_size / tp) * hidden
    return {
        "embedding": vocabulary,
        "attention": layers * attention,
        "mlp": layers * shape.mlp_matrices * hidden * (shape.intermediate_size // tp),
        "norms": (2 * layers + 1) * hidden,
        "lm_head": 0 if shape.tie_word_embeddings else vocabulary,
    }


def parameter_count(shape: ModelShape) -> int:
    """Parameters of the whole model, a tied embedding counted once."""
    return sum(parameter_breakdown(shape).values())


def weight_bytes_per_rank(shape: ModelShape, tp: int = 1, bytes_per_parameter: float = 2) -> int:
    """Bytes of weights that one rank of tp stores. `bytes_per_parameter`: 4 float32, 2 bfloat16, 1 fp8, 0.5 int4.

    Raises:
        ValueError: tp does not cut this model, or bytes_per_parameter is not above 0.
    """
    check_positive(bytes_per_parameter=bytes_per_parameter)
    return math.ceil(sum(parameter_breakdown(shape, tp).values()) * bytes_per_parameter)


def kv_cache_bytes_per_token(shape: ModelShape, tp: int = 1, bytes_per_value: float = 2) -> int:
    """Bytes of KV cache that one rank stores for one token: 2 (K and V) · layers · its KV heads · head_dim · bytes.

    Raises:
        ValueError: tp does not cut this model, or bytes_per_value is not above 0.
    """
    check_positive(bytes_per_value=bytes_per_value)
    values = 2 * shape.num_hidden_layers * kv_heads_per_rank(shape, tp) * shape.head_dim
    return math.ceil(values * bytes_per_value)


def kv_cache_bytes(shape: ModelShape, tp: int, batch: int, sequence: int, bytes_per_value: float = 2) -> int:
    """Bytes of KV cache that one rank stores for `batch` sequences of `sequence` tokens.

    Raises:
        ValueError: tp does not cut this model, or a size is not above 0.
    """
    check_positive(batch=batch, sequence=sequence)
    return batch * sequence * kv_cache_bytes_per_token(shape, tp, bytes_per_value)


def max_sequences(
    shape: ModelShape,
    tp: int,
    sequence: int,
    gpu_bytes: int,
    bytes_per_parameter: float = 2,
    bytes_per_value: float = 2,
) -> int:
    """Sequences of `sequence` tokens whose KV cache fits beside the weights; 0 when the weights alone do not fit.

    The ranks of a tp group serve the same sequences, so this is the number for the whole group. Activations, CUDA
    context and fragmentation are not counted: give `gpu_bytes` as what you let the server use, say 0.9 of the GPU.

    Raises:
        ValueError: tp does not cut this model, or a size is not above 0.
    """
    check_positive(gpu_bytes=gpu_bytes)
    room = gpu_bytes - weight_bytes_per_rank(shape, tp, bytes_per_parameter)
    return max(0, room // kv_cache_bytes(shape, tp, 1, sequence, bytes_per_value))


def check_positive(**sizes: float) -> None:
    """Raise a ValueError that names the first size that is not above 0."""
    for name, value in sizes.items():
        if not value > 0:
            raise ValueError(f"{name} = {value} must be above 0")


def _cuts(shape: ModelShape, tp: int) -> bool:
    kv_heads = shape.num_key_value_heads
    kv_fits = kv_heads % tp == 0 or tp % kv_heads == 0
    return shape.num_attention_heads % tp == 0 and shape.intermediate_size % tp == 0 and kv_fits
