"""Record what JAX's compiler makes of three models on five meshes: `python figures/recorded/compiled_meshes.py`.

Some minutes, with all layers. No weights are needed: arrays are only described. Of each compiled program it counts how
often an op stands there, and of the device that sends most its tensors and what rings send, in bytes of float32.
"""

import json
import math
import time
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct
from jax.sharding import Mesh

from tplearn.gspmd.abstract import abstract_arrays, abstract_ids
from tplearn.gspmd.devices import cpu_devices, make_kv_mesh, make_mesh
from tplearn.gspmd.hlo import collectives
from tplearn.gspmd.instructions import instructions
from tplearn.gspmd.model import forward, loss
from tplearn.llama import TINY_LLAMA, LlamaConfig
from tplearn.planning import read_configs

MESHES = ("8x1", "4x2", "2x4", "1x8", "1x(4x2)")
BATCH = 8
TOKENS = {"tiny-llama": 32, "Llama-3.1-8B": 2048, "Qwen2.5-7B": 2048}  # of each text
PHASES = ("forward", "forward + backward")
Counts = dict[str, list[int]]  # op → how often it stands in the program, tensors, bytes on the wire


def config_of(model: str) -> LlamaConfig:
    """The configuration of a model by its name."""
    if model == "tiny-llama":
        return LlamaConfig.from_folder(TINY_LLAMA)
    return LlamaConfig.from_fields(read_configs()[model])


def mesh_of(name: str) -> Mesh:
    """The mesh by its name; "1x(4x2)" is kv 4 × copy 2, also for a model with more KV heads."""
    if name == "1x(4x2)":
        return make_kv_mesh(1, 8, kv_heads=4)
    batch, model = map(int, name.split("x"))
    return make_mesh(batch, model)


def held(arrays: dict[str, ShapeDtypeStruct]) -> int:
    """Numbers that a device holds."""
    return sum(math.prod(array.sharding.shard_shape(array.shape)) for array in arrays.values())


def counted(config: LlamaConfig, mesh: Mesh, phase: str, tokens: int) -> Counts:
    """Compile a phase and count its collectives by op."""
    arrays = abstract_arrays(config, mesh, jnp.float32)
    ids = abstract_ids(BATCH, tokens, mesh)
    if phase == "forward":
        lowered = jax.jit(lambda p, ids: forward(p, config, ids)).lower(arrays, ids)
    else:
        outs = (None, {name: array.sharding for name, array in arrays.items()})  # a gradient lies as its weight does
        step = jax.jit(jax.value_and_grad(lambda p, ids, due: loss(p, config, ids, due)), out_shardings=outs)
        lowered = step.lower(arrays, ids, ids)
    text = lowered.compile().as_text()
    often = Counter(found.op for found in instructions(text))
    rows = collectives(text)
    sent = Counter()
    for row in rows:
        sent[row.rank] += row.wire_bytes
    busiest = max(sent, key=sent.get, default=0)  # of a permute, some devices send and some do not
    tensors, wire = Counter(), Counter()
    for row in rows:
        if row.rank == busiest:
            tensors[row.op] += 1
            wire[row.op] += row.wire_bytes
    return {op: [often[op], tensors[op], wire[op]] for op in sorted(often)}


def entry(model: str, name: str) -> dict:
    """One model on one mesh: numbers held by a device, and the collectives of each phase."""
    config, tokens = config_of(model), TOKENS[model]
    mesh = mesh_of(name)
    told: dict = {"numbers": held(abstract_arrays(config, mesh, jnp.float32))}
    for phase in PHASES:
        start = time.perf_counter()
        told[phase] = counted(config, mesh, phase, tokens)
        print(f"{model} {name} {phase}: {time.perf_counter() - start:.1f} s", flush=True)
    return told


def record(models: tuple[str, ...] = tuple(TOKENS), meshes: tuple[str, ...] = MESHES) -> dict:
    """{model: its layers, texts and tokens of each, and an entry for each mesh}."""
    cpu_devices(8)
    return {
        model: {
            "layers": config_of(model).num_hidden_layers,
            "texts": [BATCH, TOKENS[model]],
            "meshes": {name: entry(model, name) for name in meshes},
        }
        for model in models
    }


if __name__ == "__main__":
    told = record()
    Path(__file__).with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
