"""`tplearn plan --for train`: the layouts that fit, best first, what takes their time, and why others do not fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tplearn.commands.plan_question import TrainQuestion, whole_cp_sizes
from tplearn.planning import (
    Layout,
    Ranked,
    Refused,
    TrainingJob,
    TrainingMemory,
    all_layouts,
    tp_sizes,
    training_memory,
)
from tplearn.planning.layouts import leanest
from tplearn.sizes import divisors

KINDS = {
    "tp": "TP that does not cut the model",
    "pp": "more stages than layers",
    "cp": "CP that does not cut the sequence",
    "memory": "more memory than an accelerator has",
}


@dataclass(frozen=True)
class Miss:
    """A cut that does not fit, as lean as it gets: weights sharded over all copies, everything recomputed."""

    layout: Layout
    memory: TrainingMemory


@dataclass(frozen=True)
class TrainPlan:
    """The best layout first; `refused` by kind of reason, one for each sentence; `nearest`: what misses by least."""

    question: TrainQuestion
    job: TrainingJob
    ranked: tuple[Ranked, ...]
    refused: dict[str, tuple[Refused, ...]]
    nearest: Miss | None
    note: str


def plan_training(question: TrainQuestion) -> TrainPlan:
    """Every layout that fits. Raises ValueError where none does: it says the fewest accelerators that would do."""
    job = question.job
    found = all_layouts(job, question.gpus, question.accelerator, question.rank_by)
    ranked = tuple(one for one in found.ranked if _wanted(question, one.layout))
    refused = {kind: tuple(one for one in found.refused if one.kind == kind) for kind in KINDS}
    layouts = [
        leanest(job, question.gpus, one.tp, one.cp, one.pp) for one in refused["memory"] if _wanted(question, one)
    ]
    misses = [Miss(layout, training_memory(job, layout)) for layout in layouts]
    nearest = min(misses, key=lambda miss: miss.memory.total, default=None)
    if not ranked:
        cuts = [*(one.layout for one in found.ranked), *refused["memory"]]
        raise ValueError(_why_none(question, cuts, nearest))
    return TrainPlan(question, job, ranked, refused, nearest, found.note)


def smallest(question: TrainQuestion) -> Layout | None:
    """The layout of the fewest accelerators that fits, of the cuts that `all_layouts` tries; None where none does."""
    job, room = question.job, question.accelerator.memory
    fewest_first = sorted(_leanest_layouts(question), key=lambda layout: (layout.accelerators, -layout.tp))
    return next((layout for layout in fewest_first if training_memory(job, layout).total <= room), None)


def _leanest_layouts(question: TrainQuestion) -> Iterator[Layout]:
    job = question.job
    for tp in tp_sizes(job.shape) if question.tp is None else [question.tp]:
        for cp in whole_cp_sizes(job.sequence) if question.cp is None else [question.cp]:
            for pp in range(1, job.shape.num_hidden_layers + 1) if question.pp is None else [question.pp]:
                for dp in divisors(job.batch):
                    for zero in (1, 2, 3):  # with few copies, the layers that ZeRO 3 gathers can be more than it saves
                        yield Layout(tp, cp, pp, dp, zero, job.batch // dp, "full")


def _wanted(question: TrainQuestion, cut: Layout | Refused) -> bool:
    """Whether it has the sizes that were typed."""
    fixed = (question.tp, question.cp, question.pp)
    return all(size in (None, own) for size, own in zip(fixed, (cut.tp, cut.cp, cut.pp), strict=True))


def _why_none(question: TrainQuestion, tried: list[Layout | Refused], nearest: Miss | None) -> str:
    """The refusal, in one sentence."""
    gpus, name, typed = question.gpus, question.accelerator.name, _typed(question)
    if nearest is None:
        free = replace(question, pp=None)
        works = ", ".join(str(pp) for pp in sorted({cut.pp for cut in tried if _wanted(free, cut)}))
        return f"{typed}: PP must divide the accelerators that TP and CP leave; PP that work: {works}"
    enough = smallest(question)
    works = "a shorter --seq or another --gpu may work"
    if enough:
        works = f"{enough.accelerators} {name} work ({cut_name(enough)})"
    return (
        f"{typed}: {question.name} does not fit on {gpus} {name} to train it; nearest is {cut_name(nearest.layout)}, "
        f"which needs {nearest.memory.total / 1e9:.1f} GB of {question.accelerator.memory / 1e9:.0f} with everything "
        f"sharded and recomputed; {works}"
    )


def _typed(question: TrainQuestion) -> str:
    sizes = {"tp": question.tp, "cp": question.cp, "pp": question.pp}
    return " ".join([f"--gpus {question.gpus}", *(f"--{name} {size}" for name, size in sizes.items() if size)])


def cut_name(layout: Layout) -> str:
    """ "TP 8, PP 16, DP 128": sizes of 1 left out."""
    sizes = {"TP": layout.tp, "CP": layout.cp, "PP": layout.pp, "DP": layout.dp}
    return ", ".join(f"{name} {size}" for name, size in sizes.items() if size > 1) or "one accelerator"
