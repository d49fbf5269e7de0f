"""`tplearn verify --with jax`: one model over meshes of JAX devices, each against tplearn's own on one rank."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import torch
from jax.sharding import Mesh
from torch import Tensor

from tplearn.commands.jax_meshes import Request, grids, mesh_name
from tplearn.commands.verify import SEQUENCE
from tplearn.gspmd.checkpoint import Weights, load
from tplearn.gspmd.instructions import Instruction, instructions
from tplearn.gspmd.model import forward
from tplearn.gspmd.specs import text_sharding
from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.agreement import Agreement, agreement
from tplearn.llama.loading import examine
from tplearn.llama.tensors import EMBEDDING, LAYER

ROWS = {  # of which parameter a holding tells the rows
    "queries": "model.layers.0.self_attn.q_proj.weight",
    "keys": "model.layers.0.self_attn.k_proj.weight",
    "columns": "model.layers.0.mlp.gate_proj.weight",
    "words": EMBEDDING,
}


@dataclass(frozen=True)
class Holding:
    """What one device holds and computes, as JAX says it: ranges of rows (start, stop)."""

    texts: tuple[int, int]
    queries: tuple[int, int]
    keys: tuple[int, int]
    columns: tuple[int, int]
    words: tuple[int, int]
    weight_bytes: int


@dataclass(frozen=True)
class Verdict:
    """One mesh: how its logits agree with those of one rank, what it took, and what the compiler has written."""

    mesh: Mesh
    config: LlamaConfig
    shape: tuple[int, ...]
    agreement: Agreement
    load_seconds: float
    compile_seconds: float
    forward_seconds: float
    holdings: tuple[Holding, ...]
    """of each device, by its place in the mesh"""
    collectives: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        return mesh_name(self.mesh)


def verify_folder(folder: Path, request: Request) -> list[Verdict]:
    """A verdict for each mesh. Raises ValueError, before weights are read, where one does not cut the model."""
    config = request.cut(examine(folder))
    texts, meshes = request.texts(), grids(request, config)
    length = min(SEQUENCE, config.max_length)
    ids = torch.randint(config.vocab_size, (texts, length), generator=torch.Generator().manual_seed(0))
    due = _by_hand(folder, config, ids)
    return [_verify(folder, config, mesh, ids, due) for mesh in meshes]


@torch.inference_mode()
def _by_hand(folder: Path, config: LlamaConfig, ids: Tensor) -> Tensor:
    """The logits of tplearn's model, in this process alone."""
    model = Llama.from_pretrained(folder)
    model.layers = model.layers[: config.num_hidden_layers]
    return model(ids)


def _verify(folder: Path, config: LlamaConfig, mesh: Mesh, ids: Tensor, due: Tensor) -> Verdict:
    start = time.perf_counter()
    weights = _first_layers(load(folder, mesh), config)
    jax.block_until_ready(weights.arrays)
    loaded = time.perf_counter()
    texts = jax.device_put(ids.int().numpy(), text_sharding(mesh))
    program = jax.jit(lambda arrays, ids: forward(arrays, config, ids)).lower(weights.arrays, texts).compile()
    compiled = time.perf_counter()
    program(weights.arrays, texts).block_until_ready()
    warm = time.perf_counter()
    logits = program(weights.arrays, texts).block_until_ready()
    done = time.perf_counter()
    return Verdict(
        mesh,
        config,
        logits.shape,
        agreement(torch.from_numpy(np.array(logits)), due),
        load_seconds=loaded - start,
        compile_seconds=compiled - loaded,
        forward_seconds=done - warm,
        holdings=tuple(_holding(weights, texts, device) for device in mesh.devices.flat),
        collectives=tuple(instructions(program.as_text())),
    )


def _first_layers(weights: Weights, config: LlamaConfig) -> Weights:
    """Without the layers that the configuration leaves out."""

    def kept(name: str) -> bool:
        layer = LAYER.fullmatch(name)
        return layer is None or int(layer[1]) < config.num_hidden_layers

    return replace(weights, arrays={name: array for name, array in weights.arrays.items() if kept(name)})


def _holding(weights: Weights, texts: jax.Array, device: jax.Device) -> Holding:
    """Read from the arrays themselves, so that the drawing shows what is, not what was meant."""
    parts = {part: _rows(weights.arrays[name], device) for part, name in ROWS.items()}
    start, stop = parts.pop("words")
    vocabulary = weights.config.vocab_size
    words = min(start, vocabulary), min(stop, vocabulary)  # without the padding
    return Holding(texts=_rows(texts, device), words=words, weight_bytes=weights.bytes_on(device), **parts)


def _rows(array: jax.Array, device: jax.Device) -> tuple[int, int]:
    index = array.sharding.devices_indices_map(array.shape)[device][0]
    return index.indices(len(array))[:2]
