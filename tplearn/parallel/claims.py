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

    kind: shape and dtype of the tensor that is called `name`, of which x is all, or what begins at `first` along `dim`.
    drawn: x is the first number of a dense parameter, as it was drawn; key −1 says that this rank's shard of it has
    changed since.
    """

    name: str
    kind: str
    place: Place
    x: Tensor
    key: int = 0
    dim: int = 0
    first: int = 0
    drawn: bool = False

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
        return [_of_all(name, x, group) for name, x in _named(what, "")]
    return [_of_all("the tensor", what, group)]


def home_of(what: object, group: Group) -> Place:
    """Over whom the ranks meet where there is nothing to compare: the group of a module's parameters, else `group`."""
    of_parameters = partitions(what) if isinstance(what, nn.Module) and group is None else ()
    return next((partition.place for _, _, partition in of_parameters if partition), Place.of(group))


def _of_all(name: str, x: object, group: Group) -> Claim:
    """The whole tensor, the same over the group. Raises ValueError where it is no plain tensor, or has no numbers."""
    if require_tensor(name, x).is_meta:
        raise ValueError(f"{name} is on the meta device and has no numbers yet; a loaded tensor works")
    return Claim(name, described(x), Place.of(group), x.detach())


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
                    kind = described(parameter)
                    yield Claim(name, kind, partition.place, view, chunk.start, partition.dim, first)
                first += chunk.size
        elif not is_dtensor(parameter):  # what FSDP has cut over the group differs
            yield _of_all(name, parameter, group)
    for name, buffer in module.named_buffers():
        yield _of_all(name, buffer, group)


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
    x, key = dense.double().cpu(), 0 if unchanged else -1
    return Claim(name, described(parameter), partition.place, x, key, drawn=True)
