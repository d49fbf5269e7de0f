"""How a mesh with copies of KV heads is watched: attention laid out on it, result, bytes on a device and ledger."""

import math
from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor

from tplearn.checks.inputs import randn

HEAD_DIM, HIDDEN, TEXTS, TOKENS = 2, 16, 2, 3
NAMES = ("q_proj", "k_proj", "v_proj", "o_proj")


def inputs_of(seed: int, model: int, kv_heads: int) -> tuple[dict[str, Tensor], Tensor]:
    """(the four weights [out, in], x [texts, tokens, hidden]); at least two query heads on each device."""
    generator = Generator().manual_seed(seed)
    heads = 2 * math.lcm(model, kv_heads)
    rows = {"q_proj": heads, "k_proj": kv_heads, "v_proj": kv_heads}
    weights = {name: randn(generator, count * HEAD_DIM, HIDDEN) / 4 for name, count in rows.items()}
    weights["o_proj"] = randn(generator, HIDDEN, heads * HEAD_DIM) / 4
    return weights, randn(generator, TEXTS, TOKENS, HIDDEN)


def of_kv_mesh(fn: Callable[..., Any], seed: int, batch: int, model: int, kv_heads: int) -> dict[str, Any]:
    """Attention on the mesh, cut as the specs say: result, ledger, and what `plan_of_kv_mesh` sees."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding, PartitionSpec

    from tplearn.checks.ch15_gspmd.programs import compiled_and_run, seen_of

    mesh, arrays, x = _laid(fn, seed, batch, model, kv_heads)

    def attention(p: dict[str, Any], x: Any) -> Any:
        """Query heads as [KV heads, group], so that no KV head is repeated, and no cut dimension reshaped away."""
        q, k, v = (jnp.einsum("bsi,oi->bso", x, p[name]) for name in NAMES[:3])
        q = q.reshape(*x.shape[:2], kv_heads, -1, HEAD_DIM)
        k, v = (y.reshape(*x.shape[:2], kv_heads, HEAD_DIM) for y in (k, v))
        weights = jnp.exp(jnp.einsum("bqhgd,bkhd->bhgqk", q, k))
        y = jnp.einsum("bhgqk,bkhd->bqhgd", weights / weights.sum(-1, keepdims=True), v)
        result = jnp.einsum("bsi,oi->bso", y.reshape(*x.shape[:2], -1), p["o_proj"])
        return jax.lax.with_sharding_constraint(result, NamedSharding(mesh, PartitionSpec("batch")))

    result, seen = compiled_and_run(attention, arrays, x)
    return {"forward": seen_of(result)} | _plan(arrays, x) | seen


def plan_of_kv_mesh(fn: Callable[..., Any], seed: int, batch: int, model: int, kv_heads: int) -> dict[str, Any]:
    """Where each weight lies, and its bytes on a device; nothing is compiled."""
    _, arrays, x = _laid(fn, seed, batch, model, kv_heads)
    return _plan(arrays, x)


def _laid(fn: Callable[..., Any], seed: int, batch: int, model: int, kv_heads: int) -> tuple[Any, dict[str, Any], Any]:
    """(mesh, the weights on it, the texts on it)."""
    from jax.sharding import Mesh, PartitionSpec

    from tplearn.checks.ch15_gspmd.programs import lay, require

    result = fn(batch, model, kv_heads)
    if not isinstance(result, tuple) or len(result) != 2:
        require(result, tuple, "your result")
        raise TypeError(f"your result is a tuple of {len(result)}, where (mesh, specs) is due")
    mesh, specs = require(result[0], Mesh, "the first part"), require(result[1], dict, "the second part")
    missing = [name for name in NAMES if name not in specs]
    if missing:
        raise TypeError(f"your specs have no {' and no '.join(missing)}, where {', '.join(NAMES)} are due")
    weights, x = inputs_of(seed, model, kv_heads)
    arrays = {name: lay(weights[name], mesh, require(specs[name], PartitionSpec, f"specs[{name!r}]")) for name in NAMES}
    return mesh, arrays, lay(x, mesh, PartitionSpec("batch"))


def _plan(arrays: dict[str, Any], x: Any) -> dict[str, Any]:
    from tplearn.checks.ch15_gspmd.programs import bytes_on_a_device, placement

    mesh = x.sharding.mesh
    return {
        "bytes on a device": {name: bytes_on_a_device(array) for name, array in (arrays | {"texts": x}).items()},
        "placement": {name: placement(array) for name, array in arrays.items()} | {"mesh": dict(mesh.shape)},
    }
