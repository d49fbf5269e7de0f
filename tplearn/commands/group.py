"""The ranks of a command: started here, or those of torchrun, on the CPU or each on its own GPU."""

import math
import os
from collections.abc import Callable

import torch
import torch.distributed as dist

from tplearn.ranks import run_ranks
from tplearn.ranks.torchrun import join_group

DEVICES = ("auto", "cpu", "cuda")


def on_ranks(fn: Callable, ranks: int | None, device: str, *args: object) -> object:
    """Rank 0's value of fn(*args) on `ranks` ranks; None: those of torchrun, or one.

    Under torchrun gloo or NCCL is chosen by whether each rank has a GPU of its own; device "cpu" forces gloo.
    Raises ValueError for a device that is not there and a number of ranks that torchrun did not start.
    """
    if device not in DEVICES:
        raise ValueError(f"device = {device!r} does not exist; values that work: {', '.join(DEVICES)}")
    started = "RANK" in os.environ
    if device == "cuda" and not (started and torch.cuda.is_available()):
        raise ValueError("device = 'cuda' needs torchrun and a GPU for each rank; device = 'cpu' works here")
    if started and device == "cpu" and not dist.is_initialized():
        join_group(gpus=False)
    if ranks is None:
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
    return run_ranks(fn, ranks, *args, record=False, timeout=math.inf).values[0]


def is_first() -> bool:
    """Whether this process speaks to the user: the only one, or torchrun's rank 0."""
    return os.environ.get("RANK", "0") == "0"


def own_device() -> torch.device:
    """Inside a rank: the device that its group's backend works on."""
    nccl = dist.is_initialized() and dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")


def synchronize() -> None:
    """Wait for this rank's GPU, where it has one: a clock must not stop before the work does."""
    if own_device().type == "cuda":
        torch.cuda.synchronize()
