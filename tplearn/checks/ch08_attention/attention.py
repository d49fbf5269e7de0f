"""The attention layer of exercise 08.3, as steps of which a mutant replaces one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.nn.functional import linear

from tplearn.parallel import apply_rotary, attend, copy_to_group, gather_from_group, reduce_from_group, scatter_to_group

EPS = 1e-6
Tables = tuple[Tensor, Tensor]
Heads = tuple[Tensor, Tensor, Tensor]  # q [batch, heads, seq, d], k and v [batch, kv heads, seq, d]


def keep(x: Tensor) -> Tensor:
    """Nothing is done."""
    return x


def mean_of_partials(y: Tensor) -> Tensor:
    """g, divided by the number of ranks."""
    return reduce_from_group(y) / dist.get_world_size()


def mean_gradient(x: Tensor) -> Tensor:
    """f, with the mean of the gradients in place of their sum."""
    x = copy_to_group(x)
    share = x / dist.get_world_size()
    return share + (x - share).detach()


def rows_one_by_one(norm: Tensor) -> Tensor:
    """An f for each row."""
    return torch.stack([copy_to_group(row) for row in norm])


def project(x: Tensor, qkv_shard: Tensor, sizes: list[int]) -> list[Tensor]:
    """One f, one matmul: q, k and v side by side."""
    return list(linear(copy_to_group(x), qkv_shard).split(sizes, dim=-1))


def project_each(*steps: Callable[[Tensor], Tensor]) -> Callable[..., list[Tensor]]:
    """Three matmuls; x goes into each through a step of its own."""

    def apart(x: Tensor, qkv_shard: Tensor, sizes: list[int]) -> list[Tensor]:
        return [linear(step(x), weight) for step, weight in zip(steps, qkv_shard.split(sizes), strict=True)]

    return apart


def project_some(*through_f: bool) -> Callable[..., list[Tensor]]:
    """Three matmuls of the same f, or around it."""

    def apart(x: Tensor, qkv_shard: Tensor, sizes: list[int]) -> list[Tensor]:
        copied = copy_to_group(x)
        weights = qkv_shard.split(sizes)
        return [linear(copied if f else x, weight) for f, weight in zip(through_f, weights, strict=True)]

    return apart


def to_heads(t: Tensor, head_dim: int) -> Tensor:
    """[batch, seq, heads·d] → [batch, heads, seq, d]."""
    return t.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def numbers_first(t: Tensor, head_dim: int) -> Tensor:
    """Takes [heads·d] for d times heads."""
    return t.unflatten(-1, (head_dim, -1)).permute(0, 3, 1, 2)


def of_each_head(t: Tensor, weight: Tensor) -> Tensor:
    """RMSNorm over the d numbers of each head."""
    return F.rms_norm(t, weight.shape, weight, EPS)


def of_all_heads(t: Tensor, weight: Tensor) -> Tensor:
    """RMSNorm with one root mean square for all heads of the rank."""
    return t * (t.square().mean(dim=(1, 3), keepdim=True) + EPS).rsqrt() * weight


def without_weight(t: Tensor, weight: Tensor) -> Tensor:
    """The division alone."""
    return F.rms_norm(t, weight.shape, None, EPS) + 0 * weight


def as_it_is(t: Tensor, weight: Tensor) -> Tensor:
    """No norm."""
    return t


def norm_then_turn(heads: Heads, norm: Tensor, tables: Tables) -> Heads:
    """What is due: q and k, each with its row of norm, then turned."""
    q, k, v = heads
    return apply_rotary(of_each_head(q, norm[0]), *tables), apply_rotary(of_each_head(k, norm[1]), *tables), v


class Steps(NamedTuple):
    """The layer, step by step."""

    project: Callable[[Tensor, Tensor, list[int]], list[Tensor]] = project
    norm: Callable[[Tensor], Tensor] = copy_to_group  # what the norm's weight passes through
    to_heads: Callable[[Tensor, int], Tensor] = to_heads
    prepare: Callable[[Heads, Tensor, Tables], Heads] = norm_then_turn
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] = attend
    before_output: Callable[[Tensor], Tensor] = keep
    end: Callable[[Tensor], Tensor] = reduce_from_group
    order: tuple[int, int, int] = (0, 1, 2)  # which of the three projections is q, k, v

    def __call__(self, x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The layer's result."""
        d, q_size = norm.shape[1], o_shard.shape[1]
        kv_size = (qkv_shard.shape[0] - q_size) // 2
        flat = self.project(x, qkv_shard, [q_size, kv_size, kv_size])
        heads = tuple(self.to_heads(flat[k], d) for k in self.order)
        y = self.attend(*self.prepare(heads, self.norm(norm), (cos, sin)))
        return self.end(linear(self.before_output(y.transpose(1, 2).flatten(2)), o_shard))


def unturned(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """No RoPE."""
    return t


def prepare(
    normed: tuple[Callable, Callable, Callable] = (of_each_head, of_each_head, as_it_is),
    rows: tuple[int, int, int] = (0, 1, 1),
    turned: tuple[Callable, Callable, Callable] = (apply_rotary, apply_rotary, unturned),
) -> Callable[[Heads, Tensor, Tables], Heads]:
    """Norm and turn in the right order, by other functions for q, k or v."""

    def answer(heads: Heads, norm: Tensor, tables: Tables) -> Heads:
        done = [apply(t, norm[row]) for t, apply, row in zip(heads, normed, rows, strict=True)]
        return tuple(turn(t, *tables) for t, turn in zip(done, turned, strict=True))

    return answer


def turn_then_norm(heads: Heads, norm: Tensor, tables: Tables) -> Heads:
    """The norm after RoPE."""
    q, k, v = heads
    return of_each_head(apply_rotary(q, *tables), norm[0]), of_each_head(apply_rotary(k, *tables), norm[1]), v


def from_zero(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE by the positions 0, 1, 2, …"""
    d = t.shape[-1]
    speeds = 10_000.0 ** -(torch.arange(0, d, 2, dtype=t.dtype) / d)
    angles = (torch.arange(t.shape[2], dtype=t.dtype)[:, None] * speeds).repeat(1, 2)
    return apply_rotary(t, angles.cos(), angles.sin())


def backwards(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE the other way round."""
    return apply_rotary(t, cos, -sin)


def neighbours(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on the pairs (2i, 2i + 1)."""
    left, right, half = t[..., 0::2], t[..., 1::2], t.shape[-1] // 2
    cos, sin = cos[..., :half], sin[..., :half]
    return torch.stack([left * cos - right * sin, right * cos + left * sin], dim=-1).flatten(-2)


def pairs_in_turn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Query head i to KV head i mod kv."""
    times = q.shape[1] // k.shape[1]
    return attend(q, k.repeat(1, times, 1, 1), v.repeat(1, times, 1, 1))


def softmax(scale: float | None = None, causal: bool = True) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Attention with another scale, or without the mask."""

    def answer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True, scale=scale)

    return answer


def gather_and_cut(y: Tensor) -> Tensor:
    """All heads on every rank, and the own ones again."""
    return scatter_to_group(gather_from_group(y, -1), -1)
