"""Wrong answers to exercise 14.6."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor


def _own(gradient: Tensor) -> Tensor:
    return gradient.to_local() if isinstance(gradient, DTensor) else gradient


def _sum(
    gradients: list[Tensor], group: dist.ProcessGroup | None, share: float = 1.0, one_by_one: bool = False
) -> None:
    """A share of each, summed over the group, in place; all in one message."""
    for together in [[gradient] for gradient in gradients] if one_by_one else [gradients]:
        flat = torch.cat([gradient.flatten() for gradient in together]) * share
        dist.all_reduce(flat, group=group)
        for gradient, total in zip(together, flat.split([gradient.numel() for gradient in together]), strict=True):
            gradient.copy_(total.view_as(gradient))


def wrong_finish(model: nn.Module, mesh: DeviceMesh, wrong: str) -> None:
    """The gradients finished with one thing `wrong`."""
    tp, dp, dp_size, world = mesh.get_group("tp"), mesh.get_group("dp"), mesh["dp"].size(), mesh.size()
    learning = {name: p for name, p in model.named_parameters() if p.grad is not None}
    cut = {name: p for name, p in learning.items() if isinstance(p.grad, DTensor)}
    partial = {name: p for name, p in cut.items() if p.grad.placements[0].is_partial()}
    over_tp, over_dp = partial, learning
    if wrong == "every gradient over tp":
        over_tp = learning
    if wrong == "replicated ones over tp too":
        over_tp = {name: p for name, p in learning.items() if name in ("norm", "q_norm", "words", "bias")}
    if wrong == "the plain one over tp too":
        over_tp = partial | {"bias": learning["bias"]}
    averaged = {"averaged over tp": world // dp_size, "partials by all ranks, then the mean": world}.get(wrong, 1)
    if wrong == "all over all ranks":
        _sum([_own(p.grad) for p in learning.values()], None, 1 / dp_size)
        over_dp = {}
    elif wrong not in ("partials left", "placements changed alone"):
        _sum([_own(p.grad) for p in over_tp.values()], tp, 1 / averaged, wrong == "partials one by one")
    for p in partial.values():
        if wrong not in ("partials left", "still called partials"):
            p.grad = DTensor.from_local(p.grad.to_local(), mesh["tp"], p.placements, run_check=False)
    for name, p in cut.items():
        if wrong == "rows by the world" and name == "words":
            rows = p.grad.to_local().chunk(world)[dist.get_rank()]
            p.grad = DTensor.from_local(rows, mesh["tp"], p.placements, run_check=False)
        elif wrong != "words left whole" and name == "words":
            p.grad = p.grad.redistribute(placements=p.placements)
    over_dp = {
        "no mean over dp": {},
        "partials alone": partial,
        "cut ones not over dp": {name: p for name, p in learning.items() if name in ("norm", "q_norm", "bias")},
        "DTensors alone": cut,
    }.get(wrong, over_dp)
    share = {"summed over dp": 1.0, "mean over all ranks": 1 / world, "dp divided by tp": dp_size / world}
    share = share.get(wrong, 1 / dp_size)
    if over_dp:
        group = tp if wrong == "dp and tp swapped" else dp
        _sum([_own(p.grad) for p in over_dp.values()], group, share, wrong == "means one by one")
    if wrong == "full tensors":
        for p in cut.values():
            p.grad = p.grad.full_tensor()
    if wrong == "zeros for nothing":
        for p in model.parameters():
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
