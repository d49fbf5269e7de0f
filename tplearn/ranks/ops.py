"""What a torch.distributed operator is about to do, read from its arguments: op, group, tensors, root, peer, tag.

Plain, async, point-to-point, object and functional collectives, DTensor, DDP and FSDP all end in the namespaces `c10d`,
`_c10d_functional` and `_dtensor`.
"""

from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import ProcessGroup
from torch.distributed import distributed_c10d

from tplearn.ranks.mail import ANY

NAMESPACES = ("c10d", "_c10d_functional", "_dtensor")
# Operator name (without underscores at its ends) -> the field's name.
OP_NAMES = {
    "allreduce": "all_reduce",
    "allreduce_coalesced": "all_reduce",
    "all_reduce_coalesced": "all_reduce",
    "allgather": "all_gather",
    "allgather_base": "all_gather",
    "allgather_coalesced": "all_gather",
    "allgather_into_tensor_coalesced": "all_gather",
    "all_gather_into_tensor": "all_gather",
    "all_gather_into_tensor_out": "all_gather",
    "all_gather_into_tensor_coalesced": "all_gather",
    "reduce_scatter_base": "reduce_scatter",
    "reduce_scatter_tensor": "reduce_scatter",
    "reduce_scatter_tensor_out": "reduce_scatter",
    "reduce_scatter_tensor_coalesced": "reduce_scatter",
    "alltoall": "all_to_all",
    "alltoall_base": "all_to_all",
    "all_to_all_single": "all_to_all",
    "shard_dim_alltoall": "all_to_all",
    "monitored_barrier": "barrier",
    "recv_any_source": "recv",
    "isend": "send",
    "irecv": "recv",
}
NOT_COLLECTIVES = {"wait_tensor", "check_for_nan", "batch_p2p_ops"}
REDUCE_OPS = {
    int(getattr(dist.ReduceOp, name)): name for name in ("SUM", "AVG", "PRODUCT", "MIN", "MAX", "BAND", "BOR", "BXOR")
}
CONTRIBUTION = ("input_tensors", "input_tensor", "input_list", "inputs", "input", "tensors", "tensor")
FILLED = ("output_tensors", "output_tensor", "output_lists", "outputs", "output", "tensors", "tensor")


@dataclass(frozen=True)
class Call:
    """One call of a collective. Root and peer are global ranks; `brought` is filled with what comes from others.

    asynchronous: it gives back a handle, or a result that must be waited for.
    """

    op: str
    group: ProcessGroup
    ranks: tuple[int, ...]
    tensors: list[Tensor]
    brought: list[Tensor]
    asynchronous: bool = False
    reduce_op: str | None = None
    root: int | None = None
    peer: int | None = None
    tag: int = 0

    @property
    def shape(self) -> tuple[int, ...] | None:
        """One tensor's shape; k equal ones as [k, ...]; unequal ones as their total length."""
        if not self.tensors:
            return None
        shapes = {tuple(tensor.shape) for tensor in self.tensors}
        if len(self.tensors) == 1:
            return shapes.pop()
        if len(shapes) == 1:
            return (len(self.tensors), *shapes.pop())
        return (sum(tensor.numel() for tensor in self.tensors),)

    @property
    def dtype(self) -> str | None:
        return str(self.tensors[0].dtype).removeprefix("torch.") if self.tensors else None

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors)


def name_of(func: object) -> str:
    """An operator's name without namespace and underscores; "" where it is no collective."""
    if func.namespace not in NAMESPACES:
        return ""
    name = func._schema.name.split("::")[1].strip("_")
    return "" if name in NOT_COLLECTIVES or name.startswith("wrap") else name


def read_call(func: object, name: str, args: tuple, kwargs: dict) -> Call:
    """What the operator was called with. Raises ValueError for a root or a peer that is not in the group: gloo would
    wait for it for ever."""
    values = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    if "process_group" in values:
        group = ProcessGroup.unbox(values["process_group"])
    else:
        named = values["group_name"]
        group = named if isinstance(named, ProcessGroup) else distributed_c10d._resolve_process_group(named)
    ranks = tuple(dist.get_process_group_ranks(group))
    op = OP_NAMES.get(name, name)
    root = values.get("root_rank", values.get("src") if op == "broadcast" else None)
    peer = values.get("dst", values.get("src")) if op in ("send", "recv") else None
    for what, place in (("src", root), ("dst" if op == "send" else "src", peer)):
        if place is not None and not 0 <= place < len(ranks):
            raise ValueError(
                f"{op}: {what} = {place} is no rank of a group of {len(ranks)}; ranks 0 to {len(ranks) - 1} work"
            )
    if peer is not None and ranks[peer] == dist.get_rank() and dist.get_backend(group) == "gloo":
        raise ValueError(f"{op}: rank {ranks[peer]} is the one that calls; gloo has no way from a rank to itself")
    root = None if root is None else ranks[root]
    # Only the root of a scatter has an input: what every rank has is the part it gets.
    key = "output_tensors" if op == "scatter" else next((k for k in CONTRIBUTION if values.get(k) is not None), "")
    sends_only = op in ("send", "barrier") or (op in ("broadcast", "scatter") and root == dist.get_rank())
    filled = next((values[k] for k in FILLED if values.get(k) is not None), [])
    reduce_op = values.get("reduce_op")
    return Call(
        op=op,
        group=group,
        ranks=ranks,
        tensors=[] if op == "barrier" else tensors_in(values.get(key)),
        brought=[] if sends_only else tensors_in(filled),
        asynchronous=func.namespace != "_dtensor" and name != "monitored_barrier" and values.get("async_op", True),
        reduce_op=None if reduce_op is None else _reduce_name(reduce_op),
        root=root,
        peer=ranks[peer] if peer is not None else ANY if op == "recv" else None,
        tag=values.get("tag", 0),
    )


def backend_of(call: Call) -> str:
    """What carries a collective (gloo, nccl): of a group that has one for each kind of device, that of its tensors."""
    name = dist.get_backend(call.group)
    if name != "undefined" and ":" not in name:
        return name
    device = call.tensors[0].device if call.tensors else call.group._device_types[0]
    return call.group._get_backend(device).name()


def tensors_in(value: object) -> list[Tensor]:
    """All tensors of an operator's argument, flattened."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for item in value for tensor in tensors_in(item)] if isinstance(value, list | tuple) else []


def _reduce_name(reduce_op: object) -> str:
    """SUM, MAX, … from a torch ReduceOp or from a functional collective's "sum"."""
    return reduce_op.upper() if isinstance(reduce_op, str) else REDUCE_OPS.get(int(reduce_op.op()), str(reduce_op))
