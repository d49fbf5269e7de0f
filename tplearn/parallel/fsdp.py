"""What FSDP leaves on this rank of a tensor-parallel parameter: some of its rows, as a DTensor."""

from collections.abc import Iterator

from torch import Tensor

from tplearn.parallel.partition import Chunk, Partition
from tplearn.parallel.place import Place


def is_dtensor(x: Tensor) -> bool:
    """Asked without the second that the import of torch.distributed.tensor takes."""
    return hasattr(x, "device_mesh")


def whole(x: Tensor) -> Tensor:
    """All rows of a parameter or what has its shape, gathered where FSDP has cut it. Every rank must call it."""
    return x.detach().full_tensor() if is_dtensor(x) else x.detach()


def rows_here(x: Tensor) -> tuple[Tensor, int, tuple[Place, ...]]:
    """(rows, first, places): this rank's rows of a parameter or a gradient, where they begin, and over whom it is cut.

    A plain tensor is all here. Of a DTensor (`fully_shard`; with replicas: HSDP) rank r of a mesh dimension has chunk r
    of dim 0, as torch.chunk cuts. Raises ValueError for a DTensor of another kind.
    """
    if not is_dtensor(x):
        return x, 0, ()
    cut = [number for number, placement in enumerate(x.placements) if not placement.is_replicate()]
    if len(cut) > 1 or not all(x.placements[number].is_shard(0) for number in cut):
        raise ValueError(
            f"a DTensor placed {x.placements} cannot be taken apart here; Shard(0) on one mesh dimension works, as "
            "fully_shard makes it, with Replicate() on the others"
        )
    first, places = 0, []
    for number in cut:
        rank, ranks = x.device_mesh.get_local_rank(number), x.device_mesh.size(number)
        first = min(rank * -(-x.shape[0] // ranks), x.shape[0])
        places.append(Place(rank, ranks, x.device_mesh.get_group(number)))
    return x.to_local(), first, tuple(places)


def views_here(partition: Partition, x: Tensor) -> Iterator[tuple[Chunk, Tensor]]:
    """The chunks of a parameter as `Partition.views` gives them, as far as FSDP leaves them on this rank."""
    rows, first, _ = rows_here(x)
    return partition.views(rows, first if partition.dim == 0 else 0)
