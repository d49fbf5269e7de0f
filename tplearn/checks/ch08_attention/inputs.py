"""What the exercises of chapter 08 share: head counts for each tp, and random weights cut by whole heads."""

import torch
from torch import Generator, Tensor

from tplearn.checks.inputs import randn
from tplearn.parallel import head_range

SIZES = {1: (4, 2, 4), 2: (8, 4, 4), 3: (9, 3, 6), 4: (8, 2, 4)}  # tp -> heads, KV heads, head_dim; copies at tp 4
BATCH, TOKENS, HIDDEN = 2, 5, 7


def rows_of_rank(heads: int, kv_heads: int, head_dim: int, rank: int, tp: int) -> Tensor:
    """The rows of the fused weight that belong to a rank: its queries, then its keys, then its values."""
    own = head_range(heads, kv_heads, rank, tp)
    blocks = ((0, own.queries), (heads, own.keys), (heads + kv_heads, own.keys))
    return torch.cat([torch.arange((f + a) * head_dim, (f + b) * head_dim) for f, (a, b) in blocks])


def layer_shards(generator: Generator, tp: int) -> tuple[list[Tensor], list[Tensor], int]:
    """Each rank's part of a random fused QKV weight and of a random output weight, and head_dim."""
    heads, kv_heads, head_dim = SIZES[tp]
    qkv = randn(generator, (heads + 2 * kv_heads) * head_dim, HIDDEN)
    output = randn(generator, HIDDEN, heads * head_dim)
    qkv_shards = [qkv[rows_of_rank(heads, kv_heads, head_dim, rank, tp)] for rank in range(tp)]
    return qkv_shards, [part.clone() for part in output.chunk(tp, dim=1)], head_dim
