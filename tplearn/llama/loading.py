"""Fills a model with its ranks' own shards of a checkpoint, and says beforehand whether a folder can be loaded."""

import math
import mmap
from pathlib import Path

import torch
from torch import Tensor, nn

from tplearn.llama.checkpoint import Checkpoint
from tplearn.llama.config import LlamaConfig
from tplearn.llama.generation_config import GenerationConfig
from tplearn.llama.tensors import Sources, sources
from tplearn.parallel.partition import Partition, partitions


def examine(folder: str | Path) -> LlamaConfig:
    """The configuration of a folder that can be loaded. Raises ValueError otherwise. Reads no weights, only headers."""
    config = LlamaConfig.from_folder(folder)
    GenerationConfig.from_folder(folder)
    sources(config, Checkpoint(folder))
    return config


def load(
    module: nn.Module,
    parts: Sources,
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Give every parameter of a module on the meta device this rank's shard of the checkpoint; tied ones stay tied.

    `parts` is what `sources` gives.
    """
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    for name, on_meta, partition in list(partitions(module)):
        parameter = read_parameter(partition, parts[name], checkpoint, dtype, device)
        for place in names[on_meta]:
            layer, _, own_name = place.rpartition(".")
            setattr(module.get_submodule(layer), own_name, parameter)


def read_parameter(
    partition: Partition, parts: dict[str, int], checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device
) -> nn.Parameter:
    """This rank's shard of a dense parameter that is stored in `parts`, one above the other, with the rows of each."""
    parameter = nn.Parameter(empty(partition.shape, dtype, device))
    with torch.no_grad():
        if partition.padding:
            parameter[-partition.padding :] = 0
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
    return parameter


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """As torch.empty. On the CPU, Linux gives all pages of it in one call; one by one they take longer."""
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size == 0:
        return torch.empty(shape, dtype=dtype, device=device)
    all_pages = getattr(mmap, "MAP_POPULATE", 0)  # elsewhere they come one by one
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | all_pages)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
