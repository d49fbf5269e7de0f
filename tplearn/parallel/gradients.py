"""After backward: partial gradients summed over the ranks, and the norm of all ranks' gradients, each number once."""

import itertools

import torch
from torch import Tensor, nn

from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.fsdp import rows_here, views_here
from tplearn.parallel.partition import Partition, partitions
from tplearn.parallel.place import Place
from tplearn.parallel.summed import Summed
from tplearn.sizes import is_number, shown


@torch.no_grad()
def sync_gradients(module: nn.Module) -> None:
    """Sum the gradients that are partials (`Partition.partial`) over the ranks that hold the copies.

    Once a step, after the last backward: gradients of several backwards add up as partials, and then are summed. The
    first backward after it must find zero_grad() done. A second call without a backward between finds nothing to do.

    One all-reduce for each group and dtype. Nothing is sent where no parameter has such a gradient. The layers may be
    wrapped in DDP or FSDP (`fully_shard`): their mean over the data and this sum may come in either order.

    Raises ValueError, in the backward itself, where one adds to a gradient that was summed, and where a summed gradient
    was changed in place and shall be summed again. Megatron-LM does this in `finalize_model_grads`.
    """
    buckets: dict[tuple[Place, torch.dtype, torch.device], list[tuple[str, nn.Parameter, Partition]]] = {}
    for name, parameter, partition in partitions(module):
        gradient = parameter.grad
        if gradient is None or not _is_partial(partition):
            continue
        summed = Summed.of(parameter)
        if summed is None or not summed.covers(gradient):
            key = partition.place, gradient.dtype, gradient.device
            buckets.setdefault(key, []).append((name, parameter, partition))
    for (place, _, _), members in buckets.items():
        partials = [_partial_rows(parameter.grad, partition) for _, parameter, partition in members]
        sums = plain_all_reduce(torch.cat([partial.flatten() for partial in partials]), place)
        sums = sums.split([partial.numel() for partial in partials])
        for (_, parameter, partition), partial, total in zip(members, partials, sums, strict=True):
            _take_rows(parameter.grad, partition, total.view_as(partial))
    for name, parameter, _ in itertools.chain(*buckets.values()):  # when all is written: gradients may share memory
        Summed(name, parameter)


@torch.no_grad()
def gradient_norm(module: nn.Module) -> Tensor:
    """The norm of the dense model's gradient, the same on every rank, in float64.

    Shards add their squares; copies count once, padding not at all, parameters of ordinary modules once (they are the
    same on every rank). One all-reduce of one number for each group that parameters are cut over, FSDP's too.
    `nn.utils.get_total_norm` on each rank would take another norm on each.

    Raises ValueError where a gradient is still a partial: `sync_gradients` comes first.
    """
    squares: dict[tuple[Place, ...], Tensor] = {}
    for name, parameter, partition in partitions(module):
        gradient = parameter.grad
        rows, _, places = rows_here(parameter if gradient is None else gradient)
        places = places if partition is None else (partition.place, *places)
        total = squares.setdefault(places, rows.new_zeros((), dtype=torch.float64))
        if gradient is None:
            continue  # its group is asked all the same: another rank may have a gradient
        if _is_partial(partition) and Summed.of(parameter) is None:
            raise ValueError(
                f"{name}: each rank has a partial of its gradient until sync_gradients(module) has summed it; after "
                "that the norm can be taken"
            )
        for view in _counted_once(gradient, partition):
            total += _sum_of_squares(view).to(total.device)
    while places := max(squares, key=len, default=()):
        total = plain_all_reduce(squares.pop(places), places[-1])
        squares[places[:-1]] = squares.get(places[:-1], 0) + total
    return squares.get((), torch.zeros((), dtype=torch.float64)).sqrt()


@torch.no_grad()
def clip_gradients(module: nn.Module, limit: float) -> Tensor:
    """Scale all gradients so that the dense model's gradient norm is at most `limit`; returns the norm before.

    As nn.utils.clip_grad_norm_ does on one rank; on each rank by itself that would scale each by another number, and
    copies would drift apart. A norm that is not finite makes all gradients NaN, as there.

    Raises ValueError for a limit that is not above 0, and as `gradient_norm` does.
    """
    if not (is_number(limit) and limit > 0):
        raise ValueError(f"limit = {shown(limit)} does not work; numbers above 0 do")
    norm = gradient_norm(module)
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    for _, parameter, _ in partitions(module):
        if parameter.grad is not None:
            rows, _, _ = rows_here(parameter.grad)
            rows.mul_(scale.to(rows.device))
    return norm


def _is_partial(partition: Partition | None) -> bool:
    return partition is not None and partition.partial is not None and partition.place.world_size > 1


def _counted_once(gradient: Tensor, partition: Partition | None) -> list[Tensor]:
    """The views of a gradient that count on this rank: not the padding, and of copies the first."""
    if partition is None:
        return [rows_here(gradient)[0]]
    return [view for chunk, view in views_here(partition, gradient) if chunk.copy == 0]


def _sum_of_squares(view: Tensor) -> Tensor:
    """In float64; of a row in the view's own dtype (halves in float32).

    A row is too short for much rounding, and a copy of everything in float64 would take longer than the norm.
    """
    rows = torch.linalg.vector_norm(view, dim=-1, dtype=torch.promote_types(view.dtype, torch.float32))
    return rows.double().square().sum()


def _partial_rows(gradient: Tensor, partition: Partition) -> Tensor:
    """The dense rows `partial`, with this rank's partials in their places and zeros elsewhere."""
    rows, _, _ = rows_here(gradient)
    start, stop = partition.partial
    shape = list(rows.shape)
    shape[partition.dim] = stop - start
    dense = rows.new_zeros(shape)
    for chunk, view in views_here(partition, gradient):
        if start <= chunk.start < stop:
            dense.narrow(partition.dim, chunk.start - start, chunk.size).copy_(view)
    return dense


def _take_rows(gradient: Tensor, partition: Partition, dense: Tensor) -> None:
    """The inverse of `_partial_rows`: put the sums where the partials were."""
    start, stop = partition.partial
    for chunk, view in views_here(partition, gradient):
        if start <= chunk.start < stop:
            view.copy_(dense.narrow(partition.dim, chunk.start - start, chunk.size))
