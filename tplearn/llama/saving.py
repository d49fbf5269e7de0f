"""Writes a Hugging Face folder from the shards, one file at a time: no rank ever holds the whole model."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tplearn.llama.config import LlamaConfig
from tplearn.llama.files import CONFIG, GENERATION, INDEX, SINGLE
from tplearn.llama.generation_config import GenerationConfig
from tplearn.llama.tensors import TensorNames
from tplearn.parallel.fsdp import whole
from tplearn.parallel.partition import Partition, partitions

NUMBERED = "model-{:05}-of-{:05}.safetensors"
OF_AN_EARLIER_SAVE = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")


@torch.no_grad()
def save(
    module: nn.Module,
    config: LlamaConfig,
    generation: GenerationConfig,
    folder: Path,
    max_file_bytes: int,
    *,
    writes: bool,
    dtype: torch.dtype | None = None,
    tensor_of: Callable[[nn.Parameter], Tensor] = lambda parameter: parameter,
) -> None:
    """Join each parameter of a Llama, or what `tensor_of` gives for it, over the ranks, into files of up to
    max_file_bytes, in `dtype` (None: its own). Every rank that holds a part must call it; one, that `writes`, writes.

    Weights of an earlier save go: beside the new ones they would be read, or half of them. The other ranks leave when
    the files are complete. Raises ValueError for a size that holds nothing.
    """
    if max_file_bytes < 1:
        raise ValueError(f"max_file_bytes = {max_file_bytes}; sizes from 1 work")
    stored_as = dict(TensorNames(config).parameters())
    files = _plan(module, max_file_bytes)
    weight_map: dict[str, str] = {}
    if writes:
        folder.mkdir(parents=True, exist_ok=True)
    for number, members in enumerate(files, start=1):
        name = SINGLE if len(files) == 1 else NUMBERED.format(number, len(files))
        tensors: dict[str, Tensor] = {}
        for parameter_name, parameter, partition in members:
            dense = partition.full_tensor(whole(tensor_of(parameter)))
            if writes:
                parts = stored_as[parameter_name]
                rows = dense.to("cpu", dtype).split([shape[0] for shape in parts.values()])
                tensors |= {stored: part.clone() for stored, part in zip(parts, rows, strict=True)}
        if writes:
            save_file(tensors, _own(folder / name), metadata={"format": "pt"})
            weight_map |= dict.fromkeys(tensors, name)
    if writes:
        kept = {*weight_map.values()}
        if len(files) > 1:
            kept.add(INDEX)
            total = sum(p.element_size() * torch.Size(q.dense_shape).numel() for _, p, q in partitions(module))
            _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
        dtype = dtype or next(module.parameters()).dtype
        _write_json(folder / CONFIG, config.fields() | {"torch_dtype": str(dtype).removeprefix("torch.")})
        _write_json(folder / GENERATION, generation.fields())
        for path in folder.iterdir():
            if OF_AN_EARLIER_SAVE.fullmatch(path.name) and path.name not in kept:
                path.unlink()


def _plan(module: nn.Module, max_file_bytes: int) -> list[list[tuple[str, Tensor, Partition]]]:
    """Which parameters go into which file, in order."""
    files: list[list[tuple[str, Tensor, Partition]]] = [[]]
    size = 0
    for member in partitions(module):
        _, parameter, partition = member
        bytes_here = parameter.element_size() * torch.Size(partition.dense_shape).numel()
        if files[-1] and size + bytes_here > max_file_bytes:
            files.append([])
            size = 0
        files[-1].append(member)
        size += bytes_here
    return files


def _write_json(path: Path, content: dict) -> None:
    _own(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _own(path: Path) -> Path:
    """The path, no longer a link: what is written must not go into the file that a hub cache keeps for everybody."""
    if path.is_symlink():
        path.unlink()
    return path
