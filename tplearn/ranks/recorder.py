"""Records collectives inside a rank: one dispatch mode that sees every way torch has to communicate.

Plain, async, point-to-point, object and functional collectives, DTensor, DDP and FSDP all end in the operator
namespaces `c10d` and `_c10d_functional`; tplearn's own, through shared memory, in `tplearn`. The mode reports each
before it is issued, because afterwards may never come.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import ProcessGroup, Work
from torch.distributed import distributed_c10d
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from tplearn.ranks.ledger import Row
from tplearn.ranks.source import reader_line

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


def _tensors(value: object) -> list[Tensor]:
    """All tensors of an operator's argument, flattened."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, (list, tuple)) else []


class Recorder(TorchDispatchMode):
    """Sends `enter` before each collective, `block` where the rank starts to wait for it, `done` when it is over.

    send(kind, *payload): ("enter", Row, group_name, blocking) | ("block", index) | ("done", index).
    arrived(tensors): called with what a collective has brought, when it is there; a check may change it.
    """

    def __init__(
        self, rank: int, send: Callable[..., None], arrived: Callable[[list[Tensor]], None] | None = None
    ) -> None:
        super().__init__()
        self.rank = rank
        self.send = send
        self.arrived = arrived or (lambda tensors: None)
        self.issued = 0
        # id(work) -> (index, what it brings, work); holding it keeps the id unique
        self.works: dict[int, tuple[int, list[Tensor], Work]] = {}
        self.pending: dict[int, int] = {}  # data_ptr of a functional collective's result -> index

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's signature)
        kwargs = kwargs or {}
        if func.namespace not in ("c10d", "_c10d_functional", "_dtensor", "tplearn"):
            return func(*args, **kwargs)
        name = func._schema.name.split("::")[1].strip("_")
        if name == "wait_tensor":
            index = self.pending.pop(args[0].untyped_storage().data_ptr(), None)
            with self._blocked(index):
                result = func(*args, **kwargs)
            if index is not None:
                self.arrived([result])
            return result
        if name in NOT_COLLECTIVES or name.startswith("wrap"):
            return func(*args, **kwargs)
        values = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | kwargs
        own = func.namespace == "tplearn"  # through memory that the ranks share
        blocking = values.get("async_op") is False or func.namespace == "_dtensor" or own
        index = self._enter(name, values, blocking, "shared memory" if own else None)
        result = func(*args, **kwargs)
        if func.namespace == "c10d":
            work = Work.unbox(result[-1] if isinstance(result, tuple) else result)
            brought = _brought(name, values, dist.get_rank(ProcessGroup.unbox(values["process_group"])))
            if blocking:
                work.wait()
                self.send("done", index)
                self.arrived(brought)
            else:
                self.works[id(work)] = (index, brought, work)
        elif blocking:
            self.send("done", index)
            self.arrived(_tensors(result))
        else:
            self.pending.update((tensor.untyped_storage().data_ptr(), index) for tensor in _tensors(result))
        return result

    def _enter(self, name: str, values: dict[str, object], blocking: bool, transport: str | None) -> int:
        if "process_group" in values:
            group = ProcessGroup.unbox(values["process_group"])
        else:
            named = values["group_name"]
            group = named if isinstance(named, ProcessGroup) else distributed_c10d._resolve_process_group(named)
        ranks = tuple(dist.get_process_group_ranks(group))
        op = OP_NAMES.get(name, name)
        # Only the root of a scatter has an input: what every rank has is the part it gets.
        key = "output_tensors" if op == "scatter" else next((k for k in CONTRIBUTION if values.get(k) is not None), "")
        tensors = [] if op == "barrier" else _tensors(values.get(key))
        reduce_op = values.get("reduce_op")
        root, peer = values.get("root_rank", values.get("src") if op == "broadcast" else None), None
        if op in ("send", "recv"):
            peer = values.get("dst", values.get("src"))
            peer = -1 if peer is None else ranks[peer]
        source, code = reader_line(sys._getframe(2))
        row = Row(
            rank=self.rank,
            index=self.issued,
            op=op,
            group=ranks,
            shape=_joint_shape(tensors),
            dtype=str(tensors[0].dtype).removeprefix("torch.") if tensors else None,
            reduce_op=_reduce_name(reduce_op) if reduce_op is not None else None,
            root=None if root is None else ranks[root],
            peer=peer,
            bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
            source=source,
            code=code,
            transport=transport or dist.get_backend(group),
        )
        return self.enter(row, group.group_name, blocking)

    def enter(self, row: Row, group_name: str, blocking: bool) -> int:
        """Report one collective; returns its index on this rank."""
        self.issued += 1
        self.send("enter", row, group_name, blocking)
        return row.index

    @contextmanager
    def _blocked(self, index: int | None) -> Iterator[None]:
        if index is not None:
            self.send("block", index)
        yield
        if index is not None:
            self.send("done", index)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record all that happens inside, `Work.wait` and the making of groups included."""
        plain_wait, plain_new_group = Work.wait, distributed_c10d._new_group_with_tag

        def wait(work: Work, *args: object, **kwargs: object) -> bool:
            index, brought, _ = self.works.pop(id(work), (None, [], None))
            with self._blocked(index):
                result = plain_wait(work, *args, **kwargs)
            self.arrived(brought)
            return result

        def new_group(ranks: list[int] | None = None, *args: object, **kwargs: object) -> object:
            world = tuple(range(dist.get_world_size()))
            members = tuple(sorted(world if ranks is None else ranks))
            come = members if kwargs.get("use_local_synchronization") else world  # who must make the group
            source, code = reader_line(sys._getframe(1))
            detail = f"ranks {list(members)}"
            row = Row(self.rank, self.issued, "new_group", come, source=source, code=code, detail=detail)
            index = self.enter(row, "", blocking=True)
            with _disable_current_modes():  # what torch itself sends to set a group up is not the reader's traffic
                group = plain_new_group(ranks, *args, **kwargs)
            self.send("done", index)
            return group

        Work.wait, distributed_c10d._new_group_with_tag = wait, new_group
        try:
            with self:
                yield
        finally:
            Work.wait, distributed_c10d._new_group_with_tag = plain_wait, plain_new_group


def _brought(name: str, values: dict[str, object], rank: int) -> list[Tensor]:
    """The tensors that a collective fills with what comes from others; none at the root of what it sends out."""
    if name in ("send", "barrier") or (name in ("broadcast", "scatter") and values["root_rank"] == rank):
        return []
    filled = ("output_tensors", "output_tensor", "output_lists", "outputs", "output", "tensors")
    return _tensors(next((values[key] for key in filled if values.get(key) is not None), []))


def _joint_shape(tensors: list[Tensor]) -> tuple[int, ...] | None:
    """One tensor's shape; k equal ones as [k, ...]; unequal ones as their total length."""
    if not tensors:
        return None
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(tensors) == 1:
        return shapes.pop()
    return (len(tensors), *shapes.pop()) if len(shapes) == 1 else (sum(tensor.numel() for tensor in tensors),)


def _reduce_name(reduce_op: object) -> str:
    """SUM, MAX, … from a torch ReduceOp or from a functional collective's "sum"."""
    return reduce_op.upper() if isinstance(reduce_op, str) else REDUCE_OPS.get(int(reduce_op.op()), str(reduce_op))
