"""What is seen of chapter 08's answers: rank by rank, among the ranks with the same KV heads, or step by step."""

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import torch.distributed as dist
from torch import Tensor

from tplearn.checks.groups import Groups, own_group
from tplearn.checks.observe import changed_inputs, forward, forward_and_gradient, plain

READY = ("tplearn.parallel.heads", "head_range")  # looked for by name: it is not imported where it must not be


def every_rank(fn: Callable[..., Any], num_heads: int, num_kv_heads: int, world_size: int) -> dict[str, Any]:
    """What the answer says for each rank; and a complaint where it leaves the work to head_range."""
    called: list[bool] = []

    def look(frame: FrameType, event: str, argument: object) -> None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == READY:
            called.append(True)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        ranges = [plain(fn(num_heads, num_kv_heads, rank, world_size)) for rank in range(world_size)]
    finally:
        sys.setprofile(before)
    return {"forward": ranges} | ({"own work": "the function calls head_range: write your own."} if called else {})


def own_shard(
    fn: Callable[..., Any], weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int
) -> dict[str, Any]:
    """Each rank cuts for itself."""
    return forward(fn, weight, head_dim, num_heads, num_kv_heads, dist.get_rank(), dist.get_world_size())


def among_copies(
    fn: Callable[..., Any],
    weight_gradient: Tensor,
    bias_gradient: Tensor,
    head_dim: int,
    heads: int,
    kv_heads: int,
    groups: Groups,
) -> dict[str, Any]:
    """Hand over this rank's group among those of the ranks with the same KV heads."""
    return forward(fn, weight_gradient, bias_gradient, head_dim, heads, kv_heads, own_group(groups))


def layer_and_gradient(
    fn: Callable[..., Any], x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor
) -> dict[str, Any]:
    """As `forward_and_gradient`, but for the tables: they are no parameters, and want no gradient."""
    given = cos.clone(), sin.clone()
    seen = forward_and_gradient(lambda *leaves: fn(*leaves, *given), x, qkv_shard, o_shard, norm)
    changed = changed_inputs(([None] * 4 + plain((cos, sin)), {}), ([None] * 4 + plain(given), {}))
    return changed | seen


def step_by_step(
    fn: Callable[..., Any],
    x: Tensor,
    qkv_shard: Tensor,
    o_shard: Tensor,
    cos: Tensor,
    sin: Tensor,
    sizes: Sequence[int],
) -> dict[str, Any]:
    """The text in steps of these sizes, each with the cache that the step before gave back.

    {"forward": y of each step, "keys", "values": the cache at the end}.
    """
    head_dim = cos.shape[1]
    kv_heads = (qkv_shard.shape[0] - o_shard.shape[1]) // (2 * head_dim)
    keys, values = (x.new_empty(x.shape[0], kv_heads, 0, head_dim) for _ in range(2))
    outputs, changed, start = [], {}, 0
    for size in sizes:
        own = slice(start, start + size)
        given = (x[:, own].clone(), qkv_shard, o_shard, cos[own].clone(), sin[own].clone(), keys, values)
        before = plain(given)
        result = fn(*given)
        changed |= changed_inputs((before, {}), (plain(given), {}))
        if not isinstance(result, tuple | list) or len(result) != 3:
            number = f"{len(result)} values" if isinstance(result, tuple | list) else "one value"
            parts = f"your function returned {number}, where three are due: y, keys and values."
            return {"forward": plain(result), "parts": parts} | changed
        y, keys, values = result
        outputs.append(plain(y))
        start += size
    return {"forward": outputs, "keys": plain(keys), "values": plain(values)} | changed
