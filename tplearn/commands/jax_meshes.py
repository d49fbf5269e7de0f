"""What `--with jax` is asked for, checked before anything is loaded: devices, meshes, texts and layers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from jax.sharding import Mesh

from tplearn.commands.options import require
from tplearn.gspmd.abstract import abstract_arrays
from tplearn.gspmd.devices import cpu_devices, make_kv_mesh, make_mesh
from tplearn.llama import LlamaConfig

DEVICES = 256  # more threads than that help nobody
TEXTS = 8  # where --batch is not given


@dataclass(frozen=True)
class Request:
    """Meshes of batch × model devices; None for what was not typed."""

    meshes: list[tuple[int, int]]
    batch: int | None = None
    layers: int | None = None

    def texts(self) -> int:
        """How many texts each mesh is given. Raises ValueError where a mesh does not deal them evenly."""
        needed = math.lcm(*(batch for batch, _ in self.meshes))
        if self.batch is None:
            return math.lcm(needed, TEXTS)
        typed = ",".join(f"{batch}x{model}" for batch, model in self.meshes)
        works = f"--mesh {typed} deals multiples of {needed} evenly"
        require("batch", self.batch, self.batch >= 1 and self.batch % needed == 0, works)
        return self.batch

    def cut(self, config: LlamaConfig) -> LlamaConfig:
        """The configuration of the first layers only. Raises ValueError where there are fewer."""
        if self.layers is None:
            return config
        every = config.num_hidden_layers
        require("layers", self.layers, 1 <= self.layers <= every, f"numbers from 1 to {every} work")
        types = config.layer_types and config.layer_types[: self.layers]
        return replace(config, num_hidden_layers=self.layers, layer_types=types)


def grids(request: Request, config: LlamaConfig) -> list[Mesh]:
    """Each mesh on JAX's devices; where "model" is more than the KV heads, also the one of kv × copy, behind it.

    Raises ValueError where a mesh has too many devices or does not cut the model.
    """
    devices = math.prod(request.meshes[0])
    typed = "{}x{}".format(*request.meshes[0])
    require("mesh", typed, devices <= DEVICES, f"up to {DEVICES} devices work")
    cpu_devices(devices)
    found = []
    for batch, model in request.meshes:
        for mesh in _of_axes(batch, model, config):
            try:
                abstract_arrays(config, mesh)
            except ValueError as error:
                raise ValueError(f"--mesh {batch}x{model}: {error}") from None
            found.append(mesh)
    return found


def mesh_name(mesh: Mesh) -> str:
    """ "2 × 4"; "1 × (kv 4 × copy 2)" where the model's axis is two."""
    batch, *others = mesh.axis_sizes
    if len(others) == 1:
        return f"{batch} × {others[0]}"
    return f"{batch} × (kv {others[0]} × copy {others[1]})"


def _of_axes(batch: int, model: int, config: LlamaConfig) -> Iterator[Mesh]:
    yield make_mesh(batch, model)
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    if model > kv_heads and model % kv_heads == 0 and heads % model == 0:
        yield make_kv_mesh(batch, model, kv_heads)
