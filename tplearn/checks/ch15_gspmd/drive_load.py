"""How a loader is watched: what each device holds in the end, what was read for it, and the largest piece at once."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tplearn.checks.ch12_real_weights.file import CountingFile, TensorSlice

Spec = tuple[str | tuple[str, ...] | None, ...]


class NotingFile(CountingFile):
    """A file that notes every read by itself: `reads` has (name, bytes)."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__(tensors)
        self.reads: list[tuple[str, int]] = []

    def get_slice(self, name: str) -> "NotingSlice":
        """As a CountingFile's."""
        super().get_slice(name)
        return NotingSlice(self, name)


class NotingSlice(TensorSlice):
    """One tensor of a NotingFile."""

    def __getitem__(self, where: slice | tuple[slice, ...]) -> Tensor:
        part = super().__getitem__(where)
        self.file.reads.append((self.name, part.nbytes))
        return part


def of_loader(
    fn: Callable[..., Any], tensors: dict[str, Tensor], mesh: tuple[int, int], specs: dict[str, Spec]
) -> dict[str, Any]:
    """By name: the shards of all devices, the bytes that were read; "at once" where one read was too large."""
    import jax
    from jax.sharding import PartitionSpec

    from tplearn.checks.ch15_gspmd.programs import require, shards_of
    from tplearn.gspmd.devices import make_mesh

    file = NotingFile(tensors)
    arrays = require(fn(file, make_mesh(*mesh), lambda name: PartitionSpec(*specs[name])), dict, "your result")
    for name, array in arrays.items():
        require(array, jax.Array, f"your result[{name!r}]")
    held = {name: shards_of(array) for name, array in arrays.items()}
    seen: dict[str, Any] = {
        "forward": held,
        "bytes read": {name: sum(size for own, size in file.reads if own == name) for name in tensors},
    }
    for name, size in file.reads:
        most = max(shard.numel() for shard in held.get(name, [tensors[name]])) * tensors[name].element_size()
        if size > most:
            seen["at once"] = (
                f"your function read {size} bytes of {name} at once, where the largest shard has {most}. A tensor of a "
                "large model may fit on no single device, nor into this process: each read is one shard's."
            )
            break
    return seen
