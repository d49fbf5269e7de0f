"""Bytes on the fullest accelerator of a training layout: weights, gradients, optimizer, activations, logits.

| a parameter's bytes | whole | shared out from ZeRO stage |
|---|---|---|
| weight, bf16 | 2 | 3 |
| gradient | 4 (float32) or 2 | 2 |
| Adam: float32 copy, two moments | 12 | 1 |

With float32 gradients that is 18, and 6 + 12 / d over d copies with stage 1, as Megatron-LM's distributed optimizer has
it. Source of the stages: Rajbhandari et al., arXiv:1910.02054.
"""

from dataclasses import dataclass

from tplearn.planning.activations import activation_bytes
from tplearn.planning.job import Layout, TrainingJob, micro_batch_sequences, stage_layers
from tplearn.planning.memory import parameter_breakdown
from tplearn.planning.models import ModelShape

WEIGHT, ADAM = 2, 12
LOGIT = 2 + 4  # bf16, and the float32 copy that the softmax makes and that becomes the gradient


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on one accelerator, the fullest of its layout."""

    stage: int
    """the pipeline stage that it belongs to"""
    weights: float
    gradients: float
    optimizer: float
    gathered: float
    """ZeRO 2 and 3: the layers whose weights or gradients are whole while they are computed"""
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.gathered + self.activations + self.logits


def layer_parameters(shape: ModelShape, tp: int) -> int:
    """Parameters of one layer on one rank of tp."""
    return _layer(shape, parameter_breakdown(shape, tp))


def stage_parameters(shape: ModelShape, tp: int, pp: int, stage: int) -> int:
    """Parameters on one rank of tp of a pipeline stage: its layers, on the first the embedding, on the last the head.

    A tied head is a second copy of the embedding where first and last stage differ.
    """
    return _on_stage(shape, parameter_breakdown(shape, tp), stage_layers(shape.num_hidden_layers, pp), stage)


def _on_stage(shape: ModelShape, parts: dict[str, int], layers: tuple[int, ...], stage: int) -> int:
    """Of a rank that stores these `parts`; `layers`: of each stage."""
    pp, total = len(layers), layers[stage] * _layer(shape, parts)
    if stage == 0:
        total += parts["embedding"]
    if stage == pp - 1:
        total += shape.hidden_size + (parts["lm_head"] if pp == 1 else parts["embedding"])
    return total


def _layer(shape: ModelShape, parts: dict[str, int]) -> int:
    return (parts["attention"] + parts["mlp"] + parts["norms"] - shape.hidden_size) // shape.num_hidden_layers


def state_bytes(parameters: float, layer: float, zero: int, copies: int, gradient_bytes: int) -> tuple[float, ...]:
    """Bytes of weights, gradients, optimizer and gathered layers, of so many parameters on a rank that has `copies`.

    `layer`: parameters of one layer. While one is computed the next is fetched, so with ZeRO 3 two are whole.
    """
    gathered = layer * ((2 * WEIGHT if zero == 3 else 0) + (gradient_bytes if zero >= 2 else 0)) * (1 - 1 / copies)
    return (
        parameters * WEIGHT / (copies if zero >= 3 else 1),
        parameters * gradient_bytes / (copies if zero >= 2 else 1),
        parameters * ADAM / (copies if zero >= 1 else 1),
        gathered,
    )


def layers_in_flight(layers: int, stage: int, pp: int, micro_batches: int, virtual_stages: int = 1) -> float:
    """Layers times micro-batches whose activations a pipeline rank keeps at the worst moment of 1F1B.

    Rank r warms up with p − r micro-batches, however many there are. Interleaved with v pieces of the model, it is
    2 (p − r − 1) + (v − 1) p + 1 pieces (arXiv:2104.04473, section 2.2; arXiv:2205.05198, section 4.2.3).
    """
    if virtual_stages == 1 or pp == 1:
        return min(micro_batches, pp - stage) * layers
    pieces = 2 * (pp - stage - 1) + (virtual_stages - 1) * pp + 1
    return min(micro_batches * virtual_stages, pieces) * layers / virtual_stages


def training_memory(job: TrainingJob, layout: Layout) -> TrainingMemory:
    """The fullest accelerator. Raises ValueError where the layout does not cut this job (see `micro_batch_sequences`).

    Not counted: what the driver, the communication library and fragments take. With full recomputation one layer's
    tensors come back whole while its backward runs.
    """
    sequences = micro_batch_sequences(job, layout)
    shape, tp, pp = job.shape, layout.tp, layout.pp
    tokens = sequences * job.sequence / layout.cp
    how = {"sequence_parallel": layout.sequence_parallel, "flash_attention": job.flash_attention}
    kept = activation_bytes(shape, tokens, job.sequence, tp, recompute=layout.recompute, **how)
    again = activation_bytes(shape, tokens, job.sequence, tp, **how) - kept if layout.recompute == "full" else 0.0
    parts, layers = parameter_breakdown(shape, tp), stage_layers(shape.num_hidden_layers, pp)
    logits = LOGIT * tokens * parts["embedding"] / shape.hidden_size
    copies, layer = layout.dp * layout.cp, _layer(shape, parts)

    def of_stage(stage: int) -> tuple[float, ...]:
        parameters = _on_stage(shape, parts, layers, stage)
        states = state_bytes(parameters, layer, layout.zero, copies, job.gradient_bytes)
        flying = layers_in_flight(layers[stage], stage, pp, layout.micro_batches, layout.virtual_stages)
        return (*states, flying * kept + again, logits if stage == pp - 1 else 0.0)

    # The first keeps most micro-batches, the second may have a layer more, the last has the logits.
    stages = {stage: of_stage(stage) for stage in {0, min(1, pp - 1), pp - 1}}
    fullest = max(stages, key=lambda stage: sum(stages[stage]))
    return TrainingMemory(fullest, *stages[fullest])
