"""One step of decoding for exercise 08.5, in parts of which a mutant replaces one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from tplearn.checks.ch08_attention.attention import to_heads, unturned
from tplearn.parallel import apply_rotary, attend, reduce_from_group

Cached = tuple[Tensor, Tensor, Tensor]  # y, keys, values
Turn = Callable[[Tensor, Tensor, Tensor], Tensor]
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def append(cache: Tensor, new: Tensor) -> Tensor:
    """[batch, kv, before, d] and [batch, kv, new, d] → [batch, kv, before + new, d]."""
    return torch.cat([cache, new], dim=2)


def attend_after(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """All but the last keys were there before."""
    return attend(q, keys, values, keys.shape[2] - q.shape[2])


class Step(NamedTuple):
    """The step, of which a mutant replaces a part."""

    turn: tuple[Turn, Turn, Turn] = (apply_rotary, apply_rotary, unturned)
    append: Callable[[Tensor, Tensor], Tensor] = append
    read: Callable[[Tensor, Tensor, Tensor], Tensor] = unturned  # the cached keys, before they are asked
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] = attend_after
    end: Callable[[Tensor], Tensor] = reduce_from_group
    give_back: Callable[[Tensor, Tensor], Tensor] = lambda old, grown: grown

    def __call__(
        self, x: Tensor, qkv_shard: Tensor, o_shard: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor
    ) -> Cached:
        """The new tokens' result and the cache with them."""
        q_size, d = o_shard.shape[1], cos.shape[1]
        kv_size = (qkv_shard.shape[0] - q_size) // 2
        heads = (to_heads(t, d) for t in linear(x, qkv_shard).split([q_size, kv_size, kv_size], dim=-1))
        q, k, v = (turn(t, cos, sin) for turn, t in zip(self.turn, heads, strict=True))
        all_keys, all_values = self.append(keys, k), self.append(values, v)
        y = self.attend(q, self.read(all_keys, cos, sin), all_values)
        y = self.end(linear(y.transpose(1, 2).flatten(2), o_shard))
        return y, self.give_back(keys, all_keys), self.give_back(values, all_values)


def attend_with(before: Callable[[Tensor, Tensor], int]) -> Attend:
    """attend, told another number of tokens before the new ones."""
    return lambda q, keys, values: attend(q, keys, values, before(q, keys))


def new_ones_turned(keys: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """All keys, of which only the new ones are turned: as many as the tables have rows."""
    old, new = keys.split([keys.shape[2] - len(cos), len(cos)], dim=2)
    return torch.cat([old, apply_rotary(new, cos, sin)], dim=2)


def last_lost(cache: Tensor, new: Tensor) -> Tensor:
    """The new ones in the place of the last cached one."""
    return torch.cat([cache[:, :, :-1], new], dim=2)


def repeated_for_the_queries(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, *more: Tensor) -> Cached:
    """The step with a cache in which each KV head lies as often as query heads use it."""
    times = 2 * o_shard.shape[1] // (qkv_shard.shape[0] - o_shard.shape[1])
    return Step(append=lambda cache, new: append(cache, new).repeat_interleave(times, dim=1))(
        x, qkv_shard, o_shard, *more
    )
