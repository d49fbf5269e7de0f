"""Attention on whole heads: rotary positions, causal attention, and each rank's own KV cache."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.heads import QKVParallelLinear
from tplearn.parallel.linear import RowParallelLinear
from tplearn.parallel.place import Group


def rotary_frequencies(head_dim: int, theta: float = 10_000.0) -> Tensor:
    """[head_dim/2]: radians a token, theta^(−2i/d), in float32 as the published models were trained."""
    if head_dim % 2:
        raise ValueError(f"head_dim = {head_dim} cannot be turned in pairs; even sizes work")
    return 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32, device="cpu") / head_dim)


def rotary_tables(
    positions: Tensor, head_dim: int, theta: float = 10_000.0, frequencies: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """positions: [seq] → cos and sin, [seq, head_dim] each, in float32 (RoPE: Su et al. 2021, section 3.2).

    Hugging Face's layout: number i and number i + d/2 of a head turn together, by position · frequency[i]. Without
    `frequencies`, those of theta.
    """
    frequencies = rotary_frequencies(head_dim, theta) if frequencies is None else frequencies
    angles = positions[:, None].float() * frequencies.to(positions.device)  # [seq, d/2]
    angles = torch.cat([angles, angles], dim=-1)  # [seq, d/2] → [seq, d]
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: [batch, heads, seq, d]; cos, sin: [seq, d] → the same, each pair (i, i + d/2) turned by its angle."""
    left, right = x.chunk(2, dim=-1)
    turned = torch.cat([-right, left], dim=-1)
    return torch.addcmul(x * cos.to(x.dtype), turned, sin.to(x.dtype))


class KVCache:
    """The keys and values of one layer's own heads for up to `max_length` tokens: 2 × [batch, kv heads, length, d].

    Each rank keeps only its own KV heads. Raises ValueError where a token does not fit.
    """

    def __init__(self, max_length: int) -> None:
        self.max_length, self.length = max_length, 0
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """k, v: [batch, kv heads, new, d] → all keys and values so far, as views."""
        start, stop = self.length, self.length + k.shape[2]
        if stop > self.max_length:
            raise ValueError(f"{stop} tokens do not fit into a KV cache of {self.max_length}; shorter texts work")
        if self.keys is None:
            shape = (*k.shape[:2], self.max_length, k.shape[3])
            self.keys, self.values = k.new_empty(shape), v.new_empty(shape)
        self.keys[:, :, start:stop], self.values[:, :, start:stop] = k, v
        self.length = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class ParallelAttention(nn.Module):
    """Causal self-attention with rotary positions; each rank computes its own heads. vLLM: `LlamaAttention`.

    | tensor     | shape on a rank                       |
    | x          | [batch, seq, hidden], the same on every rank ([batch, seq/p, hidden] with sequence_parallel) |
    | q, k, v    | [batch, heads/p, seq, d]; k and v with the KV heads of this rank                              |
    | y          | as x                                  |

    Communication: one all-reduce forward (in `o_proj`), one backward (in `qkv_proj`); with sequence_parallel one
    all-gather and one reduce-scatter each way.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        num_kv_heads: int,
        head_dim: int | None = None,
        qkv_bias: bool = False,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
    ) -> None:
        super().__init__()
        self.head_dim = hidden_size // num_heads if head_dim is None else head_dim
        self.qkv_proj = QKVParallelLinear(
            hidden_size, self.head_dim, num_heads, num_kv_heads, qkv_bias, group, sequence_parallel=sequence_parallel
        )
        heads = self.qkv_proj.heads
        self.queries, self.keys = (stop - start for start, stop in (heads.queries, heads.keys))  # heads of this rank
        self.o_proj = RowParallelLinear(
            num_heads * self.head_dim, hidden_size, bias=False, group=group, sequence_parallel=sequence_parallel
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None = None) -> Tensor:
        """x: [batch, seq, hidden]; cos, sin: [seq, d] of its positions; cache: of the tokens before → as x."""
        # [batch, seq, all·d] → [batch, all, seq, d]: query heads, then key heads, then value heads
        y_shard = self.qkv_proj.own_outputs(x)
        heads = y_shard.view(*y_shard.shape[:2], -1, self.head_dim).transpose(1, 2)
        turning, v = heads.split_with_sizes((self.queries + self.keys, self.keys), dim=1)
        q, k = apply_rotary(turning, cos, sin).split_with_sizes((self.queries, self.keys), dim=1)
        before = cache.length if cache else 0
        if cache is not None:
            k, v = cache.append(k, v)
        y = attend(q, k, v, before)
        return self.o_proj(y.transpose(1, 2).flatten(2))  # [batch, heads, seq, d] → [batch, seq, heads·d]


def attend(q: Tensor, k: Tensor, v: Tensor, before: int = 0) -> Tensor:
    """Causal attention. q: [batch, heads, new, d]; k, v: [batch, kv heads, before + new, d] → as q.

    Query i sees the keys 0 to before + i. Each KV head serves heads / kv_heads neighbouring query heads.
    """
    new, length = q.shape[2], k.shape[2]
    grouped = q.shape[1] != k.shape[1]
    if new == 1 or before == 0:
        return F.scaled_dot_product_attention(q, k, v, is_causal=new > 1, enable_gqa=grouped)
    seen = torch.ones(new, length, dtype=torch.bool, device=q.device).tril(before)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=grouped)
