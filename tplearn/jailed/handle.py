"""What an operation of a judged group gives back, and how what has come is put where it belongs."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from tplearn.jailed.line import Line

ANY = -1
REDUCE_OPS = ("SUM", "AVG", "PRODUCT", "MIN", "MAX", "BAND", "BOR", "BXOR")
Fill = Callable[[list[Tensor]], None]


class Handle(dist._Work):
    """What an operation gives back. fill: puts what has come where it belongs."""

    def __init__(self, line: Line, number: int, results: list[Tensor], fill: Fill) -> None:
        super().__init__()
        self.line, self.number, self.results, self.fill = line, number, results, fill
        self.over, self.source = False, ANY

    def wait(self, timeout: object = None) -> bool:
        """Until everybody has come."""
        if not self.over:
            arrived, self.source = self.line.wait(self.number)
            with torch.no_grad(), _disable_current_modes():
                self.fill(arrived)
            self.over = True
        return True

    def is_completed(self) -> bool:
        """Whether everybody has come; then the results are there."""
        return self.over or (self.line.test(self.number) and self.wait())

    def is_success(self) -> bool:
        return self.is_completed()

    def synchronize(self) -> None:
        self.wait()

    def result(self) -> list[Tensor]:
        self.wait()
        return self.results

    def get_future(self) -> torch.futures.Future:
        self.wait()
        future: torch.futures.Future = torch.futures.Future()
        future.set_result(self.results)
        return future

    def source_rank(self) -> int:
        """Of a recv from any rank: whose it was, as a rank of the group."""
        return self.source

    _source_rank = source_rank


def reduce_name(opts: Any, tensors: list[Tensor]) -> str:
    """SUM, MAX, … of an operation's options, which hold a ReduceOp or a RedOpType."""
    given = dist.ReduceOp.SUM if opts is None else opts.reduceOp
    name = next((name for name in REDUCE_OPS if given == getattr(dist.ReduceOp, name)), None)
    if name is None:
        raise RuntimeError(f"reduce op {given} works with NCCL only; {', '.join(REDUCE_OPS)} work")
    if name in ("BAND", "BOR", "BXOR") and any(tensor.is_floating_point() or tensor.is_complex() for tensor in tensors):
        raise RuntimeError(f"Cannot use ReduceOp.{name} with non-integral dtype")
    return name


def into(tensors: list[Tensor]) -> Fill:
    """Each tensor is filled with one that comes; on a rank to which nothing comes, none is."""

    def fill(arrived: list[Tensor]) -> None:
        if not arrived:
            return
        for tensor, came in zip(tensors, arrived, strict=True):
            check_sizes("what has come", "size", came.numel(), tensor.numel())
            tensor.data.copy_(came.view(tensor.shape))  # .data: like gloo, unseen by autograd

    return fill


def into_whole(tensors: list[Tensor], ranks: int) -> Fill:
    """Each tensor is filled with the parts of all ranks, in their order."""

    def fill(arrived: list[Tensor]) -> None:
        for k, tensor in enumerate(tensors):
            parts = arrived[k * ranks : (k + 1) * ranks]
            tensor.data.copy_(torch.cat([part.flatten() for part in parts]).view(tensor.shape))

    return fill


def pieces(tensor: Tensor, splits: list[int], ranks: int) -> tuple[Tensor, ...]:
    """A tensor cut along its first dimension, into equal parts where no splits are given."""
    if splits:
        if sum(splits) != tensor.shape[0] or len(splits) != ranks:
            raise RuntimeError("Split sizes doesn't match total dim 0 size")
        return tensor.detach().split(splits)
    if tensor.shape[0] % ranks:
        raise RuntimeError("Tensor's dim 0 does not divide equally across group size")
    return tensor.detach().split([tensor.shape[0] // ranks] * ranks)


def check_list(op: str, what: str, parts: list[Tensor], ranks: int, own: Tensor) -> None:
    if len(parts) != ranks:
        raise RuntimeError(
            f"ProcessGroupGloo::{op}: invalid {what} tensor list at index 0 (expected length {ranks}, got {len(parts)})"
        )
    for k, part in enumerate(parts):
        if part.shape != own.shape:
            sizes = ", ".join(map(str, own.shape)), ", ".join(map(str, part.shape))
            text = f"invalid tensor size at index {k} (expected ({sizes[0]}), got ({sizes[1]}))"
            raise RuntimeError(f"ProcessGroupGloo::{op}: {text}")


def check_sizes(op: str, what: str, got: int, due: int) -> None:
    if got != due:
        raise RuntimeError(f"{op}: its {what} has {got} entries, where {due} are due")
