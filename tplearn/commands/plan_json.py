"""What `tplearn plan --json` prints: an object whose keys stay; where a number has a unit, its key names it (SI).

| key | |
|---|---|
| model, parameters, purpose | its name, its parameters, "train" or "serve" |
| gpu, gpus, rank_by | the accelerator, how many there are, "time" or "cost" |
| sequence_tokens | tokens of a text |
| price_dollars_per_gpu_hour | null without --price |
| layouts | the best first; as many as --top |
| layouts_that_fit | how many there are |
| refused | list of {reason: tp, pp, cp or memory; count, sizes, example} |
| nearest_miss | of what does not fit in the memory: its sizes, need_bytes, capacity_bytes; null where everything fits |
| explain | with --explain: list of {section, name, arithmetic, value, unit} of the best layout; value in SI units |

A layout to train also says batch_tokens, once, beside `sequence_tokens`, and in each layout: tp, cp, pp, dp, zero,
micro_batches, micro_batch_sequences, virtual_stages, recompute, used_gpus, idle_gpus, step_seconds, step_parts_seconds
(matmuls, elementwise, tensor_parallel, context_parallel, bubble, pipeline_sends, data_parallel, optimizer: their sum is
the step), hidden_seconds, tokens_per_second, mfu, gpu_seconds_per_token, dollars_per_million_tokens, limited_by (parts,
the longest first), memory_stage, memory_bytes, memory_parts_bytes (weights, gradients, optimizer,
gathered, activations, logits), capacity_bytes.

A layout to serve: tp, pp, replicas, used_gpus, idle_gpus, sequences, sequences_per_replica,
sequences_that_fit_per_replica, first_token_seconds, token_seconds, token_parts_seconds (weights or compute, kv_cache,
layers, collectives, pipeline_sends), tokens_per_second, gpu_seconds_per_token, dollars_per_million_tokens, limited_by,
memory_bytes, memory_parts_bytes (weights, kv_cache), capacity_bytes (0.9 of the memory).
"""

from dataclasses import asdict

from tplearn.commands.plan_quantity import Line
from tplearn.commands.plan_question import Question
from tplearn.commands.plan_replicas import FRACTION, Serving
from tplearn.commands.plan_serve import ServePlan
from tplearn.commands.plan_train import TrainPlan
from tplearn.planning import Ranked, TrainingMemory, parameter_count


def train_object(plan: TrainPlan, top: int, lines: list[Line] | None) -> dict[str, object]:
    """The object of a training plan (see above)."""
    question, capacity = plan.question, plan.question.accelerator.memory
    refused = [
        {
            "reason": kind,
            "count": len(those),
            "sizes": sorted({getattr(one, kind) for one in those}) if kind != "memory" else [],
            "example": those[0].reason,
        }
        for kind, those in plan.refused.items()
        if those
    ]
    miss = None
    if plan.nearest:
        sizes = {name: getattr(plan.nearest.layout, name) for name in ("tp", "cp", "pp", "dp", "zero", "recompute")}
        parts = memory_parts(plan.nearest.memory)
        total = plan.nearest.memory.total
        miss = sizes | {"need_bytes": total, "need_parts_bytes": parts, "capacity_bytes": capacity}
    return _object(question, "train", lines) | {
        "batch_tokens": plan.job.tokens,
        "layouts": [_training_layout(plan, one) for one in plan.ranked[:top]],
        "layouts_that_fit": len(plan.ranked),
        "refused": refused,
        "nearest_miss": miss,
    }


def serve_object(plan: ServePlan, top: int, lines: list[Line] | None) -> dict[str, object]:
    """The object of a serving plan (see above)."""
    capacity, refused = FRACTION * plan.question.accelerator.memory, []
    for kind, sizes in (("tp", list(plan.uncut)), ("memory", [one.tp for one in plan.short])):
        if sizes:
            refused.append({"reason": kind, "count": len(sizes), "sizes": sizes, "example": f"tp = {sizes[0]}"})
    near = plan.nearest
    miss = near and {"tp": near.tp, "pp": near.pp, "need_bytes": near.need, "capacity_bytes": capacity}
    return _object(plan.question, "serve", lines) | {
        "layouts": [_serving_layout(plan.question, one) for one in plan.ranked[:top]],
        "layouts_that_fit": len(plan.ranked),
        "refused": refused,
        "nearest_miss": miss,
    }


def memory_parts(memory: TrainingMemory) -> dict[str, float]:
    """Bytes by part."""
    return {name: value for name, value in asdict(memory).items() if name != "stage"}


def limits(parts: dict[str, float]) -> list[str]:
    """What takes time, the longest first."""
    return sorted((name for name, seconds in parts.items() if seconds > 0), key=lambda name: -parts[name])


def _object(question: Question, purpose: str, lines: list[Line] | None) -> dict[str, object]:
    return {
        "model": question.name,
        "parameters": parameter_count(question.shape),
        "purpose": purpose,
        "gpu": question.accelerator.name,
        "gpus": question.gpus,
        "rank_by": question.rank_by,
        "sequence_tokens": question.sequence,
        "price_dollars_per_gpu_hour": question.price,
        **({} if lines is None else {"explain": [asdict(line) for line in lines]}),
    }


def _cost(question: Question, gpu_seconds: float) -> dict[str, float | None]:
    return {
        "gpu_seconds_per_token": gpu_seconds,
        "dollars_per_million_tokens": question.dollars(gpu_seconds * 1e6),
    }


def _training_layout(plan: TrainPlan, one: Ranked) -> dict[str, object]:
    layout, time, memory = asdict(one.layout), one.time, one.memory
    layout.pop("sequence_parallel")  # always
    return layout | {
        "micro_batch_sequences": plan.job.batch // (one.layout.dp * one.layout.micro_batches),
        "used_gpus": one.layout.accelerators,
        "idle_gpus": one.idle,
        "step_seconds": time.total,
        "step_parts_seconds": time.parts,
        "hidden_seconds": time.hidden,
        "tokens_per_second": time.tokens_per_second,
        "mfu": time.mfu,
        **_cost(plan.question, time.accelerator_seconds_per_token),
        "limited_by": limits(time.parts),
        "memory_stage": memory.stage,
        "memory_bytes": memory.total,
        "memory_parts_bytes": memory_parts(memory),
        "capacity_bytes": plan.question.accelerator.memory,
    }


def _serving_layout(question: Question, one: Serving) -> dict[str, object]:
    cache = one.batch * one.room.sequence_bytes
    return {
        "tp": one.tp,
        "pp": one.pp,
        "replicas": one.replicas,
        "used_gpus": one.gpus,
        "idle_gpus": one.idle,
        "sequences": one.sequences,
        "sequences_per_replica": one.batch,
        "sequences_that_fit_per_replica": one.room.sequences,
        "first_token_seconds": one.first_token_seconds,
        "token_seconds": one.token_seconds,
        "token_parts_seconds": one.seconds,
        "tokens_per_second": one.tokens_per_second,
        **_cost(question, one.gpu_seconds_per_token),
        "limited_by": limits(one.seconds),
        "memory_bytes": one.room.weight_bytes + cache,
        "memory_parts_bytes": {"weights": one.room.weight_bytes, "kv_cache": cache},
        "capacity_bytes": FRACTION * question.accelerator.memory,
    }
