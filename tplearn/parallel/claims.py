"""What should be the same on several ranks: of a module what its partitions say, of tensors all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tplearn.parallel.fsdp import is_dtensor, views_here
from tplearn.parallel.partition import Partition, partitions
from tplearn.parallel.place import Group, Place
from tplearn.sizes import shown
from tplearn.tensors import described, require_tensor


@dataclass(frozen=True)
class Claim:
    """`x` is the same on all ranks of `place` whose claim of this name has the same `key`.

    dim, first: x begins at `first` along `dim` of the tensor that is called `name`. drawn: x is the first number of a
    dense parameter, as it was drawn; key −1 says that this rank's shard of it has changed since.
    """

    name: str
    place: Place
    x: Tensor
    key: int = 0
    dim: int = 0
    first: int = 0
    drawn: bool = False

    @property
    def kind(self) -> str:
        """Shape and dtype, which must be the same before numbers can be compared."""
        return described(self.x)

    def index(self, at: int) -> list[int]:
        """Where number `at` of x, counted through, stands in the tensor that the claim is named after."""
        index = []
        for size in reversed(self.x.shape):
            at, here = divmod(at, size)
            index.insert(0, here)
        if self.first:
            index[self.dim] += self.first
        return index


def claims_of(what: object, group: Group) -> list[Claim]:
    """The claims of a tensor, of a module, or of tensors in dictionaries and lists. ValueError for anything else."""
    if isinstance(what, nn.Module):
        return list(_of_module(what, group))
    if isinstance(what, (Mapping, list, tuple)):
        place = Place.of(group)
        return [Claim(name, place, require_values(name, x)) for name, x in _named(what, "")]
    return [Claim("the tensor", Place.of(group), require_values("the tensor", what))]


def require_values(name: str, x: object) -> Tensor:
    """Raises ValueError where `x` is no plain tensor, or on the meta device."""
    if require_tensor(name, x).is_meta:
        raise ValueError(f"{name} is on the meta device and has no numbers yet; a loaded tensor works")
    return x.detach()


def _named(what: object, name: str) -> Iterator[tuple[str, object]]:
    """Dictionaries in the order of their keys as text: ranks may have filled them in another order."""
    if isinstance(what, Mapping):
        for key in sorted(what, key=str):
            yield from _named(what[key], f"{name}.{key}" if name else str(key))
    elif isinstance(what, (list, tuple)):
        for number, item in enumerate(what):
            yield from _named(item, f"{name}[{number}]")
    elif isinstance(what, (Tensor, nn.Parameter)):
        yield name, what
    else:
        raise ValueError(f"{name} = {shown(what)} cannot be compared; tensors work, in dictionaries and lists too")


def _of_module(module: nn.Module, group: Group) -> Iterator[Claim]:
    for name, parameter, partition in partitions(module):
        if parameter.is_meta:
            raise ValueError(f"{name} is on the meta device and has no numbers yet; a loaded module works")
        if partition is not None and _cut_over(partition, group):
            yield _draw(name, parameter, partition)
            first = 0
            for chunk, view in views_here(partition, parameter.detach()):
                if chunk.copies > 1:
                    yield Claim(name, partition.place, view, chunk.start, partition.dim, first)
                first += chunk.size
        elif not is_dtensor(parameter):  # what FSDP has cut over the group differs
            yield Claim(name, Place.of(group), parameter.detach())
    for name, buffer in module.named_buffers():
        yield Claim(name, Place.of(group), require_values(name, buffer))


def _cut_over(partition: Partition, group: Group) -> bool:
    """Whether `group` is what the parameter is cut over; None stands for that group, whichever it is."""
    if group is None or not dist.is_initialized():
        return True
    return _ranks(Place.of(group)) == _ranks(partition.place)


def _ranks(place: Place) -> list[int]:
    return dist.get_process_group_ranks(place.group or dist.group.WORLD)


def _draw(name: str, parameter: nn.Parameter, partition: Partition) -> Claim:
    """Shards are different numbers, and have no copy to compare. What they were cut from was drawn on every rank."""
    dense, own = getattr(parameter, "drawn", (torch.zeros(1), None))
    now = parameter.detach().flatten()[:1] if own is not None else None
    unchanged = now is not None and torch.equal(now, own.to(now.device, now.dtype))
    return Claim(name, partition.place, dense.double().cpu(), 0 if unchanged else -1, drawn=True)
