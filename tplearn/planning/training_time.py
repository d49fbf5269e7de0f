"""Seconds of a training step, part by part, for a layout: what computes, what is sent, what waits, what hides.

The slowest pipeline stage sets the pace. For one micro-batch it takes S seconds forward and backward; a step is

    m · S + (p − 1) / v · S + sends of the bubble + what does not hide of the gradients' way + the optimizer

| traffic | how much | hides behind |
|---|---|---|
| tensor parallel | 2 all-reduces a layer forward, 2 backward; recomputed with the layer | nothing |
| context parallel | K and V gathered forward and backward, their gradients scattered | nothing |
| pipeline | hidden · tokens each way, v times | the next micro-batch, except while filling and draining |
| gradients | ZeRO 0, 1: once a step; 2, 3: for each micro-batch | backward, but for one layer's |
| weights | ZeRO 1, 2: gathered once a step; 3: forward and backward of each micro-batch | forward, backward |

Behind forward and backward means: behind their matmuls and elementwise work, while the links lie idle.
"""

from dataclasses import dataclass, fields

from tplearn.planning.flops import mfu
from tplearn.planning.hardware import Accelerator
from tplearn.planning.job import Layout, TrainingJob, micro_batch_sequences, stage_layers
from tplearn.planning.layer_time import BYTES, Seconds, embedding_seconds, head_seconds, layer_seconds
from tplearn.planning.links import collective_seconds, link_of, node_link
from tplearn.planning.training_memory import ADAM, WEIGHT, stage_parameters


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step by part; their sum is the step. `hidden` is traffic behind compute, and no part of the sum."""

    matmuls: float
    elementwise: float
    tensor_parallel: float
    context_parallel: float
    bubble: float
    pipeline_sends: float
    data_parallel: float
    optimizer: float
    hidden: float
    tokens: int
    mfu: float
    accelerators: int

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by part."""
        return {part.name: getattr(self, part.name) for part in fields(self)[:8]}

    @property
    def total(self) -> float:
        """Seconds of a step."""
        return sum(self.parts.values())

    @property
    def tokens_per_second(self) -> float:
        """Of all accelerators together."""
        return self.tokens / self.total

    @property
    def accelerator_seconds_per_token(self) -> float:
        """What a token costs."""
        return self.accelerators / self.tokens_per_second


def step_time(job: TrainingJob, layout: Layout, accelerator: Accelerator) -> StepTime:
    """Seconds of one step. Raises ValueError where the layout does not cut this job (see `micro_batch_sequences`)."""
    sequences = micro_batch_sequences(job, layout)
    pp, v, m = layout.pp, layout.virtual_stages, layout.micro_batches
    layers = stage_layers(job.shape.num_hidden_layers, pp)
    forward, backward = slowest_stage(job, layout, accelerator, sequences, layers)
    stage = forward + backward

    size = BYTES * sequences * job.sequence * job.shape.hidden_size / layout.cp
    size /= layout.tp if layout.sequence_parallel else 1
    send = collective_seconds("send", size, min(pp, 2), link_of(accelerator, 2, layout.tp * layout.cp))
    filling, steady = 2 * (pp - 1) * send, 2 * m * v * send if pp > 1 else 0.0
    late = max(0.0, steady - m * stage.total)  # sends that outlast the compute they hide behind

    parameters = max(stage_parameters(job.shape, layout.tp, pp, end) for end in {0, pp - 1})
    exposed, hidden = data_parallel_seconds(job, layout, accelerator, parameters, (forward, backward), max(layers))
    owned = parameters / (layout.dp * layout.cp if layout.zero >= 1 else 1)
    moved = job.gradient_bytes + 2 * ADAM + WEIGHT  # gradient read, states read and written, weight written
    work = {
        "matmuls": m * stage.matmuls,
        "elementwise": m * stage.elementwise,
        "tensor_parallel": m * stage.tensor_parallel,
        "context_parallel": m * stage.context_parallel,
        "bubble": (pp - 1) / v * stage.total,
        "pipeline_sends": filling + late,
        "data_parallel": exposed,
        "optimizer": owned * moved / accelerator.read_bandwidth,
    }
    rate = job.tokens / sum(work.values())
    used = mfu(job.shape, rate, job.sequence, layout.accelerators, accelerator.peak_flops)
    return StepTime(
        **work, hidden=hidden + steady - late, tokens=job.tokens, mfu=used, accelerators=layout.accelerators
    )


def slowest_stage(
    job: TrainingJob, layout: Layout, accelerator: Accelerator, sequences: int, layers: tuple[int, ...]
) -> tuple[Seconds, Seconds]:
    """Forward and backward of one micro-batch on the stage that takes longest: a full one, the first, or the last."""
    one = layer_seconds(job, layout, accelerator, sequences)
    embedding = embedding_seconds(job, layout, accelerator, sequences)
    head = head_seconds(job, layout, accelerator, sequences)
    last = len(layers) - 1
    passes = []
    for stage in {0, min(1, last), last}:
        forward, backward = (part.times(layers[stage]) for part in one)
        for extra in ([embedding] if stage == 0 else []) + ([head] if stage == last else []):
            forward, backward = forward + extra[0], backward + extra[1]
        passes.append((forward, backward))
    return max(passes, key=lambda both: both[0].total + both[1].total)


def data_parallel_seconds(
    job: TrainingJob,
    layout: Layout,
    accelerator: Accelerator,
    parameters: float,
    passes: tuple[Seconds, Seconds],
    layers: int,
) -> tuple[float, float]:
    """Seconds of gradients and weights between the dp · cp copies: what shows, and what hides (see the table above).

    Each layer has collectives of its own. However long compute takes, those of one layer show: the last gradient has no
    compute behind it any more, and the first weight none before it.
    """
    copies, m = layout.dp * layout.cp, layout.micro_batches
    inner = min(layout.cp, max(1, accelerator.node_size // layout.tp))
    outer = max(1, accelerator.node_size // (layout.tp * layout.cp * layout.pp))
    link = node_link(accelerator, copies, inner * min(layout.dp, outer))
    forward, backward = (one.matmuls + one.elementwise for one in passes)
    layer, reduce = parameters / layers, "all_reduce" if layout.zero == 0 else "reduce_scatter"
    gather = layers * collective_seconds("all_gather", layer * WEIGHT, copies, link)
    reduce = layers * collective_seconds(reduce, layer * job.gradient_bytes, copies, link)
    traffic = {  # (how often, seconds, compute that it hides behind)
        0: [(1, reduce, backward)],
        1: [(1, reduce, backward), (1, gather, forward)],
        2: [(m, reduce, backward), (1, gather, forward)],
        3: [(m, gather, forward), (m, gather + reduce, backward)],
    }[layout.zero]
    shown = sum(times * max(seconds / layers, seconds - compute) for times, seconds, compute in traffic)
    return shown, sum(times * seconds for times, seconds, _ in traffic) - shown
