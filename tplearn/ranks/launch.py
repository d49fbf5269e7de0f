"""run_ranks: a function on n fresh processes, with values, prints and ledger, or one report of what went wrong."""

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tplearn.ranks import torchrun
from tplearn.ranks.drive import drive
from tplearn.ranks.errors import RankError
from tplearn.ranks.job import INSIDE, PerRank, is_inside
from tplearn.ranks.run import Run
from tplearn.ranks.supervise import Supervisor


@dataclass(frozen=True)
class Call:
    """A function, how many ranks it runs on, and what it is given."""

    fn: Callable
    world_size: int
    args: tuple = ()


def run_ranks(
    fn: Callable,
    world_size: int,
    *args: object,
    timeout: float = 60.0,
    record: bool = True,
    profile: bool = False,
    **kwargs: object,
) -> Run:
    """Run `fn(*args, **kwargs)` on `world_size` fresh processes that form one gloo group, and wait for all.

    Args:
        fn: any function, also one defined in a notebook. `torch.distributed` is initialised when it starts.
        world_size: number of ranks, at least 1.
        *args, **kwargs: given to every rank; `per_rank([a, b, …])` gives rank r the r-th value.
        timeout: wall-clock limit in seconds.
        record: keep the ledger and diagnose hangs. Off only to measure speed: then only the time limit is left.
        profile: keep torch.profiler's spans for `run.timeline()`.

    Returns:
        Run: values, output, ledger by rank. Tensors come back without their autograd graph.

    Raises:
        RankFailed, RankDied, Deadlock, CollectiveMismatch, RankTimeout: all are RankError, with one report.
        ValueError: a bad world size, timeout or per_rank argument.

    Under torchrun, or in a group that your own code has initialised, nothing is launched: `fn` runs in the group that
    is there, and the values of all ranks are gathered on each.
    """
    _check_call(fn, world_size, timeout, [*args, *kwargs.values()])
    if torchrun.is_started_by_others():
        return torchrun.run_in_group(fn, world_size, args, kwargs, timeout=timeout, record=record, profile=profile)
    if "RANK" in os.environ and INSIDE not in os.environ:
        warnings.warn(
            f"RANK = {os.environ['RANK']} is in the environment, but torchrun has not set it (TORCHELASTIC_RUN_ID is "
            f"missing): {world_size} new ranks are started. To use the ranks of another launcher, call "
            "torch.distributed.init_process_group() before run_ranks.",
            stacklevel=2,
        )
    with _folder() as folder:
        supervisor = Supervisor(world_size, folder, timeout, record)
        (outcome,) = drive([supervisor.run(fn, args, kwargs, profile)])
    if isinstance(outcome, RankError):
        raise outcome
    for warning in supervisor.warnings:
        warnings.warn(warning, stacklevel=2)
    return outcome


def run_side_by_side(calls: Sequence[Call], timeout: float = 60.0) -> list[Run | RankError]:
    """All calls at once, each on fresh ranks of its own: what `run_ranks` gives of each, or the error it would raise.

    Most of a run that fails is waiting. Ranks are always started here, also under torchrun.
    """
    for call in calls:
        _check_call(call.fn, call.world_size, timeout, list(call.args))
    with contextlib.ExitStack() as folders:
        runs = []
        for call in calls:
            supervisor = Supervisor(call.world_size, folders.enter_context(_folder()), timeout, record=True)
            runs.append(supervisor.run(call.fn, call.args, {}, profile=False))
        return drive(runs)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """What a run's processes share, gone at its end."""
    folder = tempfile.mkdtemp(prefix="tplearn-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_call(fn: object, world_size: object, timeout: float, arguments: list[object]) -> None:
    if is_inside():
        raise ValueError(
            "run_ranks was called by a rank of another run_ranks, and a rank cannot start ranks; call the function "
            "itself, or call run_ranks again after the outer call has returned"
        )
    if not callable(fn):
        raise ValueError(
            f"fn = {_short(fn)} cannot be run; a function works: the function itself, as in run_ranks(f, 2, x), and "
            "not f(x), which is what it returns"
        )
    if not isinstance(world_size, int) or isinstance(world_size, bool) or world_size < 1:
        raise ValueError(f"world_size = {world_size!r} ranks cannot be started; whole numbers from 1 work")
    if not timeout > 0:
        raise ValueError(f"timeout = {timeout!r} leaves no time; seconds above 0 work")
    for argument in arguments:
        if isinstance(argument, PerRank) and len(argument.values) != world_size:
            raise ValueError(
                f"per_rank has {len(argument.values)} values for world_size = {world_size} ranks; "
                f"{world_size} values work"
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
