"""A collective as a rank asks for it, read from a message that nobody vouches for, and as a row of the ledger."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tplearn.jailed.forms import WireError
from tplearn.ranks.ledger import Row
from tplearn.ranks.mail import ANY

TEXT = 200  # characters kept of a source line
ROOTED = {"broadcast", "reduce", "gather", "scatter"}
REDUCING = {"all_reduce", "reduce", "reduce_scatter"}
POINT_TO_POINT = {"send", "recv"}
OPS = ROOTED | REDUCING | POINT_TO_POINT | {"all_gather", "all_to_all", "barrier", "new_group"}
REDUCE_OPS = {"SUM", "AVG", "PRODUCT", "MIN", "MAX", "BAND", "BOR", "BXOR"}


@dataclass(frozen=True)
class Post:
    """One rank's part in a collective. tensors: what it brings; of a recv and a scatter, the first is what it gets.

    listed: a tensor for each member, and not one that is cut. splits: entries of the one tensor for each member.
    needs: of a new_group, the ranks that must come before this one can go on.
    """

    row: Row
    group: str
    tensors: list[Tensor]
    listed: bool
    splits: list[int]
    needs: set[int]


def read_post(rank: int, size: int, index: int, parts: list[Any]) -> Post:
    """The rank's collective number `index`, in a world of `size`. Raises WireError where it can be none."""
    match parts:
        case [int(number), str(op), str(group), list(members), dict(more), list(tensors), [str(source), str(code)]]:
            pass
        case _:
            raise WireError("a collective does not have the parts that it needs")
    root, peer, reduce = more.get("root"), more.get("peer"), more.get("reduce")
    tag, splits, detail = more.get("tag", 0), more.get("splits", []), more.get("detail", "")
    needs = more.get("needs", [])
    if (
        number != index
        or op not in OPS
        or len(set(map(str, members))) != len(members)
        or not all(type(member) is int and 0 <= member < size for member in members)
        or rank not in members
        or not all(isinstance(tensor, Tensor) for tensor in tensors)
        or type(detail) is not str
        or type(splits) is not list
        or type(needs) is not list
        or not all(type(each) is int and each >= 0 for each in [*splits, *needs])
    ):
        raise WireError(f"{op[:20]} with members, tensors or a number that cannot be")
    has_root = type(root) is int and root in members
    has_reduce_op = type(reduce) is str and reduce in REDUCE_OPS
    has_peer = type(peer) is int and (peer in members or (peer, op) == (ANY, "recv"))
    if (has_root, has_reduce_op, has_peer) != (op in ROOTED, op in REDUCING, op in POINT_TO_POINT):
        raise WireError(f"{op} without its root, its reduce op or its peer, or with one too many")
    if type(tag) is not int:
        raise WireError(f"{op} with a tag that is no whole number")
    if (op in ("barrier", "new_group")) != (not tensors) or (
        op in POINT_TO_POINT | {"broadcast"} and len(tensors) != 1
    ):
        raise WireError(f"{op} with {len(tensors)} tensors")
    shown = tensors[:1] if op == "scatter" else tensors
    row = Row(
        rank=rank,
        index=index,
        op=op,
        group=tuple(members),
        shape=_shape(shown),
        dtype=str(shown[0].dtype).removeprefix("torch.") if shown else None,
        reduce_op=reduce,
        root=root,
        peer=peer,
        bytes=sum(tensor.nbytes for tensor in shown),
        source=source[:TEXT],
        code=code[:TEXT],
        detail=detail[:TEXT],
        tag=tag,
    )
    return Post(row, group[:TEXT], tensors, more.get("listed") is True, splits, set(needs))


def _shape(tensors: list[Tensor]) -> tuple[int, ...] | None:
    """As `tplearn.ranks.ops.Call.shape` says it."""
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(tensors) < 2:
        return shapes.pop() if shapes else None
    return (len(tensors), *shapes.pop()) if len(shapes) == 1 else (sum(tensor.numel() for tensor in tensors),)
