"""`tplearn plan --with jax`: the forward pass of a model of any size, compiled for a mesh without its weights."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import jax
from jax.sharding import Mesh

from tplearn.commands.jax_meshes import Request, grids, mesh_name
from tplearn.commands.plan_model import known_name
from tplearn.commands.verify import SEQUENCE
from tplearn.gspmd.abstract import abstract_arrays, abstract_ids
from tplearn.gspmd.instructions import Instruction, instructions
from tplearn.gspmd.model import forward
from tplearn.llama import LlamaConfig
from tplearn.planning import read_configs


@dataclass(frozen=True)
class Program:
    """What the compiler makes of one mesh; bytes are those of one device, by its own count, in bfloat16."""

    mesh: str
    argument_bytes: int
    """weights and token ids"""
    output_bytes: int
    """logits, cut by texts and words"""
    collectives: tuple[Instruction, ...]
    compile_seconds: float


def known_model(name: str) -> LlamaConfig:
    """A public model's configuration by its name, in any case. Raises ValueError for one that is not known."""
    name = known_name(name)
    return replace(LlamaConfig.from_fields(read_configs()[name], f"--model {name}"), name=name)


def layers_of(config: LlamaConfig) -> str:
    """ "1 layer", "32 layers"."""
    layers = config.num_hidden_layers
    return f"{layers} layer{'s' if layers > 1 else ''}"


def plan_with_jax(config: LlamaConfig, request: Request, tell: Callable[[str], None]) -> Iterator[Program]:
    """A program for each mesh; `tell` hears beforehand which is compiled. Raises ValueError as `grids`."""
    texts = request.texts()
    for mesh in grids(request, config):
        tell(f"compiling {layers_of(config)} for mesh {mesh_name(mesh)} …")
        yield _compile(config, mesh, texts)


def _compile(config: LlamaConfig, mesh: Mesh, texts: int) -> Program:
    start = time.perf_counter()
    ids = abstract_ids(texts, min(SEQUENCE, config.max_length), mesh)
    lowered = jax.jit(lambda arrays, ids: forward(arrays, config, ids)).lower(abstract_arrays(config, mesh), ids)
    program = lowered.compile()
    memory = program.memory_analysis()
    return Program(
        mesh_name(mesh),
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes,
        tuple(instructions(program.as_text())),
        time.perf_counter() - start,
    )
