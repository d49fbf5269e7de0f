"""Tensor-parallel layers on real ranks: right in forward, gradients and ledger. On one rank each is its dense twin."""

from tplearn.parallel.attention import ParallelAttention, attend
from tplearn.parallel.collectives import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.parallel.column import ColumnParallelLinear, MergedColumnParallelLinear
from tplearn.parallel.cross_entropy import vocab_parallel_cross_entropy
from tplearn.parallel.gradients import clip_gradients, gradient_norm, sync_gradients
from tplearn.parallel.heads import HeadRange, QKVParallelLinear, head_range
from tplearn.parallel.kv_cache import KVCache
from tplearn.parallel.mlp import ParallelMLP
from tplearn.parallel.partition import Chunk, Partition, partitions
from tplearn.parallel.place import Place
from tplearn.parallel.replicated import assert_replicated
from tplearn.parallel.rotary import apply_rotary, rotary_frequencies, rotary_tables
from tplearn.parallel.row import RowParallelLinear
from tplearn.parallel.sequence import ParallelDropout, ParallelRMSNorm
from tplearn.parallel.vocabulary import ParallelLMHead, VocabParallelEmbedding
from tplearn.parallel.words import vocab_range

__all__ = [
    "Chunk",
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
    "Place",
    "QKVParallelLinear",
    "RowParallelLinear",
    "VocabParallelEmbedding",
    "apply_rotary",
    "assert_replicated",
    "attend",
    "clip_gradients",
    "copy_to_group",
    "gather_from_group",
    "gather_sequence",
    "gradient_norm",
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
