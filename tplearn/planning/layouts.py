"""Every layout of a training job over N accelerators: what fits, how long a step takes, and why the others do not fit.

For each (tp, cp, pp) dp takes the accelerators that are left. Tried are micro-batches of 1, 2, 4 and 8 sequences, ZeRO
1 to 3, every way to recompute, and 1, 2 or as many interleaved pieces as a stage has layers. The fastest that fits
stands for them all. tp beyond the node is allowed and pays for the network.

The model is no better than its held-out numbers (tests/planning/held_out.json): layouts within 10 % of each other tie.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tplearn.planning.flops import RECOMPUTE
from tplearn.planning.hardware import Accelerator
from tplearn.planning.job import Layout, TrainingJob, stage_layers
from tplearn.planning.memory import tp_sizes
from tplearn.planning.training_memory import TrainingMemory, stage_parameters, state_bytes, training_memory
from tplearn.planning.training_time import StepTime, step_time
from tplearn.sizes import divisors, require_size

MICRO_BATCHES = (1, 2, 4, 8)  # sequences in one
CP_SIZES = (1, 2, 4, 8, 16, 32, 64)
CP_TOKENS = 4096  # of a sequence, at least, on each rank: as in NVIDIA's recipes (Llama 3.1 405B, 8,192 tokens, CP 2)
OBJECTIVES = ("time", "cost")
GB = 1e9


@dataclass(frozen=True)
class Ranked:
    """A layout that fits, its step and its memory. `idle`: accelerators that it leaves unused."""

    layout: Layout
    time: StepTime
    memory: TrainingMemory
    idle: int


@dataclass(frozen=True)
class Refused:
    """Sizes that do not work, and why: `kind` is the size that does not cut the job, or "memory"; a sentence."""

    tp: int
    cp: int
    pp: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Layouts:
    """The best first; and what was refused."""

    ranked: tuple[Ranked, ...]
    refused: tuple[Refused, ...]
    note: str
    """empty, or a sentence that says that no layout uses all accelerators"""


def all_layouts(job: TrainingJob, accelerators: int, accelerator: Accelerator, rank_by: str = "time") -> Layouts:
    """All layouts of at most so many accelerators. `rank_by` "time": tokens/s of the whole; "cost": accelerator-seconds
    a token, of the accelerators that the layout uses, for which smaller dp are tried too.

    Raises ValueError for a number of accelerators below 1, or a `rank_by` that is not in `OBJECTIVES`.
    """
    require_size("accelerators", accelerators, noun="a number of accelerators")
    if rank_by not in OBJECTIVES:
        raise ValueError(f"rank_by = {rank_by!r} is not known; words that work: {', '.join(OBJECTIVES)}")
    ranked: list[Ranked] = []
    refused: dict[str, Refused] = {}  # one for each sentence
    for cut in _cuts(job, accelerators):
        why = _does_not_cut(job, *cut)
        found = None if why else _fastest(job, accelerator, accelerators, cut, rank_by)
        if found is None:
            kind, reason = why or ("memory", _does_not_fit(job, accelerator, accelerators, cut))
            refused.setdefault(reason, Refused(*cut, kind, reason))
        else:
            ranked.append(found)
    ranked.sort(key=lambda one: _price(one.time, rank_by))
    most = max((accelerators - one.idle for one in ranked), default=accelerators)
    note = "" if most == accelerators else f"No layout uses all {accelerators} accelerators; the largest uses {most}."
    return Layouts(tuple(ranked), tuple(refused.values()), note)


def _cuts(job: TrainingJob, accelerators: int) -> Iterator[tuple[int, int, int]]:
    """Sizes to try: tp that cut the model or divide the accelerators; pp that divide what is left, and no others."""
    tps = {*divisors(accelerators), *(tp for tp in tp_sizes(job.shape) if tp <= accelerators)}
    for tp in sorted(tps):
        for cp in cp_sizes(job.sequence):
            for pp in divisors(accelerators // (tp * cp)) if tp * cp <= accelerators else ():
                if pp == 1 or pp <= 2 * job.shape.num_hidden_layers:  # beyond that one sentence says it all
                    yield tp, cp, pp


def cp_sizes(sequence: int) -> list[int]:
    """The cp that are tried for a sequence: each rank keeps `CP_TOKENS` of it, or it is not cut."""
    return [cp for cp in CP_SIZES if cp == 1 or sequence // cp >= CP_TOKENS]


def leanest(job: TrainingJob, accelerators: int, tp: int, cp: int, pp: int) -> Layout:
    """What needs least on so many accelerators: all states sharded over the copies, everything recomputed."""
    dp = _copies(job, accelerators // (tp * cp * pp), "time")[-1]
    return Layout(tp, cp, pp, dp, 3, job.batch // dp, "full")


def _does_not_cut(job: TrainingJob, tp: int, cp: int, pp: int) -> tuple[str, str] | None:
    """Which of these sizes does not cut the job, and why; None where all do."""
    shape = job.shape
    if tp not in tp_sizes(shape):
        return "tp", (
            f"tp = {tp} does not cut {shape.num_attention_heads} heads, {shape.num_key_value_heads} KV heads and "
            f"{shape.intermediate_size} columns into equal parts."
        )
    if pp > shape.num_hidden_layers:
        return "pp", f"pp = {pp} stages are more than the {shape.num_hidden_layers} layers."
    if cp > 1 and job.sequence % (2 * cp):
        return "cp", f"cp = {cp} does not cut a sequence of {job.sequence} tokens into two equal pieces for each rank."
    return None


def _copies(job: TrainingJob, room: int, rank_by: str) -> list[int]:
    """dp to try: the most copies that the batch divides by; for "cost" all of them."""
    works = [dp for dp in divisors(job.batch) if dp <= room]
    return works if rank_by == "cost" else works[-1:]


def _price(time: StepTime, rank_by: str) -> float:
    return time.accelerator_seconds_per_token if rank_by == "cost" else 1 / time.tokens_per_second


def _fastest(
    job: TrainingJob, accelerator: Accelerator, accelerators: int, cut: tuple[int, int, int], rank_by: str
) -> Ranked | None:
    """The best layout of these sizes that fits, None where none does."""
    best, size = None, cut[0] * cut[1] * cut[2]
    ways: dict[tuple[int, int], tuple[str, ...]] = {}
    for dp in _copies(job, accelerators // size, rank_by):
        for layout in _fitting(job, accelerator, Layout(*cut, dp), ways):
            time = step_time(job, layout, accelerator)
            if best is None or _price(time, rank_by) < _price(best[1], rank_by):
                best = layout, time
    if best is None:
        return None
    return Ranked(*best, training_memory(job, best[0]), idle=accelerators - best[0].accelerators)


def _fitting(
    job: TrainingJob, accelerator: Accelerator, sizes: Layout, ways: dict[tuple[int, int], tuple[str, ...]]
) -> Iterator[Layout]:
    """Layouts of these sizes that fit: for each micro-batch, stage of ZeRO and v the one that recomputes least.

    A higher stage of ZeRO sends more. So what fits at one stage is tried at the next ones only with less recomputing.
    The same is true of more copies, which leave fewer micro-batches to each: `ways` takes along what is still worth a
    try, by sequences and v, from few copies to more.
    """
    own, pieces = job.batch // sizes.dp, max(stage_layers(job.shape.num_hidden_layers, sizes.pp))
    interleaved = sorted({v for v in (2, pieces) if pieces % v == 0 and v > 1}) if sizes.pp > 1 else []
    tried = {
        (sequences, v): ways.get((sequences, v), RECOMPUTE)
        for sequences in MICRO_BATCHES
        for v in (1, *interleaved)
        if own % sequences == 0 and (v == 1 or own // sequences % sizes.pp == 0)
    }
    for zero in (1, 2, 3) if sizes.dp * sizes.cp > 1 else (0,):
        if _states(job, sizes, zero) > accelerator.memory:
            continue
        for (sequences, v), worth in tried.items():
            for at, recompute in enumerate(worth):
                layout = Layout(sizes.tp, sizes.cp, sizes.pp, sizes.dp, zero, own // sequences, recompute, v)
                if training_memory(job, layout).total <= accelerator.memory:
                    yield layout
                    tried[sequences, v] = worth[:at]
                    if zero <= 1:
                        ways[sequences, v] = worth[:at]
                    break


def _states(job: TrainingJob, layout: Layout, zero: int) -> float:
    """Bytes of weights, gradients and optimizer on the first stage: what no recomputing makes smaller."""
    parameters = stage_parameters(job.shape, layout.tp, layout.pp, 0)
    return sum(state_bytes(parameters, 0.0, zero, layout.dp * layout.cp, job.gradient_bytes)[:3])


def _does_not_fit(job: TrainingJob, accelerator: Accelerator, accelerators: int, cut: tuple[int, int, int]) -> str:
    """Where the memory goes in the leanest layout of these sizes."""
    layout = leanest(job, accelerators, *cut)
    memory = training_memory(job, layout)
    least = "Sharded over all copies and recomputed in full" if layout.dp * layout.cp > 1 else "Recomputed in full"
    return (
        f"{least}, stage {memory.stage} needs {memory.total / GB:.0f} GB of "
        f"{accelerator.memory / GB:.0f}: weights {memory.weights / GB:.1f}, gradients {memory.gradients / GB:.1f}, "
        f"optimizer {memory.optimizer / GB:.1f}, gathered {memory.gathered / GB:.1f}, "
        f"activations {memory.activations / GB:.1f}, logits {memory.logits / GB:.1f}."
    )
