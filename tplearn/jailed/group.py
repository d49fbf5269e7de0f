"""The process group of a judged rank: what a collective brings is asked of the judge, and there is no other way.

torch calls these methods from C++ and from torch.distributed. What gloo refuses is refused here, in gloo's words where
an answer may have met them.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from tplearn.jailed.handle import ANY, Fill, Handle, check_list, check_sizes, into, into_whole, pieces, reduce_name
from tplearn.jailed.known import tell_autograd
from tplearn.jailed.line import Line

BACKEND = "judged"


def register(line: Line) -> None:
    """Make "judged" a backend of this process. Once, before any group is made."""

    def create(options: Any, _: object) -> JudgedGroup:
        members = options.global_ranks_in_group or range(options.group_size)
        return JudgedGroup(line, options.group_rank, tuple(members), options.group_id)

    dist.Backend.register_backend(BACKEND, create, extended_api=True, devices=["cpu"])


class JudgedGroup(dist.ProcessGroup):
    """One rank's end of a group. members: global ranks."""

    def __init__(self, line: Line, rank: int, members: tuple[int, ...], name: str) -> None:
        super().__init__(rank, len(members))
        self.line, self.own, self.members, self.named = line, rank, members, name

    def getBackendName(self) -> str:  # noqa: N802 (torch's name)
        return BACKEND

    def size(self) -> int:
        return len(self.members)

    @property
    def group_name(self) -> str:
        return self.named

    def _begin(self, op: str, tensors: Sequence[Tensor], results: list[Tensor], fill: Fill, **more: Any) -> Handle:
        with torch.no_grad(), _disable_current_modes():
            for tensor in tensors:
                if tensor.layout != torch.strided:
                    raise RuntimeError(f"{op}: a tensor with layout {tensor.layout}; strided tensors work")
            number = self.line.post(op, self.named, self.members, tensors, **more)
        return Handle(self.line, number, results, fill)

    def _global(self, op: str, what: str, place: int) -> int:
        if not 0 <= place < len(self.members):
            raise ValueError(
                f"{op}: {what} = {place} is no rank of a group of {len(self.members)}; "
                f"ranks 0 to {len(self.members) - 1} work"
            )
        return self.members[place]

    def _other(self, op: str, what: str, place: int) -> int:
        peer = self._global(op, what, place)
        if place == self.own:
            raise ValueError(f"{op}: rank {peer} is the one that calls; gloo has no way from a rank to itself")
        return peer

    # --- one tensor on every rank -----------------------------------------------------------------------------

    def allreduce(self, tensors: list[Tensor], opts: Any = None) -> Handle:
        reduce = reduce_name(opts, tensors)
        tell_autograd(tensors, tensors)
        return self._begin("all_reduce", tensors, tensors, into(tensors), reduce=reduce)

    def allreduce_coalesced(self, tensors: list[Tensor], opts: Any = None) -> Handle:
        return self._begin("all_reduce", tensors, tensors, into(tensors), reduce=reduce_name(opts, tensors))

    def broadcast(self, tensors: list[Tensor], opts: Any) -> Handle:
        root = self._global("broadcast", "src", opts.rootRank)
        tell_autograd(tensors, tensors)
        return self._begin("broadcast", tensors, tensors, into(tensors), root=root)

    def reduce(self, tensors: list[Tensor], opts: Any) -> Handle:
        root = self._global("reduce", "dst", opts.rootRank)
        return self._begin("reduce", tensors, tensors, into(tensors), root=root, reduce=reduce_name(opts, tensors))

    def barrier(self, opts: Any = None) -> Handle:
        return self._begin("barrier", [], [], into([]))

    # --- parts and the whole ----------------------------------------------------------------------------------

    def allgather(self, outputs: list[list[Tensor]], inputs: list[Tensor], opts: Any = None) -> Handle:
        for own, parts in zip(inputs, outputs, strict=True):
            check_list("allgather", "output", parts, len(self.members), own)
        flat = [part for parts in outputs for part in parts]
        return self._begin("all_gather", inputs, flat, into(flat))

    allgather_coalesced = allgather

    def _allgather_base(self, output: Tensor, own: Tensor, opts: Any = None) -> Handle:
        tell_autograd([output], [own])
        return self.allgather_into_tensor_coalesced([output], [own])

    all_gather_single = _allgather_base

    def allgather_into_tensor_coalesced(self, outputs: list[Tensor], inputs: list[Tensor], opts: Any = None) -> Handle:
        for output, own in zip(outputs, inputs, strict=True):
            check_sizes("all_gather", "output", output.numel(), len(self.members) * own.numel())
        return self._begin("all_gather", inputs, outputs, into_whole(outputs, len(self.members)))

    all_gather_single_coalesced = allgather_into_tensor_coalesced

    def reduce_scatter(self, outputs: list[Tensor], inputs: list[list[Tensor]], opts: Any = None) -> Handle:
        if len(inputs) != 1 or len(outputs) != 1:
            raise RuntimeError("reduce_scatter: one output and one list of inputs work")
        check_list("reduce_scatter", "input", inputs[0], len(self.members), outputs[0])
        reduce = reduce_name(opts, inputs[0])
        tell_autograd(outputs, inputs[0])
        return self._begin("reduce_scatter", inputs[0], outputs, into(outputs), reduce=reduce, listed=True)

    def _reduce_scatter_base(self, output: Tensor, whole: Tensor, opts: Any = None) -> Handle:
        tell_autograd([output], [whole])
        return self.reduce_scatter_tensor_coalesced([output], [whole], opts)

    reduce_scatter_single = _reduce_scatter_base

    def reduce_scatter_tensor_coalesced(self, outputs: list[Tensor], inputs: list[Tensor], opts: Any = None) -> Handle:
        for output, whole in zip(outputs, inputs, strict=True):
            check_sizes("reduce_scatter", "input", whole.numel(), len(self.members) * output.numel())
        return self._begin("reduce_scatter", inputs, outputs, into(outputs), reduce=reduce_name(opts, inputs))

    reduce_scatter_single_coalesced = reduce_scatter_tensor_coalesced

    def gather(self, outputs: list[list[Tensor]], inputs: list[Tensor], opts: Any) -> Handle:
        root, flat = self._global("gather", "dst", opts.rootRank), outputs[0] if outputs else []
        if root == self.members[self.own]:
            check_list("gather", "output", flat, len(self.members), inputs[0])
        return self._begin("gather", inputs, flat, into(flat), root=root)

    def scatter(self, outputs: list[Tensor], inputs: list[list[Tensor]], opts: Any) -> Handle:
        root, flat = self._global("scatter", "src", opts.rootRank), inputs[0] if inputs else []
        if root == self.members[self.own]:
            check_list("scatter", "input", flat, len(self.members), outputs[0])
        tell_autograd(outputs, flat)
        return self._begin("scatter", [*outputs, *flat], outputs, into(outputs), root=root)

    def alltoall(self, outputs: list[Tensor], inputs: list[Tensor], opts: Any = None) -> Handle:
        check_sizes("all_to_all", "input list", len(inputs), len(self.members))
        check_sizes("all_to_all", "output list", len(outputs), len(self.members))
        tell_autograd(outputs, inputs)
        return self._begin("all_to_all", inputs, outputs, into(outputs), listed=True)

    def alltoall_base(
        self, output: Tensor, own: Tensor, output_splits: list[int], input_splits: list[int], opts: Any = None
    ) -> Handle:
        parts = list(pieces(output, output_splits, len(self.members)))
        sizes = [piece.numel() for piece in pieces(own, input_splits, len(self.members))]
        return self._begin("all_to_all", [own], [output], into(parts), splits=sizes)

    all_to_all_single = alltoall_base

    # --- from rank to rank ------------------------------------------------------------------------------------

    def send(self, tensors: list[Tensor], to: int, tag: int = 0) -> Handle:
        return self._begin("send", tensors, tensors, into([]), peer=self._other("send", "dst", to), tag=tag)

    def recv(self, tensors: list[Tensor], source: int, tag: int = 0) -> Handle:
        return self._begin("recv", tensors, tensors, into(tensors), peer=self._other("recv", "src", source), tag=tag)

    def recv_anysource(self, tensors: list[Tensor], tag: int = 0) -> Handle:
        return self._begin("recv", tensors, tensors, into(tensors), peer=ANY, tag=tag)
