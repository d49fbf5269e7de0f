"""Reads a Hugging Face checkpoint shard by shard: each rank only the bytes of its own rows and columns.

Only safetensors is read. Pickle (`pytorch_model.bin`) can run any code while it is loaded.
"""

from __future__ import annotations

import json
import math
import mmap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from tplearn.llama.config import LlamaConfig
from tplearn.parallel.partition import Partition, partitions

if TYPE_CHECKING:
    from tplearn.llama.model import Llama

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CHUNK = 16 << 20  # bytes read at a time, beyond which a rank needs memory for its own parameters only


class Checkpoint:
    """The safetensors files of a folder. `bytes_read` counts what was read; `not_finite` names where NaN or ∞ was."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.bytes_read = 0
        self.not_finite: list[str] = []
        self.files: dict[str, Path] = {}  # of each tensor
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.opened: tuple[Path, safe_open] | None = None
        self.mapped = 0  # bytes touched since a file was opened
        for path, names in self._names().items():
            with _open(path) as file:
                there = set(file.keys())
                for name in names or there:
                    if name not in there:
                        raise ValueError(f"{path} has no tensor {name!r}, though {INDEX} says so")
                    self.files[name], self.shapes[name] = path, tuple(file.get_slice(name).get_shape())

    def _names(self) -> dict[Path, list[str]]:
        """The tensors of each file; none for all that it holds."""
        index = self.folder / INDEX
        if not index.exists():
            if not (self.folder / SINGLE).exists():
                raise ValueError(
                    f"{self.folder} has neither {SINGLE} nor {INDEX}; only safetensors is read, never pickle"
                )
            return {self.folder / SINGLE: []}
        try:
            files = json.loads(index.read_text())["weight_map"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{index} is damaged: it has no weight_map ({error!r})") from None
        names: dict[Path, list[str]] = {}
        for tensor, name in files.items():
            if Path(name).name != name:
                raise ValueError(f"{index} names the file {name!r}; only files in the same folder work")
            if not (self.folder / name).exists():
                raise ValueError(f"{self.folder / name} is missing; {INDEX} names it")
            names.setdefault(self.folder / name, []).append(tensor)
        return names

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it. Raises ValueError where it is not there."""
        if name not in self.shapes:
            raise ValueError(f"{self.folder} has no tensor {name!r}")
        return self.shapes[name]

    def read_into(self, out: Tensor, name: str, dim: int, start: int) -> None:
        """Fill `out` with the part of a tensor that begins at `start` along `dim`; any dtype becomes out's."""
        rows = max(1, CHUNK // max(1, math.prod(self.shapes[name][1:]) * out.element_size()))
        for first in range(0, out.shape[0], rows):
            part = out[first : first + rows]
            begin = start + first if dim == 0 else first
            where = [slice(begin, begin + part.shape[0])]
            if dim == 1:
                where.append(slice(start, start + out.shape[1]))
            read = self._file(self.files[name]).get_slice(name)[tuple(where)]
            part.copy_(read)
            self.bytes_read += read.nbytes
            # A sum is cheap while the numbers are at hand, and finite unless one is not (or the sum is too large).
            if not math.isfinite(part.sum()) and not part.isfinite().all() and name not in self.not_finite:
                self.not_finite.append(name)
            self.mapped += len(part) * math.prod(self.shapes[name][1:]) * read.element_size()

    def _file(self, path: Path) -> safe_open:
        """The file, open; anew after CHUNK bytes, because what was touched of a mapped file counts as memory."""
        if self.opened is None or self.opened[0] != path or self.mapped > CHUNK:
            self.opened, self.mapped = (path, _open(path)), 0
        return self.opened[1]

    def close(self) -> None:
        """Let go of the file that is open; the next read opens it again."""
        self.opened = None


def _open(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def stored_parts(name: str, partition: Partition, config: LlamaConfig, there: dict[str, Path]) -> dict[str, int]:
    """The tensors of a checkpoint that make up one parameter, one above the other, with the rows of each.

    Most checkpoints store q, k, v and gate, up apart; some store them fused, as the layers here do.
    """
    stored = name if name.startswith("lm_head.") else f"model.{name}"
    kv = config.num_key_value_heads * config.head_dim
    apart = {
        "qkv_proj": {"q_proj": config.num_attention_heads * config.head_dim, "k_proj": kv, "v_proj": kv},
        "gate_up_proj": {"gate_proj": config.intermediate_size, "up_proj": config.intermediate_size},
    }
    for fused, parts in apart.items():
        if f".{fused}." in stored and stored not in there:
            return {stored.replace(fused, part): rows for part, rows in parts.items()}
    return {stored: partition.dense_shape[0]}


def wanted(model: nn.Module, config: LlamaConfig, checkpoint: Checkpoint) -> Iterator[tuple[str, dict[str, int]]]:
    """(parameter, its stored parts). Raises ValueError where a part is missing or has another shape."""
    for name, _, partition in partitions(model):
        parts = stored_parts(name, partition, config, checkpoint.files)
        for stored, rows in parts.items():
            shape, works = checkpoint.shape(stored), (rows, *partition.dense_shape[1:])
            if shape != works:
                raise ValueError(
                    f"{checkpoint.files[stored]}: {stored} has shape {shape}; config.json asks for {works}"
                )
        yield name, parts


@torch.no_grad()
def load(model: Llama, folder: str | Path, dtype: torch.dtype, device: torch.device) -> Checkpoint:
    """Give every parameter of a model on the meta device this rank's part of the checkpoint.

    Warns where a parameter is not finite. Raises ValueError before anything is read where the folder does not fit.
    """
    checkpoint = Checkpoint(folder)
    plan = dict(wanted(model, model.config, checkpoint))
    for name, _, partition in list(partitions(model)):
        layer, _, own_name = name.rpartition(".")
        parameter = nn.Parameter(empty(partition.shape, dtype, device))
        if partition.padding:
            parameter[-partition.padding :] = 0
        setattr(model.get_submodule(layer), own_name, parameter)
        fill(parameter, partition, plan[name], checkpoint)
    for name in checkpoint.not_finite:
        warnings.warn(f"{name} of {folder} has numbers that are NaN or infinite", stacklevel=2)
    if model.config.tie_word_embeddings:
        model.lm_head.tie(model.embed_tokens)
    checkpoint.close()
    return checkpoint


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """As torch.empty. On the CPU, Linux gives all pages of it in one call; one by one they take longer."""
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size == 0:
        return torch.empty(shape, dtype=dtype, device=device)
    all_pages = getattr(mmap, "MAP_POPULATE", 0)  # elsewhere they come one by one
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | all_pages)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


def fill(parameter: Tensor, partition: Partition, parts: dict[str, int], checkpoint: Checkpoint) -> None:
    """Read this rank's pieces of a dense parameter that is stored in parts."""
    for chunk, rows in partition.views(parameter):
        if partition.dim == 1:
            checkpoint.read_into(rows, next(iter(parts)), 1, chunk.start)
            continue
        offset = 0
        for stored, size in parts.items():
            start, stop = max(chunk.start, offset), min(chunk.stop, offset + size)
            if start < stop:
                checkpoint.read_into(rows[start - chunk.start : stop - chunk.start], stored, 0, start - offset)
            offset += size
