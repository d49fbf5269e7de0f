"""What the exercises of chapter 08 share: head counts for each tp, random weights cut by whole heads, RoPE tables."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from tplearn.checks.inputs import pick, randn
from tplearn.parallel import head_range

SIZES = {1: (4, 2, 4), 2: (8, 4, 4), 3: (9, 3, 6), 4: (8, 2, 4)}  # tp -> heads, KV heads, head_dim; copies at tp 4
BATCH, HIDDEN = 2, 7


class Layout(NamedTuple):
    """Heads over ranks."""

    tp: int
    heads: int
    kv_heads: int
    head_dim: int

    @property
    def label(self) -> str:
        """For a case."""
        return f"{self.heads} heads, {self.kv_heads} KV head{'s' if self.kv_heads > 1 else ''}"

    @property
    def copies(self) -> int:
        """How many ranks hold the same KV heads."""
        return max(1, self.tp // self.kv_heads)


# Several KV heads on a rank, one, and copies; as many KV heads as query heads, and one for all.
LAYOUTS = (
    Layout(1, 4, 2, 4),
    Layout(2, 8, 4, 6),
    Layout(2, 6, 1, 4),
    Layout(3, 9, 3, 4),
    Layout(3, 6, 6, 2),
    Layout(4, 8, 2, 6),
    Layout(4, 12, 1, 2),
)


def rows_of_rank(heads: int, kv_heads: int, head_dim: int, rank: int, tp: int) -> Tensor:
    """The rows of the fused weight that belong to a rank: its queries, then its keys, then its values."""
    own = head_range(heads, kv_heads, rank, tp)
    blocks = ((0, own.queries), (heads, own.keys), (heads + kv_heads, own.keys))
    return torch.cat([torch.arange((f + a) * head_dim, (f + b) * head_dim) for f, (a, b) in blocks])


def layer_shards(generator: Generator, layout: Layout) -> tuple[list[Tensor], list[Tensor]]:
    """Each rank's shard of a random fused QKV weight, and of a random output weight."""
    tp, heads, kv_heads, head_dim = layout
    qkv = randn(generator, (heads + 2 * kv_heads) * head_dim, HIDDEN)
    output = randn(generator, HIDDEN, heads * head_dim)
    qkv_shards = [qkv[rows_of_rank(heads, kv_heads, head_dim, rank, tp)] for rank in range(tp)]
    return qkv_shards, [shard.clone() for shard in output.chunk(tp, dim=1)]


def tables(generator: Generator, tokens: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin, [tokens, head_dim] in float64, of positions that begin after 0 and leave gaps.

    Without the gaps nobody could see which positions were used: a score depends on the distance of two tokens alone.
    """
    steps = torch.tensor([pick(generator, 1, 3) for _ in range(tokens)])
    steps[1] = steps[0] + 1  # at least one gap
    positions = steps.cumsum(0).double()
    speeds = 10_000.0 ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = (positions[:, None] * speeds).repeat(1, 2)
    return angles.cos(), angles.sin()
