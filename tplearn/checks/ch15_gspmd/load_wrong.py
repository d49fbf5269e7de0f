"""Loaders with one mistake each, for the mutants of exercise 15.3."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tplearn.checks.ch12_real_weights.file import CountingFile, TensorSlice

if TYPE_CHECKING:
    import jax
    from jax.sharding import Mesh, PartitionSpec

Range = tuple[int, int]  # start, stop


def wrong_load(
    file: CountingFile, mesh: Mesh, spec: Callable[[str], PartitionSpec], wrong: str
) -> dict[str, jax.Array]:
    """The arrays, with one thing `wrong`."""
    return {name: _load(file.get_slice(name), mesh, spec(name), wrong) for name in file.keys()}  # noqa: SIM118


def _load(part: TensorSlice, mesh: Mesh, spec: PartitionSpec, wrong: str) -> jax.Array:
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    if wrong == "everything replicated":
        spec = PartitionSpec()
    size, parts = part.get_shape(), _parts(mesh, spec, wrong)
    shape = tuple(-(-own // n) * n for own, n in zip(size, parts + [1] * len(size), strict=False))
    if wrong == "no padding":
        shape = tuple(size)
    elif wrong == "a rest dropped":
        shape = tuple(own // n * n for own, n in zip(size, parts + [1] * len(size), strict=False))
    elif wrong == "padded for all devices":
        shape = tuple(
            -(-own // mesh.size) * mesh.size if n > 1 else own for own, n in zip(size, parts + [1], strict=False)
        )
    sharding = NamedSharding(mesh, spec)
    if wrong in ("all read, then put", "no sharding"):
        whole = _padded(part[tuple(slice(0, n) for n in size)].numpy(), shape, wrong)
        return jax.device_put(whole, sharding) if wrong == "all read, then put" else jax.numpy.asarray(whole)
    known: dict[tuple, np.ndarray] = {}
    rows: dict[tuple[int, int], np.ndarray] = {}

    def read(index: tuple[slice, ...]) -> np.ndarray:
        key = tuple(one.indices(n)[:2] for one, n in zip(index, shape, strict=True))
        if wrong == "whole rows, kept" and len(key) > 1:
            if key[0] not in rows:
                rows[key[0]] = part[slice(*key[0]),].numpy()
            due = tuple(stop - start for start, stop in key)
            return _padded(rows[key[0]][:, slice(*key[1])], due, wrong)
        if wrong == "shared out evenly":
            key = tuple(_even(pair, own, whole) for pair, own, whole in zip(key, size, shape, strict=True))
        if key not in known or wrong == "once for each device":
            known[key] = _piece(part, key, size, wrong)
        return _padded(known[key], sharding.shard_shape(shape), "") if wrong == "shared out evenly" else known[key]

    return jax.make_array_from_callback(shape, sharding, read)


def _parts(mesh: Mesh, spec: PartitionSpec, wrong: str) -> list[int]:
    names = [(entry,) if isinstance(entry, str) else entry or () for entry in spec]
    if wrong == "one axis of two":
        names = [own[:1] for own in names]
    return [math.prod(mesh.shape[name] for name in own) for own in names]


def _even(pair: Range, size: int, whole: int) -> Range:
    """The part in which a slice of `whole` padded rows lies, where `size` rows are shared out evenly."""
    each = pair[1] - pair[0]
    (base, rest), number = divmod(size, whole // each), pair[0] // each
    start = number * base + min(number, rest)
    return start, start + base + (number < rest)


def _piece(part: TensorSlice, key: tuple[tuple[int, int], ...], size: list[int], wrong: str) -> np.ndarray:
    due = tuple(stop - start for start, stop in key)
    if wrong == "whole for each slice":
        own = part[tuple(slice(0, n) for n in size)].numpy()[tuple(slice(*pair) for pair in key)]
    elif wrong == "whole rows for columns" and len(key) > 1:
        own = part[slice(*key[0]),].numpy()[:, slice(*key[1])]
    elif wrong == "the file's last rows" and key[0][1] > size[0] > due[0]:
        own = part[(slice(size[0] - due[0], size[0]), *(slice(*pair) for pair in key[1:]))].numpy()
    else:
        own = part[tuple(slice(*pair) for pair in key)].numpy()
    if wrong in ("float32", "float64"):
        own = own.astype(wrong)
    return own if wrong == "ragged" else _padded(own, due, wrong)


def _padded(own: np.ndarray, due: tuple[int, ...], wrong: str) -> np.ndarray:
    more = [(0, n - have) for n, have in zip(due, own.shape, strict=True)]
    if wrong == "padding on top":
        more = [pair[::-1] for pair in more]
    if wrong == "padded with ones":
        return np.pad(own, more, constant_values=1.0)
    return np.pad(own, more)
