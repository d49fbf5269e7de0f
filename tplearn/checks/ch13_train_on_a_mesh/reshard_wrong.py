"""Wrong answers to exercise 13.6: a part of the run left behind, shards of other ranks, and copies counted twice."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from tplearn.parallel import Partition, partitions

Cut = Partition | None
TAKEN_FOR_GRANTED = {"step taken for granted": "step", "moment taken for granted": "exp_avg"}


@torch.no_grad()
def wrong_reshard_run(
    old: nn.Module, old_optimizer: Optimizer, new: nn.Module, new_optimizer: Optimizer, wrong: str
) -> None:
    """Moves a run to another mesh, with one thing `wrong`."""
    for (name, source, old_cut), (_, target, new_cut) in zip(partitions(old), partitions(new), strict=True):
        if old_cut is None and wrong == "plain modules left out":
            continue
        if wrong == "weights not cut":
            target.copy_(source)
        elif wrong == "weights joined and not cut":
            target.copy_(source if old_cut is None else old_cut.full_tensor(source))
        elif wrong != "weights left":
            target.copy_(_moved(source, old_cut, new_cut, wrong))
        if wrong in TAKEN_FOR_GRANTED:
            old_optimizer.state[source][TAKEN_FOR_GRANTED[wrong]]
        if source not in old_optimizer.state or wrong in ("weights alone", "weights and rates"):
            continue
        state = {key: _state(key, value, old_cut, new_cut, wrong) for key, value in old_optimizer.state[source].items()}
        if wrong == "two moments by name":
            state = {key: state[key] for key in ("step", "exp_avg", "exp_avg_sq")}
        if wrong == "moments exchanged" and "exp_avg" in state:
            state |= {"exp_avg": state["exp_avg_sq"], "exp_avg_sq": state["exp_avg"].abs()}
        new_optimizer.state[name if wrong == "state under names" else target] = state
    for source, target in zip(old_optimizer.param_groups, new_optimizer.param_groups, strict=True):
        if wrong not in ("rates left", "weights alone"):
            target |= {key: value for key, value in source.items() if key != "params"}
        if wrong == "groups with the old parameters":
            target.update(source)
        if wrong == "first group's rate":
            target["lr"] = old_optimizer.param_groups[0]["lr"]


def _state(key: str, value: Tensor, old_cut: Cut, new_cut: Cut, wrong: str) -> Tensor:
    if key == "step":
        if wrong == "step shared":
            return value
        if wrong == "step joined" and old_cut is not None:
            return old_cut.full_tensor(value)
        return value * (wrong != "step counter lost") + (wrong == "one step ahead")
    if wrong == "state not cut":
        return value.clone()
    if wrong == "state joined and not cut":
        return value.clone() if old_cut is None else old_cut.full_tensor(value)
    fresh = wrong == "moments fresh" or (wrong == "second moment lost" and key.endswith("_sq"))
    moved = _moved(value, old_cut, new_cut, wrong)
    return torch.zeros_like(moved) if fresh else moved


def _moved(x: Tensor, old_cut: Cut, new_cut: Cut, wrong: str) -> Tensor:
    """x, of the shape of a parameter, for the new mesh."""
    if wrong == "None cut":
        return new_cut.shard(old_cut.full_tensor(x))
    if wrong == "None joined":
        dense = old_cut.full_tensor(x)
        return new_cut.shard(dense)
    if old_cut is None:
        return x.clone()
    if wrong == "shards side by side":
        return _side_by_side(x, old_cut, new_cut)
    dense = old_cut.full_tensor(x)
    if wrong == "copies added":
        dense = torch.zeros_like(dense)
        for chunk, rows in old_cut.views(x):
            dense.narrow(old_cut.dim, chunk.start, chunk.size).add_(rows)
        dist.all_reduce(dense, group=old_cut.place.group)
    if wrong == "added up over dp too":
        dist.all_reduce(dense)
        dense /= old_cut.place.world_size
    shard = new_cut.shard(dense)
    if wrong == "rank 0's shards":
        dist.broadcast(shard, src=0)
    return shard


def _side_by_side(x: Tensor, old_cut: Partition, new_cut: Partition) -> Tensor:
    """The old shards in a row, cut in equal runs."""
    if old_cut.dense_shape == old_cut.shape == new_cut.shape:
        return x.clone()
    shards = [torch.empty_like(x) for _ in range(old_cut.place.world_size)]
    dist.all_gather(shards, x.contiguous(), group=old_cut.place.group)
    joined = shards[0] if old_cut.shape == old_cut.dense_shape else torch.cat(shards, old_cut.dim)
    return joined.tensor_split(new_cut.place.world_size, new_cut.dim)[new_cut.place.rank].clone()
