"""One tensor per rank, as an argument: what is no such list is named, and a collective writes one row for each rank."""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from tplearn.ranks.ledger import Ledger
from tplearn.sizes import shown
from tplearn.tensors import described, require_tensor


def require_one_each(op: str, tensors: Iterable[Tensor]) -> list[Tensor]:
    """The ranks' tensors as a list; a generator will do. Raises ValueError for one tensor, no tensors, and arrays."""
    works = "give a list with one tensor per rank"
    if isinstance(tensors, Tensor):
        raise ValueError(f"{op} got {shown(tensors)}; {works}, such as list(x) or split(x, world_size, dim)")
    if isinstance(tensors, (str, bytes, Mapping)) or not isinstance(tensors, Iterable):
        raise ValueError(f"{op} got {shown(tensors)}; {works}")
    tensors = list(tensors)
    if not tensors:
        raise ValueError(f"{op} got an empty list; give one tensor per rank, at least 1")
    for rank, tensor in enumerate(tensors):
        require_tensor(f"{op}: tensors[{rank}]", tensor)
    return tensors


def require_alike(op: str, tensors: Iterable[Tensor]) -> list[Tensor]:
    """As require_one_each. Raises ValueError, too, unless every rank brings the same shape, dtype and device."""
    tensors = require_one_each(op, tensors)
    first = tensors[0]
    for rank, tensor in enumerate(tensors):
        if tensor.shape != first.shape or tensor.dtype != first.dtype:
            raise ValueError(
                f"{op} needs the same shape and dtype on every rank: rank 0 brings {described(first)}, "
                f"rank {rank} brings {described(tensor)}"
            )
        if tensor.device != first.device:
            raise ValueError(
                f"{op} needs one device: rank 0's tensor is on {first.device}, rank {rank}'s on {tensor.device}"
            )
    return tensors


def require_ledger(ledger: object) -> None:
    """Raises ValueError for something else in its place, such as a dimension."""
    if ledger is not None and not isinstance(ledger, Ledger):
        raise ValueError(f"ledger = {shown(ledger)} is not a Ledger; Ledger() works, and None")


def record(
    ledger: Ledger | None, op: str, tensors: Sequence[Tensor], reduce_op: str | None = None, root: int | None = None
) -> None:
    """One row per rank: a collective is an appointment that everybody keeps."""
    require_ledger(ledger)
    if ledger is None:
        return
    group = tuple(range(len(tensors)))
    for rank, tensor in enumerate(tensors):
        ledger.record(rank, op, tensor, group=group, reduce_op=reduce_op, root=root)


def delivered(ledger: Ledger | None, tensors: list[Tensor]) -> list[Tensor]:
    """What the ranks receive: the tensors themselves, unless the ledger has something to say on their way."""
    return tensors if ledger is None else ledger.deliver(tensors)
