"""The bubble, measured: stages that only sleep, so that what is left of the time is waiting; and what theory says."""

import time
from collections.abc import Callable, Sequence
from statistics import linear_regression

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from tplearn.pipeline.engine import make_schedule
from tplearn.pipeline.kinds import kind_of
from tplearn.ranks import run_ranks
from tplearn.sizes import require_size

WIDTH = 4  # numbers in a micro-batch: too few to take time


def idle_in_theory(p: int, m: int, v: int = 1) -> float:
    """The bubble's share of a whole step, (p − 1) / (v m + p − 1), for p ranks, m micro-batches and v stages a rank.

    v = 1: GPipe and 1F1B; above: interleaved. Narayanan et al. 2021, sections 2.2.1 and 2.2.2, divide the same time by
    the ideal step instead of the whole one, and get (p − 1) / (v m): ask which is meant.
    """
    p, m, v = require_size("p", p, noun="a number of ranks"), require_size("m", m), require_size("v", v)
    return (p - 1) / (v * m + p - 1)


def step_seconds(
    schedule: str,
    p: int,
    micro_batches: Sequence[int],
    v: int | None = None,
    *,
    forward: float = 0.02,
    backward: float = 0.04,
    repeats: int = 2,
) -> dict[int, float]:
    """{m: seconds} of a step on p ranks: from the first rank's start to the last one's end, the shortest of `repeats`.

    forward, backward: seconds that a rank sleeps for a micro-batch, in all its v stages together. Whatever else the
    machine does can only add to a time, so the shortest says most. Raises ValueError as `make_schedule` does.
    """
    kind = kind_of(schedule)
    for m in micro_batches:
        kind.require_micro_batches(m, p, v)
    v, sleeps = kind.stages_per_rank(v), (forward, backward)
    by_rank = run_ranks(_timed, p, schedule, tuple(micro_batches), v, sleeps, repeats, record=False).values
    taken = {}
    for m in micro_batches:
        runs = zip(*(told[m] for told in by_rank), strict=True)  # each: (start, stop) by rank
        taken[m] = min(max(stop for _, stop in run) - min(start for start, _ in run) for run in runs)
    return taken


def measured_idle(seconds: dict[int, float]) -> dict[int, float]:
    """{m: the bubble's share of the step} from {m: seconds}, 1 − m · slot / T.

    slot: what one micro-batch more costs, the slope of T over m. It is more than the sleep, for a sleep ends late and a
    message takes time; with the nominal one everything would count as bubble. Raises ValueError for a single m.
    """
    if len(seconds) < 2:
        raise ValueError(f"times of {len(seconds)} numbers of micro-batches have no slope; two and more work")
    slot = linear_regression(list(seconds), list(seconds.values())).slope
    return {m: 1 - m * slot / taken for m, taken in seconds.items()}


class _Sleep(Function):
    """x as it is, after a sleep, each way."""

    @staticmethod
    def forward(ctx, x: Tensor, forward: float, backward: float) -> Tensor:  # noqa: ANN001
        ctx.backward_seconds = backward
        time.sleep(forward)
        return x.clone()

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        time.sleep(ctx.backward_seconds)
        return grad_output, None, None


class _SleepingStage(nn.Module):
    """A stage with one weight, so that there is a gradient to wait for."""

    def __init__(self, forward: float, backward: float) -> None:
        super().__init__()
        self.weight, self.sleeps = nn.Parameter(torch.ones(WIDTH)), (forward, backward)

    def forward(self, x: Tensor) -> Tensor:
        return _Sleep.apply(x * self.weight, *self.sleeps)


def _timed(
    schedule: str, micro_batches: tuple[int, ...], v: int, sleeps: tuple[float, float], repeats: int
) -> dict[int, list[tuple[float, float]]]:
    """On a rank: {m: (start, stop) of each repeat}, on the clock that all processes of a machine share."""
    from torch.distributed.pipelining import PipelineStage  # takes a second

    rank, p = dist.get_rank(), dist.get_world_size()
    numbers, told = kind_of(schedule).stages_of(rank, p, v), {}
    for m in micro_batches:
        parts = [_SleepingStage(*(seconds / v for seconds in sleeps)) for _ in numbers]
        stages = [
            PipelineStage(part, number, p * v, torch.device("cpu")) for part, number in zip(parts, numbers, strict=True)
        ]
        run = make_schedule(schedule, stages, m, lambda output, target: (output - target).square().mean())
        x = [torch.ones(m, WIDTH)] if 0 in numbers else []
        target = {"target": torch.zeros(m, WIDTH)} if p * v - 1 in numbers else {}
        spans = [_span(lambda run=run, x=x, target=target: run.step(*x, **target)) for _ in range(repeats + 1)]
        told[m] = spans[1:]  # in the first the stages tell each other shapes
    return told


def _span(step: Callable[[], object]) -> tuple[float, float]:
    dist.barrier()
    start = time.perf_counter()
    step()
    return start, time.perf_counter()
