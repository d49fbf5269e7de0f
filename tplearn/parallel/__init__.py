"""Tensor-parallel layers on real ranks: right in forward, gradients and ledger. On one rank each is its dense twin."""

from tplearn.parallel.attention import (
    KVCache,
    ParallelAttention,
    apply_rotary,
    attend,
    rotary_frequencies,
    rotary_tables,
)
from tplearn.parallel.collectives import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.parallel.cross_entropy import vocab_parallel_cross_entropy
from tplearn.parallel.heads import HeadRange, QKVParallelLinear, head_range
from tplearn.parallel.linear import ColumnParallelLinear, MergedColumnParallelLinear, RowParallelLinear
from tplearn.parallel.mlp import ParallelMLP
from tplearn.parallel.partition import Partition, Piece, partitions, sync_gradients
from tplearn.parallel.place import Place
from tplearn.parallel.sequence import ParallelDropout, ParallelRMSNorm
from tplearn.parallel.vocabulary import ParallelLMHead, VocabParallelEmbedding, vocab_range

__all__ = [
    "ColumnParallelLinear",
    "HeadRange",
    "KVCache",
    "MergedColumnParallelLinear",
    "ParallelAttention",
    "ParallelDropout",
    "ParallelLMHead",
    "ParallelMLP",
    "ParallelRMSNorm",
    "Partition",
    "Piece",
    "Place",
    "QKVParallelLinear",
    "RowParallelLinear",
    "VocabParallelEmbedding",
    "apply_rotary",
    "attend",
    "copy_to_group",
    "gather_from_group",
    "gather_sequence",
    "head_range",
    "partitions",
    "reduce_from_group",
    "reduce_scatter_sequence",
    "rotary_frequencies",
    "rotary_tables",
    "scatter_to_group",
    "sync_gradients",
    "vocab_parallel_cross_entropy",
    "vocab_range",
]
