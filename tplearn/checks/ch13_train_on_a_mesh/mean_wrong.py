"""Wrong answers to exercise 13.3: other sums, other groups, other weights, and work that is left out or done twice."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tplearn.parallel import sync_gradients

NOT_SYNCED = ("partials left over tp", "nothing done")
NOT_MEANED = ("partials alone", "nothing done", "weights averaged", "by gathering")


def wrong_mean_over_dp(model: nn.Module, targets: int, mesh: dist.DeviceMesh, wrong: str) -> None:
    """The gradients of the dense batch, with one thing `wrong`."""
    dp, tp, world = mesh["dp"].size(), mesh["tp"].size(), dist.get_world_size()
    group = {"over the world": None, "over tp": mesh.get_group("tp")}.get(wrong, mesh.get_group("dp"))
    total = _sum(torch.tensor([float(targets)], dtype=torch.float64), group).item()
    scale = {
        "plain mean": 1 / dp,
        "plain sum": 1.0,
        "weighed for DDP": targets / total * dp,
        "sum of means over all targets": 1 / total,
        "sum by targets": float(targets),
        "divided by all ranks": 1 / world,
        "targets of all ranks": targets / total / tp,
        "divided by dp as well": targets / total / dp,
        "own targets times dp": float(targets),
        "own targets": float(targets),
        "shares the other way": (1 - targets / total) / max(1, dp - 1),
    }.get(wrong, targets / total)
    parameters = [parameter for parameter in model.parameters() if wrong != "matrices alone" or parameter.ndim > 1]
    if wrong == "norms alone":
        parameters = [parameter for parameter in parameters if parameter.ndim == 1]
    if wrong == "plain module left out":
        parameters = [p for name, p in model.named_parameters() if not name.startswith("score")]
    if wrong == "by gathering":
        for parameter in parameters:
            parts = [torch.empty_like(parameter.grad) for _ in range(dp)]
            dist.all_gather(parts, parameter.grad * scale, group=group)
            parameter.grad.copy_(sum(parts))
    elif wrong == "weights averaged":
        for parameter in parameters:
            parameter.data.copy_(_sum(parameter.data * scale, group))
    elif wrong == "row 0's for all":
        for parameter in parameters:
            dist.broadcast(parameter.grad, group_src=0, group=group)
    elif wrong not in NOT_MEANED:
        for parameter in parameters:
            mean = _sum(parameter.grad * scale, group)
            mean /= {"own targets times dp": targets * dp, "own targets": targets}.get(wrong, 1)
            if wrong != "never written back":
                parameter.grad.copy_(mean)
    if wrong in ("all summed over tp", "vectors summed over tp"):
        for parameter in parameters:
            if wrong == "all summed over tp" or parameter.ndim == 1:
                dist.all_reduce(parameter.grad, group=mesh.get_group("tp"))
    elif wrong == "partials averaged":
        before = [parameter.grad.clone() for parameter in parameters]
        sync_gradients(model)
        for parameter, partial in zip(parameters, before, strict=True):
            parameter.grad.copy_(torch.where(parameter.grad == partial, partial, parameter.grad / tp))
    elif wrong not in NOT_SYNCED:
        sync_gradients(model)


def _sum(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, group=group)
    return x
