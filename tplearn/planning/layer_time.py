"""Seconds of one layer, of the embedding and of the head, for one micro-batch on one rank: forward and backward.

Matmuls take their FLOPs over what large matmuls reach; with few tokens, as long as the memory takes. Forward and the
input's gradient read the weights, and the weights' gradient is read, added to and written.

Between them stand norms, residual additions, rotary positions, the activation and, without flash attention, the
softmax. They take the bytes that they read and write over the memory's bandwidth. Backward is twice both.

| elementwise work | bytes a token, forward |
|---|---|
| two norms, two residual additions | 2 · 10 · hidden (read 1 and write 1; read 2 and write 1) |
| rotary positions | 2 · 2 · (query width + key width) |
| SwiGLU, GELU | 2 · 3 · intermediate, 2 · 2 · intermediate |
| softmax and its dropout, not flash | 9 · heads · sequence; backward 11 |
| GPT's two other dropouts | 2 · hidden for the masks |
"""

from dataclasses import dataclass

from tplearn.planning.activations import BYTES
from tplearn.planning.flops import forward_flops
from tplearn.planning.hardware import Accelerator
from tplearn.planning.job import Layout, TrainingJob
from tplearn.planning.links import collective_seconds, link_of
from tplearn.planning.memory import kv_heads_per_rank
from tplearn.planning.training_memory import WEIGHT, layer_parameters

SCORES_FORWARD = 4 + 5  # softmax reads and writes; dropout reads, writes, and writes its mask
SCORES_BACKWARD = 5 + 6  # dropout reads gradient and mask, and writes; softmax reads gradient and result, and writes
FLASH_BACKWARD = 2.5  # five matmuls where forward has two: the scores are made again


@dataclass(frozen=True)
class Seconds:
    """Seconds by part."""

    matmuls: float = 0.0
    elementwise: float = 0.0
    tensor_parallel: float = 0.0
    context_parallel: float = 0.0

    @property
    def total(self) -> float:
        """All of it: nothing here hides behind anything."""
        return self.matmuls + self.elementwise + self.tensor_parallel + self.context_parallel

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(
            self.matmuls + other.matmuls,
            self.elementwise + other.elementwise,
            self.tensor_parallel + other.tensor_parallel,
            self.context_parallel + other.context_parallel,
        )

    def times(self, number: float) -> "Seconds":
        """So many of them, one after the other."""
        return Seconds(
            self.matmuls * number,
            self.elementwise * number,
            self.tensor_parallel * number,
            self.context_parallel * number,
        )


def layer_seconds(
    job: TrainingJob, layout: Layout, accelerator: Accelerator, sequences: float
) -> tuple[Seconds, Seconds]:
    """Forward and backward of one layer, recomputing included in backward.

    `sequences` is one copy's micro-batch. Context parallelism gathers K and V forward and backward and scatters their
    gradients; ranks hold an early and a late piece of the sequence, so that the causal mask leaves all equal work.
    """
    shape, tp, cp = job.shape, layout.tp, layout.cp
    tokens = sequences * job.sequence / cp
    flops = forward_flops(shape, tokens / (tp * shape.num_hidden_layers), job.sequence, causal=job.flash_attention)
    rate, bandwidth = accelerator.matmul_flops, accelerator.read_bandwidth
    dense, scores = (flops["projections"] + flops["mlp"]) / rate, flops["scores"] / rate
    weights = layer_parameters(shape, tp) / bandwidth
    multiplied = max(dense, WEIGHT * weights)
    weights_gradient = max(dense, 2 * job.gradient_bytes * weights)

    gpt, whole = shape.mlp_matrices == 2, shape.hidden_size / (tp if layout.sequence_parallel else 1)
    columns = shape.intermediate_size / tp
    turned = 0 if gpt else (shape.num_attention_heads + shape.num_key_value_heads) * shape.head_dim / tp
    product = BYTES * shape.mlp_matrices * columns
    norms = BYTES * 4 * whole
    moved = tokens * (norms + BYTES * 6 * whole + BYTES * 2 * turned + product + (2 * whole if gpt else 0)) / bandwidth
    stored = 0 if job.flash_attention else tokens * shape.num_attention_heads / tp * job.sequence / bandwidth

    exchange = tensor_parallel_seconds(job, layout, accelerator, tokens)
    keys = BYTES * 2 * kv_heads_per_rank(shape, tp) * shape.head_dim * sequences * job.sequence
    gather = collective_seconds("all_gather", keys, cp, link_of(accelerator, cp, tp))

    forward = Seconds(multiplied + scores, moved + SCORES_FORWARD * stored, 2 * exchange, gather)
    backward = Seconds(
        multiplied + weights_gradient + (FLASH_BACKWARD if job.flash_attention else 2) * scores,
        2 * moved + SCORES_BACKWARD * stored,
        2 * exchange,
        2 * gather,
    )
    if layout.recompute == "full":
        backward += forward
    elif layout.recompute == "selective" and job.flash_attention:
        backward += Seconds(elementwise=tokens * (norms + product) / bandwidth)
    elif layout.recompute == "selective":
        backward += Seconds(scores, SCORES_FORWARD * stored)
    return forward, backward


def embedding_seconds(
    job: TrainingJob, layout: Layout, accelerator: Accelerator, sequences: float
) -> tuple[Seconds, Seconds]:
    """Forward: one all-reduce of what each rank's words give. Backward: none, the gradient is there already."""
    tokens = sequences * job.sequence / layout.cp
    return Seconds(tensor_parallel=tensor_parallel_seconds(job, layout, accelerator, tokens)), Seconds()


def head_seconds(
    job: TrainingJob, layout: Layout, accelerator: Accelerator, sequences: float
) -> tuple[Seconds, Seconds]:
    """The head's matmul, its softmax in float32, and backward the all-reduce of its input's gradient."""
    tokens = sequences * job.sequence / layout.cp
    matmul = forward_flops(job.shape, tokens / layout.tp, job.sequence)["head"] / accelerator.matmul_flops
    logits = tokens * job.shape.vocab_size / layout.tp
    read_and_written = 2 * BYTES + 3 * 4  # bf16 written and read; float32 written, read and made the gradient
    exchange = tensor_parallel_seconds(job, layout, accelerator, tokens)
    forward = Seconds(matmul, read_and_written * logits / accelerator.read_bandwidth)
    return forward, Seconds(2 * matmul, 0.0, exchange)


def tensor_parallel_seconds(job: TrainingJob, layout: Layout, accelerator: Accelerator, tokens: float) -> float:
    """One all-reduce of [tokens, hidden]; with sequence parallelism an all-gather and a reduce-scatter of the same."""
    size, link = BYTES * tokens * job.shape.hidden_size, link_of(accelerator, layout.tp)
    if layout.sequence_parallel:
        return sum(collective_seconds(op, size, layout.tp, link) for op in ("all_gather", "reduce_scatter"))
    return collective_seconds("all_reduce", size, layout.tp, link)
