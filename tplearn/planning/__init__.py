"""Plan before you run: what a model weighs, what a rank stores, what fits."""

from tplearn.planning.memory import (
    kv_cache_bytes,
    kv_cache_bytes_per_token,
    kv_heads_per_rank,
    max_sequences,
    parameter_breakdown,
    parameter_count,
    tp_sizes,
    weight_bytes_per_rank,
)
from tplearn.planning.models import MODELS, ModelShape, read_configs, shape_from_config
from tplearn.planning.plan import Plan, memory_plan

__all__ = [
    "MODELS",
    "ModelShape",
    "Plan",
    "kv_cache_bytes",
    "kv_cache_bytes_per_token",
    "kv_heads_per_rank",
    "max_sequences",
    "memory_plan",
    "parameter_breakdown",
    "parameter_count",
    "read_configs",
    "shape_from_config",
    "tp_sizes",
    "weight_bytes_per_rank",
]
