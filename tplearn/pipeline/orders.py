"""What each rank of a pipeline computes, one thing after the other: the order of every schedule, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tplearn.pipeline.kinds import Kind, kind_of

FORWARD, BACKWARD, OF_INPUT, OF_WEIGHT = "F", "B", "I", "W"  # torch's letters; I and W are the two halves of B


@dataclass(frozen=True)
class Action:
    """One stage's work on one micro-batch: forward, backward, or half of a backward."""

    kind: str
    stage: int
    micro_batch: int

    def __str__(self) -> str:
        """As torch writes it: 2F0 is stage 2, forward, micro-batch 0."""
        return f"{self.stage}{self.kind}{self.micro_batch}"


Order = list[list[Action]]  # by rank


def order(schedule: str, p: int, m: int, v: int | None = None) -> Order:
    """The actions of each of p ranks, for m micro-batches and v stages on a rank.

    GPipe (Huang et al. 2019) and 1F1B (Narayanan et al. 2021, section 2.2.1) are written out here. The others are read
    from torch's own classes, which also run them.

    Raises ValueError for an unknown schedule, and for numbers that it cannot run with.
    """
    kind = kind_of(schedule)
    m, v = kind.require_micro_batches(m, p, v), kind.stages_per_rank(v)
    if kind.name == "GPipe":
        return [_gpipe(rank, m) for rank in range(p)]
    if kind.name == "1F1B":
        return [_one_f_one_b(rank, p, m) for rank in range(p)]
    return _of_torch(kind, p, m, v)


def _gpipe(rank: int, m: int) -> list[Action]:
    return [Action(kind, rank, number) for kind in (FORWARD, BACKWARD) for number in range(m)]


def _one_f_one_b(rank: int, p: int, m: int) -> list[Action]:
    """p − rank forwards to warm up, then a backward and a forward by turns, then the backwards that are left."""
    warm = p - rank
    actions = [Action(FORWARD, rank, number) for number in range(warm)]
    for number in range(m):
        actions.append(Action(BACKWARD, rank, number))
        if warm + number < m:
            actions.append(Action(FORWARD, rank, warm + number))
    return actions


@dataclass
class _Drawn:
    """All that torch's schedules ask of a stage before they run it."""

    group_size: int
    num_stages: int
    group_rank: int = 0
    submod: None = None


def _of_torch(kind: Kind, p: int, m: int, v: int) -> Order:
    from torch.distributed.pipelining.schedules import get_schedule_class  # takes a second

    made = get_schedule_class(kind.name)([_Drawn(p, p * v) for _ in range(v)], m)
    by_rank: Order = []
    for rank in range(p):
        actions = [action for action in made.pipeline_order[rank] if action is not None]
        single = [one for action in actions for one in action.sub_actions or (action,)]  # DualPipeV names pairs
        by_rank.append([Action(a.computation_type.value, a.stage_index, a.microbatch_index) for a in single])
    return by_rank
