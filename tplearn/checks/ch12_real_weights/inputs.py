"""Head counts and vocabularies for chapter 12's cases: with copies of KV heads, and with ranks that own no word."""

from torch import Generator, Tensor

from tplearn.checks.inputs import randn

# tp -> (query heads, KV heads, head_dim); at 4 each KV head is on two ranks
SIZES = {1: (4, 2, 4), 2: (8, 4, 4), 3: (9, 3, 6), 4: (8, 2, 4)}
WORDS = {1: 5, 2: 9, 3: 7, 4: 5}  # of 5 words on 4 ranks the last one has none
HIDDEN, INNER = 11, 24  # HIDDEN + 1 outputs divide by 2, 3 and 4: rows cut by mistake come out even


def layer_weights(generator: Generator, tp: int) -> dict[str, Tensor]:
    """A layer's weights and the embedding, whole, as a checkpoint has them; no two shapes are alike."""
    heads, kv_heads, d = SIZES[tp]
    shapes = {
        "q_proj": (heads * d, HIDDEN),
        "k_proj": (kv_heads * d, HIDDEN),
        "v_proj": (kv_heads * d, HIDDEN),
        "o_proj": (HIDDEN + 1, heads * d),
        "gate_proj": (INNER, HIDDEN),
        "up_proj": (INNER, HIDDEN),
        "down_proj": (HIDDEN + 1, INNER),
        "embed_tokens": (WORDS[tp], HIDDEN),
    }
    return {name: randn(generator, *shape) for name, shape in shapes.items()}
