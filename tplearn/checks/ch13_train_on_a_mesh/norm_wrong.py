"""Wrong answers to exercise 13.4: copies, sums, means and roots in the wrong place, or over the wrong ranks."""

import torch
import torch.distributed as dist
from torch import Tensor

NOT_SUMMED = ("partials as they are", "partials over tp as copies", "partials over tp as shards")
NOT_MEANED = ("partials as they are", "partials over dp as copies", "partials over dp as shards", "mean of row norms")


def wrong_mesh_norm(
    gradients: list[Tensor], states: list[tuple[str, str]], mesh: dist.DeviceMesh, wrong: str
) -> Tensor:
    """The norm on a mesh, with one thing `wrong`."""
    dp, tp = mesh["dp"].size(), mesh["tp"].size()
    over = {"dp": mesh.get_group("dp"), "tp": mesh.get_group("tp")}
    groups = {
        "groups exchanged": {"dp": over["tp"], "tp": over["dp"]},
        "partials summed over the world": {"dp": None, "tp": None},
    }.get(wrong, over)
    if wrong == "torch's own norm":
        return torch.nn.utils.get_total_norm(gradients)
    total = torch.zeros((), dtype=torch.float64)
    for gradient, (over_dp, over_tp) in zip(gradients, states, strict=True):
        if over_tp == "P" and wrong not in NOT_SUMMED:
            gradient = _total(gradient, groups["tp"]) / (tp if wrong == "mean over tp" else 1)
        if over_dp == "P" and wrong not in NOT_MEANED:
            gradient = _total(gradient, groups["dp"]) / (1 if wrong == "sum over dp" else dp)
        square = gradient.abs().sum() if wrong == "absolute values" else gradient.square().sum()
        square = square.sqrt() if wrong == "norms of tensors added" else square
        total += square / _copies(over_dp, over_tp, dp, tp, wrong)
    if wrong == "own norm":
        return total.sqrt()
    if wrong == "norms of ranks added":
        return _total(total.sqrt(), None)
    if wrong == "mean of row norms":
        return _total(_total(total, over["tp"]).sqrt(), over["dp"]) / dp
    if wrong in ("no root", "absolute values", "norms of tensors added"):
        return _total(total, None)
    if wrong == "averaged":
        return (_total(total, None) / (dp * tp)).sqrt()
    return _total(total, {"summed over tp only": over["tp"], "summed over dp only": over["dp"]}.get(wrong)).sqrt()


def _copies(over_dp: str, over_tp: str, dp: int, tp: int, wrong: str) -> int:
    """By what a square is divided."""
    if wrong == "partials over dp as shards" and over_dp == "P":
        over_dp = "S"
    if wrong == "partials over tp as shards" and over_tp == "P":
        over_tp = "S"
    if wrong in ("copies over dp counted", "everything counted", "mean of row norms"):
        over_dp = "S"
    if wrong in ("copies over tp counted", "everything counted"):
        over_tp = "S"
    if wrong in ("shards over dp as copies", "everything divided"):
        over_dp = "R"
    if wrong in ("shards over tp as copies", "everything divided"):
        over_tp = "R"
    copies = (1 if over_dp == "S" else dp) * (1 if over_tp == "S" else tp)
    return copies**2 if wrong == "divided before the square" else copies


def _total(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, group=group)
    return x
