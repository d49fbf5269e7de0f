"""The same run_ranks under torchrun: nothing is launched, the function runs in the group that is there."""

import atexit
import math
import os
import warnings
from collections.abc import Callable
from contextlib import ExitStack

import torch
import torch.distributed as dist

from tplearn.forkserver import under_torchrun
from tplearn.ranks.court import Court, open_court
from tplearn.ranks.events import Enter, Event, Returned
from tplearn.ranks.job import inside, of_rank
from tplearn.ranks.ledger import Ledger, Row
from tplearn.ranks.recorder import Recorder, is_recorded
from tplearn.ranks.return_line import ReturnLine
from tplearn.ranks.run import Run
from tplearn.ranks.worker import announce, raised, spans_of

_courts: dict[dist.ProcessGroup, Court | None] = {}  # of the default group, as long as it is the same


def is_started_by_others() -> bool:
    """Whether this process is a rank already: torchrun's, or of a larger group that its own code has initialised."""
    return under_torchrun() or (dist.is_initialized() and dist.get_world_size() > 1)


def run_in_group(
    fn: Callable, world_size: int, args: tuple, kwargs: dict, *, timeout: float, record: bool, profile: bool
) -> Run:
    """Call `fn` on this rank of the group and gather every rank's value and ledger.

    The group is NCCL where each rank has its own GPU, gloo otherwise. Prints go to this process's own output. Recorded
    and judged as ranks that are started here; without record and time limit, torchrun and the backend's timeout watch.
    """
    if not dist.is_initialized():
        join_group()
    if world_size != dist.get_world_size():
        raise ValueError(
            f"world_size = {world_size} does not fit the group of {dist.get_world_size()} ranks that this process is "
            f"in; torchrun --nproc-per-node (times the nodes) = {world_size} works"
        )
    rank = dist.get_rank()
    # `tplearn run` watches already, and ends the whole script where ranks wait in vain: one report, and no time limit.
    court = _court() if (record or timeout < math.inf) and not is_recorded() else None
    rows: list[Row] = []

    def send(event: Event) -> None:
        if isinstance(event, Enter) and event.row.op != "new_group":
            rows.append(event.row)
        if court:
            court.send(event)

    recorder = Recorder(rank, send) if record else None
    args = tuple(of_rank(value, rank) for value in args)
    kwargs = {key: of_rank(value, rank) for key, value in kwargs.items()}
    plain_exit = os._exit
    if court:
        court.begin(timeout, record)
        announce(fn, court.send)
    found: list[UserWarning] = []
    try:
        with ExitStack() as stack:
            profiler = stack.enter_context(torch.profiler.profile()) if profile else None
            if recorder:
                stack.enter_context(recorder.watching())
            stack.enter_context(inside())
            returned = stack.enter_context(ReturnLine(fn))
            value = fn(*args, **kwargs)
    except BaseException as error:
        if court is None:
            raise
        court.end(raised(error))
        raise
    finally:
        os._exit = plain_exit
    if court:
        found = court.end(Returned(*returned.where(), recorder.unwaited() if recorder else ()))
    for warning in found if rank == 0 else []:
        warnings.warn(warning, stacklevel=3)
    gathered: list = [None] * world_size
    dist.all_gather_object(gathered, (value, rows, spans_of(profiler) if profiler else []))
    return Run(
        values=[value for value, _, _ in gathered],
        output=[""] * world_size,
        ledger=Ledger([row for _, own, _ in gathered for row in own]),
        warnings=[str(warning) for warning in found],
        spans=[spans for _, _, spans in gathered],
    )


def _court() -> Court | None:
    group = dist.group.WORLD
    if group not in _courts:
        _courts.clear()
        _courts[group] = open_court()
    return _courts[group]


def has_gpu_for_each_rank() -> bool:
    """Whether every rank that torchrun started on this machine can have a GPU of its own."""
    return torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def join_group(*, gpus: bool = True) -> None:
    """Join torchrun's group: NCCL where each rank has its own GPU, if `gpus` are wanted, gloo otherwise.

    And leave it at exit: a thread of gloo that is still putting a message away when the interpreter ends aborts it.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if gpus and has_gpu_for_each_rank():
        torch.cuda.set_device(local_rank)
        dist.init_process_group("nccl", device_id=torch.device("cuda", local_rank))
    else:
        dist.init_process_group("gloo")
    atexit.register(_leave_group)


def _leave_group() -> None:
    _courts.clear()  # whoever holds the group keeps its threads
    if dist.is_initialized():
        dist.destroy_process_group()
