"""Floating-point operations of a model by part, in training, and the share of the peak that they make."""

from tplearn.planning.memory import check_positive
from tplearn.planning.models import ModelShape

RECOMPUTE = ("none", "selective", "full")


def forward_flops(shape: ModelShape, tokens: float, sequence: float, *, causal: bool = False) -> dict[str, float]:
    """FLOPs of a forward pass over `tokens` in sequences of `sequence`, by part; a multiply and an add are 2.

    | part | a token |
    |---|---|
    | projections | 2 · hidden · (2 · query width + 2 · KV width), in each layer |
    | scores | 4 · sequence · query width: queries with keys, and weights with values; with `causal` half of it |
    | mlp | 2 · matrices · hidden · intermediate, in each layer |
    | head | 2 · hidden · vocabulary |

    `causal` skips the half that a mask hides, as flash attention does. Published utilisations count the whole
    (arXiv:2204.02311, appendix B; arXiv:2205.05198, appendix A), so False is the default. Llama 3's count half: with
    the whole its row of 131,072 tokens would be 1.4 times as good as the others.

    Raises ValueError for a size that is not above 0.
    """
    check_positive(tokens=tokens, sequence=sequence)
    hidden, layers = shape.hidden_size, shape.num_hidden_layers
    q_width = shape.num_attention_heads * shape.head_dim
    kv_width = shape.num_key_value_heads * shape.head_dim
    return {
        "projections": 2 * tokens * layers * hidden * (2 * q_width + 2 * kv_width),
        "scores": 4 * tokens * layers * sequence * q_width * (0.5 if causal else 1),
        "mlp": 2 * tokens * layers * shape.mlp_matrices * hidden * shape.intermediate_size,
        "head": 2 * tokens * hidden * shape.vocab_size,
    }


def training_flops(
    shape: ModelShape, tokens: float, sequence: float, recompute: str = "none", *, causal: bool = False
) -> float:
    """FLOPs of forward and backward: 3 times the forward pass, for backward makes two gradients in each matmul.

    What is recomputed runs once more: with "full" every layer, so 4 times (the head stays at 3); with "selective" the
    scores alone (arXiv:2205.05198, section 5; flash attention does that by itself).

    Raises ValueError for a size that is not above 0, or a `recompute` that is not in `RECOMPUTE`.
    """
    check_recompute(recompute)
    parts = forward_flops(shape, tokens, sequence, causal=causal)
    again = {"none": 0.0, "selective": parts["scores"], "full": sum(parts.values()) - parts["head"]}
    return 3 * sum(parts.values()) + again[recompute]


def mfu(
    shape: ModelShape,
    tokens_per_second: float,
    sequence: float,
    accelerators: int,
    peak_flops: float,
    *,
    causal: bool = False,
) -> float:
    """Model FLOPs utilisation: FLOPs that training needs at this rate, over the peak of all accelerators.

    Nothing that is recomputed counts (arXiv:2204.02311, appendix B). `causal`: see `forward_flops`; it matters with
    long sequences. Raises ValueError for a number not above 0.
    """
    check_positive(tokens_per_second=tokens_per_second, accelerators=accelerators, peak_flops=peak_flops)
    return training_flops(shape, tokens_per_second, sequence, causal=causal) / (accelerators * peak_flops)


def check_recompute(recompute: str) -> None:
    """Raise a ValueError where it is none of the ways to recompute."""
    if recompute not in RECOMPUTE:
        raise ValueError(f"recompute = {recompute!r} is not known; ways that work: {', '.join(RECOMPUTE)}")
