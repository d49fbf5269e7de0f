"""Writes a Hugging Face folder from the shards, one file at a time: no rank ever holds the whole model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from tplearn.llama.checkpoint import INDEX, SINGLE, stored_parts
from tplearn.parallel.partition import Partition, partitions

if TYPE_CHECKING:
    from tplearn.llama.model import Llama


@torch.no_grad()
def save(model: Llama, folder: str | Path, max_file_bytes: int) -> None:
    """Join each parameter over the ranks; the first rank of the group writes, in files of up to max_file_bytes.

    The others leave when the folder is complete. Raises ValueError for a size that holds nothing.
    """
    if max_file_bytes < 1:
        raise ValueError(f"max_file_bytes = {max_file_bytes}; sizes from 1 work")
    folder = Path(folder)
    place = model.place
    files = _plan(model, max_file_bytes)
    weight_map: dict[str, str] = {}
    if place.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
    for number, members in enumerate(files, start=1):
        name = SINGLE if len(files) == 1 else f"model-{number:05}-of-{len(files):05}.safetensors"
        tensors: dict[str, Tensor] = {}
        for parameter_name, parameter, partition in members:
            dense = partition.full_tensor(parameter.detach().cpu())
            if place.rank == 0:
                parts = stored_parts(parameter_name, partition, model.config, {})
                rows = dense.split(list(parts.values()))
                tensors |= {stored: part.clone() for stored, part in zip(parts, rows, strict=True)}
        if place.rank == 0:
            save_file(tensors, folder / name, metadata={"format": "pt"})
            weight_map |= dict.fromkeys(tensors, name)
    if place.rank == 0:
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        _write_json(folder / "config.json", model.config.fields() | {"torch_dtype": dtype})
        if len(files) > 1:
            total = sum(p.element_size() * torch.Size(q.dense_shape).numel() for _, p, q in partitions(model))
            _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _plan(model: Llama, max_file_bytes: int) -> list[list[tuple[str, Tensor, Partition]]]:
    """Which parameters go into which file, in order."""
    files: list[list[tuple[str, Tensor, Partition]]] = [[]]
    size = 0
    for member in partitions(model):
        _, parameter, partition = member
        bytes_here = parameter.element_size() * torch.Size(partition.dense_shape).numel()
        if files[-1] and size + bytes_here > max_file_bytes:
            files.append([])
            size = 0
        files[-1].append(member)
        size += bytes_here
    return files


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
