"""A model with every kind of parameter, on a mesh: words with padding, copied KV heads, a norm, and a plain module."""

import functools

import torch.distributed as dist
from torch import Generator, Tensor, nn

from tplearn.checks.inputs import randn
from tplearn.parallel import (
    Chunk,
    ParallelRMSNorm,
    Partition,
    QKVParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
)

NAMES = ("dp", "tp")
Mesh = tuple[int, int]
HIDDEN, WORDS, HEADS, KV_HEADS, HEAD = 6, 13, 4, 1, 2  # 13 words leave padding, and one KV head is on every rank


class Small(nn.Module):
    """The parts of a reward model: a Llama's layers, cut over a group, and a score from an ordinary module."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        super().__init__()
        self.embed_tokens = VocabParallelEmbedding(WORDS, HIDDEN, group=group)
        self.norm = ParallelRMSNorm(HIDDEN, group=group, sequence_parallel=True)
        self.qkv_proj = QKVParallelLinear(HIDDEN, HEAD, HEADS, KV_HEADS, group=group)
        self.o_proj = RowParallelLinear(HEADS * HEAD, HIDDEN, bias=False, group=group)
        self.score = nn.Linear(HIDDEN, 1)


@functools.cache
def own_mesh(shape: Mesh) -> dist.DeviceMesh:
    """The mesh of all ranks. A rank makes its groups once in its life."""
    return dist.init_device_mesh("cpu", shape, mesh_dim_names=NAMES)


def small_model(shape: Mesh) -> Small:
    """In float64, cut over tp; what its numbers are is for the caller to say."""
    return Small(own_mesh(shape).get_group("tp")).double()


def dense_numbers(seed: int) -> dict[str, Tensor]:
    """A random number for each number of the dense model, by name; the same on every rank."""
    generator = Generator().manual_seed(seed)
    shapes = {
        "embed_tokens.weight": (WORDS, HIDDEN),
        "norm.weight": (HIDDEN,),
        "qkv_proj.weight": ((HEADS + 2 * KV_HEADS) * HEAD, HIDDEN),
        "o_proj.weight": (HIDDEN, HEADS * HEAD),
        "score.weight": (1, HIDDEN),
        "score.bias": (1,),
    }
    return {name: randn(generator, *shape) for name, shape in shapes.items()}


def shard_of(dense: Tensor, partition: Partition | None) -> Tensor:
    """This rank's shard, in memory of its own."""
    return dense.clone() if partition is None else partition.shard(dense)


def partial_gradient(dense: Tensor, partition: Partition | None) -> Tensor:
    """The shard as it is after backward: where a copy's gradient is a partial, only this copy's part of it."""
    gradient = shard_of(dense, partition)
    if partition is not None and partition.partial is not None:
        start, stop = partition.partial
        for chunk, rows in partition.views(gradient):
            if start <= chunk.start < stop:
                rows.mul_(_part(chunk))
    return gradient


def _part(chunk: Chunk) -> float:
    """Of 3 copies one has a sixth, one two sixths, one three."""
    return 2 * (chunk.copy + 1) / (chunk.copies * (chunk.copies + 1))
