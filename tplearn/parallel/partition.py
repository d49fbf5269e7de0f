"""What each parameter of a parallel layer is: which rows of the dense one, in how many copies, with what gradient.

Initialisation, loading, saving, gradient sync and the gradient norm all read the same record, the Partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place
from tplearn.sizes import require_dim, require_size, shown
from tplearn.tensors import require_tensor


@dataclass(frozen=True)
class Chunk:
    """Rows start to stop (along the sharded dimension) of the dense parameter: copy number `copy` of `copies`."""

    start: int
    stop: int
    copies: int = 1
    copy: int = 0

    def __post_init__(self) -> None:
        require_size("start", self.start, least=0)
        require_size("stop", self.stop, least=self.start)
        require_size("copies", self.copies)
        if not 0 <= self.copy < self.copies:
            works = f"with {self.copies} copies, they go from 0 to {self.copies - 1}"
            raise ValueError(f"copy = {self.copy} does not exist; {works}")

    @property
    def size(self) -> int:
        """Rows in this chunk."""
        return self.stop - self.start


@dataclass(frozen=True)
class Partition:
    """This rank's shard of a dense parameter: its chunks, one after the other along `dim`, then rows of `padding`.

    `partial`: the dense rows (start, stop) whose gradient is a different partial in each copy, because each rank used
    its copy for something else (replicated KV heads; norms under sequence parallelism). All other copies get equal
    gradients.

    In torch.distributed.tensor a DTensor holds the like (`placements`), in Megatron-LM the parameter's attributes
    (`partition_dim`, `partition_stride`). Raises ValueError for chunks that lie outside of the dense parameter.
    """

    dense_shape: tuple[int, ...]
    place: Place
    chunks: tuple[Chunk, ...]
    dim: int = 0
    padding: int = 0
    partial: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        rows = self.dense_shape[require_dim(self.dim, len(self.dense_shape))]
        require_size("padding", self.padding, least=0)
        for start, stop in [(chunk.start, chunk.stop) for chunk in self.chunks] + [self.partial or (0, 0)]:
            if not 0 <= start <= stop <= rows:
                raise ValueError(
                    f"rows {start} to {stop} do not lie in dim {self.dim} of a dense tensor of shape "
                    f"{self.dense_shape}; rows from 0 to {rows} work"
                )

    @staticmethod
    def replicated(dense_shape: tuple[int, ...], place: Place, partial: bool = False) -> "Partition":
        """A whole copy on every rank."""
        whole = Chunk(0, dense_shape[0], place.world_size, place.rank)
        return Partition(dense_shape, place, (whole,), partial=(0, dense_shape[0]) if partial else None)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of this rank's parameter."""
        size = sum(chunk.size for chunk in self.chunks) + self.padding
        return *self.dense_shape[: self.dim], size, *self.dense_shape[self.dim + 1 :]

    def shard(self, dense: Tensor) -> Tensor:
        """This rank's shard of a dense tensor, as a new tensor; zeros in the padding.

        Raises ValueError where `dense` has another shape than the dense parameter.
        """
        require_tensor("the dense tensor", dense)
        if tuple(dense.shape) != self.dense_shape:
            raise ValueError(f"a dense tensor of shape {tuple(dense.shape)}; shape that works: {self.dense_shape}")
        shard = dense.new_zeros(self.shape)
        for chunk, rows in self.views(shard):
            rows.copy_(dense.narrow(self.dim, chunk.start, chunk.size))
        return shard

    def full_tensor(self, shard: Tensor) -> Tensor:
        """The dense tensor, on every rank: the first copy of each chunk, to the last bit. Every rank must call it.

        `shard`: the parameter, its gradient, or an optimizer's state for it. One all-reduce of the dense size.
        Raises ValueError where `shard` has another shape than this rank's parameter.
        """
        require_tensor("the shard", shard)
        if tuple(shard.shape) != self.shape:
            raise ValueError(f"a shard of shape {tuple(shard.shape)}; shape that works on this rank: {self.shape}")
        dense = shard.new_zeros(self.dense_shape)
        for chunk, rows in self.views(shard):
            if chunk.copy == 0:
                dense.narrow(self.dim, chunk.start, chunk.size).copy_(rows)
        return plain_all_reduce(dense, self.place)

    def views(self, shard: Tensor, first: int = 0) -> Iterator[tuple[Chunk, Tensor]]:
        """Each chunk, and the view of `shard` that holds it; padding is in none.

        `first`: where `shard` begins along `dim` in this rank's parameter, if it is only some rows of it (as FSDP keeps
        them); a chunk is then narrowed to the rows that are there.
        """
        stop = first + shard.shape[self.dim]
        start = 0
        for chunk in self.chunks:
            low, high = max(start, first), min(start + chunk.size, stop)
            if low < high:
                there = replace(chunk, start=chunk.start + low - start, stop=chunk.start + high - start)
                yield there, shard.narrow(self.dim, low - first, high - low)
            start += chunk.size


def partitions(module: nn.Module) -> Iterator[tuple[str, nn.Parameter, Partition | None]]:
    """(name, parameter, its partition) for each parameter, tied ones once; None for those of ordinary modules."""
    if not isinstance(module, nn.Module):
        raise ValueError(f"module = {shown(module)} is not a torch.nn.Module; a model or a layer works")
    return _partitions(module)


def _partitions(module: nn.Module) -> Iterator[tuple[str, nn.Parameter, Partition | None]]:
    layers = dict(module.named_modules())
    for name, parameter in module.named_parameters():
        layer, _, own_name = name.rpartition(".")
        own = getattr(layers[layer], "partitions", None)
        yield name, parameter, own.get(own_name) if isinstance(own, dict) else None
