"""Exercise 12.1: a rank reads its own shard of a parameter out of a file, and not a byte more."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch12_real_weights.drive import read_and_count
from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.checks.ch12_real_weights.inputs import SIZES, layer_weights
from tplearn.checks.ch12_real_weights.read_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.parallel import head_range, vocab_range

Sizes = tuple[int, int, int]  # heads, KV heads, head_dim


def read_shard(file: CountingFile, parameter: str, sizes: Sizes, rank: int, world_size: int) -> Tensor:
    """This rank's shard of a parameter: fused, cut, padded."""
    if parameter == "embed_tokens":
        words = file.get_slice(parameter)
        start, stop, rows = vocab_range(words.get_shape()[0], rank, world_size)
        return torch.nn.functional.pad(words[start:stop], (0, 0, 0, rows - (stop - start)))
    if parameter in ("o_proj", "down_proj"):
        weight = file.get_slice(parameter)
        columns = weight.get_shape()[1] // world_size
        return weight[:, rank * columns : (rank + 1) * columns]
    if parameter == "gate_up_proj":
        rows = file.get_slice("gate_proj").get_shape()[0] // world_size
        parts = {"gate_proj": (rank, rank + 1), "up_proj": (rank, rank + 1)}
    else:
        heads, kv_heads, rows = sizes
        own = head_range(heads, kv_heads, rank, world_size)
        parts = {"q_proj": own.queries, "k_proj": own.keys, "v_proj": own.keys}
    return torch.cat([file.get_slice(name)[a * rows : b * rows] for name, (a, b) in parts.items()])


def _cases(generator: Generator) -> list[Case]:
    return [Case(tp, (layer_weights(generator, tp), SIZES[tp])) for tp in (1, 2, 3, 4)]


READ_SHARD = Exercise(
    number="12.1",
    name="read_shard",
    points=15,
    difficulty=3,
    minutes=18,
    reference=read_shard,
    cases=_cases,
    observe=read_and_count,
    held=0,
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.llama", "tplearn.parallel.partition"),
)
