"""Attention on whole heads: rotary positions, causal attention, and each rank's own KV cache."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.heads import QKVParallelLinear
from tplearn.parallel.kv_cache import KVCache
from tplearn.parallel.place import Group, Place
from tplearn.parallel.rotary import apply_rotary, require_head_dim
from tplearn.parallel.row import RowParallelLinear
from tplearn.sizes import divisors, require_size, shown
from tplearn.tensors import require_tensor


class ParallelAttention(nn.Module):
    """Causal self-attention with rotary positions; each rank computes its own heads. vLLM: `LlamaAttention`.

    | tensor     | shape on a rank                       |
    | x          | [batch, seq, hidden], the same on every rank ([batch, seq/p, hidden] with sequence_parallel) |
    | q, k, v    | [batch, heads/p, seq, d]; k and v with the KV heads of this rank                              |
    | cos, sin   | [seq, d], of the whole sequence                                                               |
    | y          | as x                                  |

    Without `head_dim` it is hidden_size / num_heads. Communication: one all-reduce forward (in `o_proj`), one backward
    (in `qkv_proj`); with sequence_parallel one all-gather and one reduce-scatter each way.

    Raises ValueError for sizes that do not divide (see `head_range`) and an odd head_dim, and in forward for an x,
    tables or a cache of another shape or kind.
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
        place = Place.of(group)
        self.head_dim = require_head_dim(_head_dim(hidden_size, num_heads) if head_dim is None else head_dim)
        self.qkv_proj = QKVParallelLinear(
            hidden_size, self.head_dim, num_heads, num_kv_heads, qkv_bias, place, sequence_parallel=sequence_parallel
        )
        heads = self.qkv_proj.heads
        self.queries, self.keys = (stop - start for start, stop in (heads.queries, heads.keys))  # heads of this rank
        self.o_proj = RowParallelLinear(
            num_heads * self.head_dim, hidden_size, bias=False, group=place, sequence_parallel=sequence_parallel
        )
        self.identity = id(self)  # by which a cache knows its layer, also when both are copied

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None = None) -> Tensor:
        """x: [batch, seq, hidden]; cos, sin: [seq, d] of its positions; cache: of the tokens before → as x."""
        y_shard = self.qkv_proj.own_outputs(x)
        if y_shard.ndim != 3:
            raise ValueError(f"{type(self).__name__}: input of shape {tuple(x.shape)}; [batch, seq, hidden] works")
        # [batch, seq, all·d] → [batch, all, seq, d]: query heads, then key heads, then value heads
        heads = y_shard.view(*y_shard.shape[:2], self.queries + 2 * self.keys, self.head_dim).transpose(1, 2)
        turning, v = heads.split_with_sizes((self.queries + self.keys, self.keys), dim=1)
        q, k = apply_rotary(turning, cos, sin).split_with_sizes((self.queries, self.keys), dim=1)
        before = 0
        if cache is not None:
            if not isinstance(cache, KVCache):
                raise ValueError(f"cache = {shown(cache)} is not a KVCache; one KVCache for each layer works, and None")
            before = cache.length
            k, v = cache.append(k, v, self.identity)
        y = attend(q, k, v, before)
        return self.o_proj(y.transpose(1, 2).flatten(2))  # [batch, heads, seq, d] → [batch, seq, heads·d]


def attend(q: Tensor, k: Tensor, v: Tensor, before: int = 0) -> Tensor:
    """Causal attention. q: [batch, heads, new, d]; k, v: [batch, kv heads, before + new, d] → as q.

    Query i sees the keys 0 to before + i. Each KV head serves heads / kv_heads neighbouring query heads.
    Raises ValueError where the shapes do not fit each other, such as keys of other tokens than before and new ones.
    """
    require_tensor("q", q)
    require_tensor("k", k)
    require_tensor("v", v)
    if q.ndim != 4 or k.ndim != 4 or v.shape != k.shape:
        _refuse(q, k, v)
    batch, heads, new, d = q.shape
    k_batch, kv_heads, length, k_d = k.shape
    if batch != k_batch or d != k_d or kv_heads == 0 or heads % kv_heads:
        _refuse(q, k, v)
    if not q.device == k.device == v.device:
        raise ValueError(f"q on {q.device}, k on {k.device} and v on {v.device}; one device for all works")
    if not q.dtype == k.dtype == v.dtype and not torch.is_autocast_enabled(q.device.type):
        raise ValueError(f"q, k and v of dtypes {q.dtype}, {k.dtype} and {v.dtype}; one dtype for all works")
    before = require_size("before", before, least=0)
    if length != before + new:
        raise ValueError(
            f"k holds {length} tokens, but before = {before} and {new} new ones make {before + new}; "
            + (f"before = {length - new} works" if length >= new else f"keys of at least {new} tokens work")
        )
    if new == 1 or before == 0:
        return F.scaled_dot_product_attention(q, k, v, is_causal=new > 1, enable_gqa=heads != kv_heads)
    seen = torch.ones(new, length, dtype=torch.bool, device=q.device).tril(before)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=heads != kv_heads)


def _refuse(q: Tensor, k: Tensor, v: Tensor) -> None:
    raise ValueError(
        f"q of shape {tuple(q.shape)}, k of shape {tuple(k.shape)} and v of shape {tuple(v.shape)} do not fit each "
        "other; [batch, heads, new, d] and twice [batch, kv heads, before + new, d] work, where kv heads divide heads"
    )


def _head_dim(hidden_size: int, num_heads: int) -> int:
    """hidden_size / num_heads. Raises ValueError where that is no whole number: the heads would lose some columns."""
    require_size("hidden_size", hidden_size)
    require_size("num_heads", num_heads)
    if hidden_size % num_heads:
        works = ", ".join(str(heads) for heads in divisors(hidden_size) if hidden_size // heads % 2 == 0)
        raise ValueError(
            f"hidden_size = {hidden_size} does not divide by num_heads = {num_heads}; with head_dim given it need not"
            + (f", and without it numbers of heads that work: {works}" if works else "")
        )
    return hidden_size // num_heads
