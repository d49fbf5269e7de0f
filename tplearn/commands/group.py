"""The ranks of a command: started here, or those of torchrun, on the CPU or each on its own GPU."""

import math
import os
from collections.abc import Callable

import torch
import torch.distributed as dist

from tplearn.commands.options import require
from tplearn.forkserver import under_torchrun
from tplearn.ranks import run_ranks
from tplearn.ranks.torchrun import has_gpu_for_each_rank, join_group

DEVICES = ("auto", "cpu", "cuda")


def require_device(device: str) -> None:
    """Raises ValueError for a device that does not exist, or is not here."""
    require("device", device, device in DEVICES, f"values that work: {', '.join(DEVICES)}")
    cuda = under_torchrun() and has_gpu_for_each_rank()
    require(
        "device", device, cuda or device != "cuda", "needs torchrun and a GPU for each rank; --device cpu works here"
    )


def number_of_ranks(typed: int | None, option: str) -> int:
    """As typed; where nothing was, those of torchrun, or one. Raises ValueError where torchrun started other ones."""
    if typed is not None:
        require(option, typed, typed >= 1, "numbers from 1 work")
    if not under_torchrun():
        return typed or 1
    text = os.environ.get("WORLD_SIZE", "1")
    if not text.isdecimal():
        raise ValueError(f"WORLD_SIZE = {text!r} in the environment is no number of ranks; what torchrun sets works")
    if typed not in (None, int(text)):
        raise ValueError(f"--{option} asks for {typed} ranks, and torchrun started {text}; {text} work")
    return int(text)


def on_ranks(fn: Callable, ranks: int, device: str, *args: object) -> object:
    """Rank 0's value of fn(*args) on so many ranks.

    Under torchrun gloo or NCCL is chosen by whether each rank has a GPU of its own; device "cpu" forces gloo.
    """
    if under_torchrun() and device == "cpu" and not dist.is_initialized():
        join_group(gpus=False)
    return run_ranks(fn, ranks, *args, record=False, timeout=math.inf).values[0]


def is_first() -> bool:
    """Whether this process speaks to the user: the only one, or torchrun's rank 0."""
    return not under_torchrun() or os.environ["RANK"] == "0"


def own_device() -> torch.device:
    """Inside a rank: the device that its group's backend works on."""
    nccl = dist.is_initialized() and dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")


def synchronize() -> None:
    """Wait for this rank's GPU, where it has one: a clock must not stop before the work does."""
    if own_device().type == "cuda":
        torch.cuda.synchronize()
