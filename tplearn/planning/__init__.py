"""Plan before you run: what a rank stores, computes and sends, what fits, and how long it takes."""

from tplearn.planning.activations import activation_bytes, saved_tensors
from tplearn.planning.flops import forward_flops, mfu, training_flops
from tplearn.planning.hardware import ACCELERATORS, Accelerator, find_accelerator, read_hardware
from tplearn.planning.job import Layout, TrainingJob, stage_layers
from tplearn.planning.layouts import Layouts, Ranked, Refused, all_layouts
from tplearn.planning.links import (
    Link,
    NodeLink,
    bytes_sent,
    collective_seconds,
    compute_bound_tp,
    fit_alpha_beta,
    link_of,
)
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
from tplearn.planning.recommend import Recommendation, recommend_parallelism
from tplearn.planning.serving import DecodeTime, PrefillTime, decode_time, max_batch, prefill_time
from tplearn.planning.training_memory import TrainingMemory, training_memory
from tplearn.planning.training_time import StepTime, step_time

__all__ = [
    "ACCELERATORS",
    "MODELS",
    "Accelerator",
    "DecodeTime",
    "Layout",
    "Layouts",
    "Link",
    "ModelShape",
    "NodeLink",
    "Plan",
    "PrefillTime",
    "Ranked",
    "Recommendation",
    "Refused",
    "StepTime",
    "TrainingJob",
    "TrainingMemory",
    "activation_bytes",
    "all_layouts",
    "bytes_sent",
    "collective_seconds",
    "compute_bound_tp",
    "decode_time",
    "find_accelerator",
    "fit_alpha_beta",
    "forward_flops",
    "kv_cache_bytes",
    "kv_cache_bytes_per_token",
    "kv_heads_per_rank",
    "link_of",
    "max_batch",
    "max_sequences",
    "memory_plan",
    "mfu",
    "parameter_breakdown",
    "parameter_count",
    "prefill_time",
    "read_configs",
    "read_hardware",
    "recommend_parallelism",
    "saved_tensors",
    "shape_from_config",
    "stage_layers",
    "step_time",
    "tp_sizes",
    "training_flops",
    "training_memory",
    "weight_bytes_per_rank",
]
