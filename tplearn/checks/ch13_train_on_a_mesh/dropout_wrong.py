"""Wrong answers to exercise 13.5: other draws, other seeds, the wrong place in the mask, and the wrong scale."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

SEEDS = ("seed of the rank", "seed of the row", "seed plus rank", "seed plus row", "seed plus column")
LEFT_OUT = {"tp's cut left out": "tp", "dp's cut left out": "dp"}
OWN_SHAPE = ("own shape", *SEEDS)  # what is drawn has the shape of this rank's x


def wrong_mesh_dropout(x: Tensor, p: float, cut: dict[str, int], mesh: dist.DeviceMesh, wrong: str) -> Tensor:
    """The dense model's dropout, with one thing `wrong`."""
    rank, row = dist.get_rank(), mesh["dp"].get_local_rank()
    if wrong == "torch's dropout":
        return F.dropout(x, p)
    if wrong in LEFT_OUT:
        cut = {name: dim for name, dim in cut.items() if name != LEFT_OUT[wrong]}
    shape = list(x.shape) if wrong in OWN_SHAPE else _whole_shape(x, cut, mesh, wrong)
    seed = {
        "seed of the rank": rank,
        "seed of the row": row,
        "seed plus rank": torch.initial_seed() + rank,
        "seed plus row": torch.initial_seed() + row,
        "seed plus column": torch.initial_seed() + mesh["tp"].get_local_rank(),
        "a seed of its own": 0,
    }.get(wrong)
    state = torch.default_generator.get_state()
    if seed is not None:
        torch.manual_seed(seed)
    kept = _drawn(shape, p, x, wrong)
    if wrong == "drawn on rank 0":
        sent = kept.to(x.dtype)
        dist.broadcast(sent, src=0)
        kept = sent.bool()
    if wrong == "random state put back" or (wrong == "drawn on rank 0" and rank > 0):
        torch.default_generator.set_state(state)
    order = list(cut.items())
    if wrong == "cuts in the mesh's order":
        order.sort()
    if wrong == "last cut first":
        order.reverse()
    for name, dim in order if wrong not in OWN_SHAPE else ():
        size, at = mesh[name].size(), mesh[name].get_local_rank()
        other = mesh["tp" if name == "dp" else "dp"].get_local_rank() % size
        at = {"coordinates exchanged": other}.get(wrong, at)
        at = {"rank for the place": rank % size, "shards in reverse": size - 1 - at, "first shard": 0}.get(wrong, at)
        if wrong == "dealt out":
            kept = kept.index_select(dim, torch.arange(at, kept.shape[dim], size))
        elif wrong == "place times own size":
            kept = kept.narrow(dim, at * x.shape[dim], x.shape[dim])
        else:
            kept = (kept.chunk if wrong == "torch.chunk" else kept.tensor_split)(size, dim)[at]
    scale = {"not scaled": 1.0, "scaled down": 1 - p, "divided by p": 1 / p, "scaled twice": 1 / (1 - p) ** 2}
    if wrong == "not scaled backward":
        return _Straight.apply(x * kept, 1 / (1 - p))
    return x * kept * scale.get(wrong, 1 / (1 - p))


class _Straight(torch.autograd.Function):
    """Scales forward only."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: float) -> Tensor:  # noqa: ANN001
        return x * scale

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return gradient, None


def _drawn(shape: list[int], p: float, x: Tensor, wrong: str) -> Tensor:
    """Which numbers stay."""
    if wrong == "drawn in x's dtype":
        return torch.rand(shape, dtype=x.dtype) >= p
    if wrong == "torch's dropout of ones":
        return F.dropout(torch.ones(shape), p) > 0
    if wrong == "drawn by bernoulli":
        return torch.bernoulli(torch.full(shape, 1 - p)).bool()
    if wrong == "drawn by randn":
        return torch.randn(shape) >= p
    if wrong == "one draw a token":
        return (torch.rand([*shape[:-1], 1]) >= p).expand(shape)
    if wrong == "above 1 − p":
        return torch.rand(shape) > 1 - p
    return torch.rand(shape) < p if wrong == "dropped ones kept" else torch.rand(shape) >= p


def _whole_shape(x: Tensor, cut: dict[str, int], mesh: dist.DeviceMesh, wrong: str) -> list[int]:
    """The dense model's shape, or what a mutant takes for it."""
    shape = torch.tensor(x.shape)
    if wrong == "own size times the ranks":
        for name, dim in cut.items():
            shape[dim] *= mesh[name].size()
        return shape.tolist()
    for name, dim in cut.items():
        if wrong == "largest size times the ranks":
            dist.all_reduce(shape[dim], op=dist.ReduceOp.MAX, group=mesh.get_group(name))
            shape[dim] *= mesh[name].size()
            continue
        dist.all_reduce(shape[dim], group=None if wrong == "sizes of the world" else mesh.get_group(name))
    return shape.tolist()
