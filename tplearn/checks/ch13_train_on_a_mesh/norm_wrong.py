"""Wrong answers to exercise 13.4: copies, sums, means and roots in the wrong place, or over the wrong ranks."""

import torch
import torch.distributed as dist
from torch import Tensor

AT_ONCE = "one sum for both"
NOT_SUMMED = ("partials as they are", "partials over tp as copies", "partials over tp as shards", AT_ONCE)
NOT_MEANED = ("partials as they are", "partials over dp as copies", "partials over dp as shards", "mean of row norms")
NOT_MEANED += ("own squares over dp²", AT_ONCE)
COUNTED = {  # in place of which letters over dp, and over tp, another one is taken when copies are counted
    "partials over dp as shards": ("P", "", "S"),
    "finished over dp counted": ("P", "", "S"),
    "finished ones counted": ("P", "P", "S"),
    "partials over tp as shards": ("", "P", "S"),
    "finished over tp counted": ("", "P", "S"),
    "copies over dp counted": ("RPS", "", "S"),
    "dp left out": ("RPS", "", "S"),
    "mean of row norms": ("RPS", "", "S"),
    "copies over tp counted": ("", "RPS", "S"),
    "everything counted": ("RPS", "RPS", "S"),
    "shards over dp as copies": ("RPS", "", "R"),
    "shards over tp as copies": ("", "RPS", "R"),
    "everything divided": ("RPS", "RPS", "R"),
}


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
            divisor = {"sum over dp": 1, "mean over all ranks": dp * tp}.get(wrong, dp)
            gradient = _total(gradient, groups["dp"]) / divisor
        if wrong == AT_ONCE and "P" in (over_dp, over_tp):
            gradient = _total(gradient, None) / dp
        square = gradient.abs().sum() if wrong == "absolute values" else gradient.square().sum()
        square = square.sqrt() if wrong == "norms of tensors added" else square
        total += square / _copies(over_dp, over_tp, dp, tp, wrong)
    if wrong == "own norm":
        return total.sqrt()
    if wrong == "norms of ranks added":
        return _total(total.sqrt(), None)
    if wrong == "mean of row norms":
        return _total(_total(total, over["tp"]).sqrt(), over["dp"]) / dp
    if wrong == "dp left out":
        return _total(total, over["tp"]).sqrt()
    if wrong in ("no root", "absolute values", "norms of tensors added"):
        return _total(total, None)
    if wrong == "averaged":
        return (_total(total, None) / (dp * tp)).sqrt()
    return _total(total, {"summed over tp only": over["tp"], "summed over dp only": over["dp"]}.get(wrong)).sqrt()


def _copies(over_dp: str, over_tp: str, dp: int, tp: int, wrong: str) -> int:
    """By what a square is divided."""
    if wrong == "own squares over dp²" and over_dp == "P":
        return dp * dp * (1 if over_tp == "S" else tp)
    in_dp, in_tp, letter = COUNTED.get(wrong, ("", "", ""))
    over_dp, over_tp = letter if over_dp in in_dp else over_dp, letter if over_tp in in_tp else over_tp
    copies = (1 if over_dp == "S" else dp) * (1 if over_tp == "S" else tp)
    return copies**2 if wrong == "divided before the square" else copies


def _total(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, group=group)
    return x
