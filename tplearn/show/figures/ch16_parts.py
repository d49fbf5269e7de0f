"""Seconds of one rank by part, for a prompt, a token or a training step: the numbers behind the explorer's bars."""

from dataclasses import dataclass
from functools import lru_cache

from tplearn.planning import (
    Accelerator,
    Layout,
    ModelShape,
    TrainingJob,
    decode_time,
    kv_heads_per_rank,
    memory_plan,
    prefill_time,
    step_time,
    training_memory,
    weight_bytes_per_rank,
)

PHASES = ("prefill", "decode", "train")


@dataclass(frozen=True)
class Cost:
    """One tp: seconds by part, FLOPs a byte that the rank reads, and whether it fits its memory."""

    tp: int
    parts: dict[str, float]
    intensity: float
    fits: bool

    @property
    def total(self) -> float:
        """Seconds."""
        return sum(self.parts.values())


@lru_cache(maxsize=64)  # the explorer draws every tp, whichever is chosen
def cost_of(shape: ModelShape, card: Accelerator, phase: str, batch: int, tokens: int, tp: int) -> Cost:
    """Seconds of a prompt, a token or a training step of `batch` sequences of `tokens` on tp ranks.

    FLOPs a byte: of the forward pass, over the weights and the KV cache that a rank reads.
    Raises ValueError for a phase that is not in PHASES, and where tp does not cut the model.
    """
    if phase not in PHASES:
        raise ValueError(f"phase = {phase!r} is not known; values that work: {', '.join(PHASES)}")
    kv_heads_per_rank(shape, tp)
    weights, fits = weight_bytes_per_rank(shape, tp), None
    if phase == "decode":
        time = decode_time(shape, card, tp, batch, tokens)
        waits = {"weights": time.weights} if time.weights >= time.compute else {"matmuls": time.compute}
        parts = waits | {"KV cache": time.kv_cache, "kernel starts": time.layers, "collectives": time.collectives}
        read = (time.weights + time.kv_cache) * card.read_bandwidth
        flops = time.compute * card.matmul_flops
    elif phase == "prefill":
        time = prefill_time(shape, card, tp, batch, tokens)
        parts = {"matmuls": time.compute, "collectives": time.collectives}
        read, flops = weights, time.compute * card.matmul_flops
    else:
        job, layout = TrainingJob(shape, tokens, batch), Layout(tp=tp, zero=0)
        step = step_time(job, layout, card)
        rest = step.elementwise + step.optimizer
        parts = {"matmuls": step.matmuls, "norms, optimizer": rest, "collectives": step.tensor_parallel}
        read, flops = weights, step.matmuls * card.matmul_flops / 3
        fits = training_memory(job, layout).total <= card.memory
    if fits is None:
        fits = memory_plan(shape, tp, gpu_bytes=int(card.memory), batch=batch, sequence=tokens).fits
    return Cost(tp, parts, flops / read, fits)
