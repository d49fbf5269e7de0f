"""Programs on 8 devices: arrays laid on a mesh, one compilation, what comes out, and the collectives of the text."""

from collections.abc import Callable
from typing import Any

import jax
import torch
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from torch import Tensor

from tplearn.checks.compare import describe
from tplearn.checks.observe import plain
from tplearn.gspmd.hlo import collectives


def lay(tensor: Tensor, mesh: Mesh, spec: PartitionSpec) -> jax.Array:
    """The tensor's numbers on the devices, cut as `spec` says. ValueError for a cut that JAX refuses."""
    return jax.device_put(tensor.numpy(), NamedSharding(mesh, spec))


def compiled_and_run(
    function: Callable[..., Any], *args: Any, by_hand: str | None = None
) -> tuple[Any, dict[str, Any]]:
    """(function(*args), {"ledger": the rows of all devices}), from one compilation.

    by_hand: what is said, as an aspect of that name, where no shard_map is in the program.
    """
    traced = jax.jit(function).trace(*args)
    program = traced.lower().compile()
    seen = {"ledger": collectives(program.as_text())}
    return program(*args), seen | ({"by hand": by_hand} if by_hand and "shard_map[" not in str(traced.jaxpr) else {})


def seen_of(value: Any) -> Any:
    """As `plain`, with JAX's arrays as tensors."""
    return plain(_tensors(value))


def bytes_on_a_device(array: jax.Array) -> int:
    """What the fullest device holds of it."""
    held: dict[Any, int] = {}
    for shard in array.addressable_shards:
        held[shard.device] = held.get(shard.device, 0) + shard.data.nbytes
    return max(held.values())


def placement(array: jax.Array) -> list[list[str]]:
    """The axes that cut each dimension; no empty ones at the end."""
    axes = [[entry] if isinstance(entry, str) else list(entry or ()) for entry in array.sharding.spec]
    while axes and not axes[-1]:
        axes.pop()
    return axes


def shards_of(array: jax.Array) -> list[Tensor]:
    """What each device holds, by device."""
    return [_tensor(shard.data) for shard in sorted(array.addressable_shards, key=lambda shard: shard.device.id)]


def require(value: Any, kind: type, what: str) -> Any:
    """The value. TypeError in a sentence where it is of another type."""
    if not isinstance(value, kind):
        due = "PartitionSpec" if kind is PartitionSpec else kind.__name__  # which calls itself P
        raise TypeError(f"{what} is {describe(seen_of(value))}, where a {due} is due")
    return value


def _tensors(value: Any) -> Any:
    if isinstance(value, jax.Array):
        return _tensor(value)
    if isinstance(value, list | tuple) and not isinstance(value, PartitionSpec):
        return [_tensors(item) for item in value]
    if isinstance(value, dict):
        return {key: _tensors(item) for key, item in value.items()}
    return value


def _tensor(array: jax.Array) -> Tensor:
    return torch.from_numpy(jax.device_get(array).copy())
