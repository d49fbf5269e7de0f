"""What each parameter of a parallel layer is: which rows of the dense one, in how many copies, with what gradient.

Initialisation, loading, saving, gradient sync and the gradient norm all read the same record, the Partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tplearn.parallel.collectives import all_reduce
from tplearn.parallel.place import Place


@dataclass(frozen=True)
class Piece:
    """Rows start to stop (along the cut dimension) of the dense parameter: copy number `copy` of `copies` them."""

    start: int
    stop: int
    copies: int = 1
    copy: int = 0

    @property
    def size(self) -> int:
        """Rows in this piece."""
        return self.stop - self.start


@dataclass(frozen=True)
class Partition:
    """This rank's part of a dense parameter: its pieces, one after the other along `dim`, then rows of `padding`.

    `partial`: the dense rows (start, stop) whose gradient is a different summand in each copy, because each rank used
    its copy for something else (replicated KV heads; norms under sequence parallelism). All other copies get equal
    gradients.
    """

    dense_shape: tuple[int, ...]
    place: Place
    pieces: tuple[Piece, ...]
    dim: int = 0
    padding: int = 0
    partial: tuple[int, int] | None = None

    @staticmethod
    def replicated(dense_shape: tuple[int, ...], place: Place, partial: bool = False) -> "Partition":
        """A whole copy on every rank."""
        whole = Piece(0, dense_shape[0], place.world_size, place.rank)
        return Partition(dense_shape, place, (whole,), partial=(0, dense_shape[0]) if partial else None)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of this rank's parameter."""
        size = sum(piece.size for piece in self.pieces) + self.padding
        return *self.dense_shape[: self.dim], size, *self.dense_shape[self.dim + 1 :]

    def cut(self, dense: Tensor) -> Tensor:
        """This rank's part of a dense tensor, as a new tensor; zeros in the padding.

        Raises ValueError where `dense` has another shape than the dense parameter.
        """
        if tuple(dense.shape) != self.dense_shape:
            raise ValueError(f"a dense tensor of shape {tuple(dense.shape)}; shape that works: {self.dense_shape}")
        shard = dense.new_zeros(self.shape)
        for piece, rows in self.rows(shard):
            rows.copy_(dense.narrow(self.dim, piece.start, piece.size))
        return shard

    def join(self, shard: Tensor) -> Tensor:
        """The dense tensor, on every rank: the first copy of each piece, to the last bit."""
        dense = shard.new_zeros(self.dense_shape)
        for piece, rows in self.rows(shard):
            if piece.copy == 0:
                dense.narrow(self.dim, piece.start, piece.size).copy_(rows)
        return all_reduce(dense, self.place)

    def rows(self, shard: Tensor) -> Iterator[tuple[Piece, Tensor]]:
        """Each piece, and the view of `shard` that holds it."""
        start = 0
        for piece in self.pieces:
            yield piece, shard.narrow(self.dim, start, piece.size)
            start += piece.size


def partitions(module: nn.Module) -> Iterator[tuple[str, nn.Parameter, Partition | None]]:
    """(name, parameter, its partition) for each parameter, tied ones once; None for those of ordinary modules."""
    layers = dict(module.named_modules())
    for name, parameter in module.named_parameters():
        layer, _, own_name = name.rpartition(".")
        yield name, parameter, getattr(layers[layer], "partitions", {}).get(own_name)


def sync_gradients(module: nn.Module) -> None:
    """After backward: sum the gradients that are summands (`Partition.partial`) over the ranks that hold the copies.

    One all-reduce for each group and dtype. Nothing is sent where no parameter has such a gradient. Megatron-LM does
    this in `finalize_model_grads`.
    """
    buckets: dict[tuple[Place, torch.dtype], list[tuple[nn.Parameter, Partition]]] = {}
    for _, parameter, partition in partitions(module):
        if partition and partition.partial and partition.place.world_size > 1 and parameter.grad is not None:
            buckets.setdefault((partition.place, parameter.grad.dtype), []).append((parameter, partition))
    for (place, _), members in buckets.items():
        summands = [_partial_rows(parameter.grad, partition) for parameter, partition in members]
        sums = all_reduce(torch.cat([summand.flatten() for summand in summands]), place)
        sums = sums.split([summand.numel() for summand in summands])
        for (parameter, partition), summand, total in zip(members, summands, sums, strict=True):
            _take_rows(parameter.grad, partition, total.view_as(summand))


def _partial_rows(gradient: Tensor, partition: Partition) -> Tensor:
    """The dense rows `partial`, with this rank's summands in their places and zeros elsewhere."""
    start, stop = partition.partial
    shape = list(partition.dense_shape)
    shape[partition.dim] = stop - start
    dense = gradient.new_zeros(shape)
    for piece, rows in partition.rows(gradient):
        if start <= piece.start < stop:
            dense.narrow(partition.dim, piece.start - start, piece.size).copy_(rows)
    return dense


def _take_rows(gradient: Tensor, partition: Partition, dense: Tensor) -> None:
    """The inverse of `_partial_rows`: put the sums where the summands were."""
    start, stop = partition.partial
    for piece, rows in partition.rows(gradient):
        if start <= piece.start < stop:
            rows.copy_(dense.narrow(partition.dim, piece.start - start, piece.size))
