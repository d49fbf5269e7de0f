"""Loading onto a mesh: every device's slice is read from the files, and nothing else; what was read is counted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from safetensors import safe_open

from tplearn.gspmd.specs import partition_spec
from tplearn.llama.checkpoint import Checkpoint
from tplearn.llama.config import LlamaConfig
from tplearn.llama.tensors import EMBEDDING, HEAD, TensorNames, sources
from tplearn.sizes import divisors

Spec = Callable[[str, Mesh], PartitionSpec]
Range = tuple[int, int]  # start, stop


@dataclass(frozen=True)
class Weights:
    """Parameters by Hugging Face name, each cut over the mesh, and what reading them took.

    A tied head is not listed: it is the embedding. `bytes_read` is in the dtype of the files.
    """

    arrays: dict[str, Array]
    config: LlamaConfig
    bytes_read: int

    def bytes_on(self, device: jax.Device) -> int:
        """Bytes of parameters that a device of this process holds."""
        shards = (shard for array in self.arrays.values() for shard in array.addressable_shards)
        return sum(shard.data.nbytes for shard in shards if shard.device == device)


def load(folder: str | Path, mesh: Mesh, dtype: jnp.dtype = jnp.float32, spec: Spec = partition_spec) -> Weights:
    """A Hugging Face folder on a mesh. A slice that several devices of this process need is read once.

    Rows of zeros are added to the words where they do not divide, as in chapter 09.
    Raises ValueError for a folder that is damaged or no Llama or Qwen2, another dimension that does not divide, and a
    dtype that is none to compute in.
    """
    dtype = _require_dtype(dtype)
    config, stored = LlamaConfig.from_folder(folder), Checkpoint(folder)
    reader = _Reader(stored, dtype)
    arrays = {}
    for name, (source, first, shape) in _places(config, stored).items():
        sharding = NamedSharding(mesh, spec(name, mesh))
        arrays[name] = reader.array(name, source, first, shape, sharding)
    if config.tie_word_embeddings and HEAD in arrays:
        if _equal(arrays[HEAD], arrays[EMBEDDING]):
            del arrays[HEAD]
        else:
            config = replace(config, tie_word_embeddings=False)
            warnings.warn(
                f"{stored.folder}: tie_word_embeddings is true, but {HEAD} is another matrix than the embedding; "
                "both are used as they are stored",
                stacklevel=2,
            )
    return Weights(arrays, config, reader.bytes_read)


def _places(config: LlamaConfig, stored: Checkpoint) -> dict[str, tuple[str, int, tuple[int, ...]]]:
    """Of each parameter, by its standard name: the stored tensor, the row there where it begins, and its shape."""
    found = sources(config, stored)
    return {
        name: place
        for parameter, parts in TensorNames(config).parameters()
        if parameter in found
        for name, place in _rows(parts, found[parameter])
    }


def _rows(parts: dict[str, tuple[int, ...]], stored: dict[str, int]) -> Iterator[tuple[str, tuple]]:
    """Parts that are stored one by one, or as one tensor in which they stand one above the other."""
    if len(stored) == len(parts):
        for (name, shape), source in zip(parts.items(), stored, strict=True):
            yield name, (source, 0, shape)
        return
    (source,) = stored
    first = 0
    for name, shape in parts.items():
        yield name, (source, first, shape)
        first += shape[0]


class _Reader:
    """Slices of stored tensors as arrays on devices; `bytes_read` counts those of the files."""

    def __init__(self, stored: Checkpoint, dtype: np.dtype) -> None:
        self.stored, self.dtype, self.bytes_read = stored, dtype, 0
        # NumPy has no bfloat16, torch has: what is read passes through a type that both know, and that loses nothing.
        self.between = torch.float64 if dtype == np.float64 else torch.float32

    def array(self, name: str, source: str, first: int, shape: tuple[int, ...], sharding: NamedSharding) -> Array:
        """The parameter `name`: rows `first` and following of the stored tensor `source`."""
        whole = whole_shape(name, shape, sharding)
        read: dict[tuple[Range, ...], np.ndarray] = {}
        with safe_open(self.stored.tensors[source].path, framework="pt") as file:
            part = file.get_slice(source)

            def slice_of(index: tuple[slice, ...]) -> np.ndarray:
                """The callback of JAX, once for each device."""
                ranges = tuple(s.indices(size)[:2] for s, size in zip(index, whole, strict=True))
                if ranges not in read:
                    read[ranges] = self._read(part, first, shape[0], ranges)
                return read[ranges]

            array = jax.make_array_from_callback(whole, sharding, slice_of)
        if not all(np.isfinite(piece).all() for piece in read.values()):
            warnings.warn(f"{name} of {self.stored.folder} has numbers that are NaN or infinite", stacklevel=3)
        return array

    def _read(self, part: object, first: int, rows: int, ranges: tuple[Range, ...]) -> np.ndarray:
        """One slice; rows after the last one that is stored are zeros."""
        (start, stop), *others = ranges
        there = slice(first + min(start, rows), first + min(stop, rows))
        found = part[(there, *(slice(*other) for other in others))]
        self.bytes_read += found.nbytes
        values = found.to(self.between).numpy().astype(self.dtype)
        return np.pad(values, [(0, stop - start - len(values))] + [(0, 0)] * len(others))


def whole_shape(name: str, shape: tuple[int, ...], sharding: NamedSharding) -> tuple[int, ...]:
    """The shape of the array: as stored, but for words, whose rows are padded. Raises ValueError for uneven cuts."""
    spec, axes = sharding.spec, sharding.mesh.shape
    if len(spec) > len(shape):
        raise ValueError(
            f"{name} of shape {shape} cannot be cut by {spec}: more entries than dimensions; up to {len(shape)} work"
        )
    entries = [() if entry is None else (entry,) if isinstance(entry, str) else entry for entry in spec]
    cuts = [math.prod(axes[axis] for axis in names) for names in entries]
    if name in (EMBEDDING, HEAD) and cuts:
        shape = (-(-shape[0] // cuts[0]) * cuts[0], *shape[1:])
    for dim, (size, cut) in enumerate(zip(shape, cuts, strict=False)):
        if size % cut:
            works = ", ".join(map(str, divisors(size)))
            raise ValueError(
                f"{name} of shape {shape} cannot be cut by {spec}: dimension {dim} = {size} does not divide into "
                f"{cut} parts; numbers of parts that work: {works}"
            )
    return shape


def _equal(a: Array, b: Array) -> bool:
    """Whether two arrays, cut alike, have the same numbers, as far as this process has them."""
    pairs = zip(a.addressable_shards, b.addressable_shards, strict=True)
    return all(np.array_equal(np.asarray(one.data), np.asarray(other.data)) for one, other in pairs)


def _require_dtype(dtype: object) -> np.dtype:
    """Raises ValueError where it is no dtype to compute in, and for float64 that JAX would make float32 of."""
    works = "jnp.float32 and jnp.bfloat16 work"
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        raise ValueError(f"dtype = {dtype!r} is no dtype to compute in; {works}") from None
    if dtype is None or not jnp.issubdtype(found, jnp.floating) or found.itemsize == 1:
        raise ValueError(f"dtype = {dtype!r} is no dtype to compute in; {works}")
    if jax.dtypes.canonicalize_dtype(found) != found:
        raise ValueError(f'dtype = {found} needs jax.config.update("jax_enable_x64", True) before; without it, {works}')
    return found
