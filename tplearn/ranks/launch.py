"""run_ranks: a function on n fresh processes, with values, prints and ledger, or one report of what went wrong."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from tplearn.ranks import torchrun
from tplearn.ranks.errors import CollectiveOrderWarning
from tplearn.ranks.run import Run
from tplearn.ranks.supervise import Supervisor
from tplearn.ranks.worker import PerRank


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

    Under torchrun (`RANK` in the environment) nothing is launched: `fn` runs in the group that is there, and the
    values of all ranks are gathered on each.
    """
    _check_arguments(fn, world_size, timeout, [*args, *kwargs.values()])
    if "RANK" in os.environ:
        return torchrun.run_in_group(fn, world_size, args, kwargs, record=record)
    folder = tempfile.mkdtemp(prefix="tplearn-")
    try:
        supervisor = Supervisor(world_size, Path(folder), timeout, record)
        run = supervisor.run(fn, args, kwargs, profile)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for warning in run.warnings:
        warnings.warn(warning, CollectiveOrderWarning, stacklevel=2)
    return run


def _check_arguments(fn: object, world_size: object, timeout: float, arguments: list[object]) -> None:
    if not callable(fn):
        raise ValueError(f"fn = {fn!r} cannot be run; a function works")
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
