"""What chapter 14's observers share: a mesh, gradients, what is cut, and where a model stops."""

import contextlib
import functools
import logging
import traceback
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor

from tplearn.checks.compare import first_line
from tplearn.checks.observe import plain
from tplearn.checks.parts import cut, summand

NOTES = ("torch.distributed.tensor", "torch._subclasses.fake_tensor")  # logs of what DTensor tries, for its authors


def mesh_of(shape: tuple[int, ...] | None = None, names: tuple[str, ...] = ("tp",)) -> DeviceMesh:
    """A mesh of these sizes; of all ranks in a row for None. A rank makes it once in the life of its world."""
    return _made(dist.group.WORLD, shape or (dist.get_world_size(),), names)


@functools.cache
def _made(world: dist.ProcessGroup, shape: tuple[int, ...], names: tuple[str, ...]) -> DeviceMesh:
    for name in NOTES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return init_device_mesh("cpu", shape, mesh_dim_names=names)


def shortened(text: str, most: int = 160) -> str:
    """Its beginning, where it is long."""
    return text if len(text) <= most else text[: most - 1] + "…"


def local(tensor: Tensor) -> Tensor:
    """This rank's part of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: Tensor | None) -> Any:
    """A tensor's numbers, or this rank's part of them."""
    if not isinstance(tensor, DTensor):
        return None if tensor is None else plain(tensor)
    (placement,) = tensor.placements
    own = plain(tensor.to_local())
    if placement.is_partial():
        return summand(own)
    return cut(own, placement.dim) if placement.is_shard() else own


def written(tensor: Tensor) -> str:
    """The placements, in the letters of chapter 04: "S(0)", "R", "P"; with two mesh dimensions "R, S(0)"."""
    if not isinstance(tensor, DTensor):
        return "no DTensor"
    letters = (f"S({p.dim})" if p.is_shard() else "P" if p.is_partial() else "R" for p in tensor.placements)
    return ", ".join(letters)


def matches(model: nn.Module, key: object) -> bool:
    """Whether parallelize_module finds a module under this key, name by name."""
    here = [model]
    for token in str(key).split("."):
        here = [child for module in here for name, child in module.named_children() if fnmatch(name, token)]
    return bool(here)


def weights(model: nn.Module) -> dict[str, str]:
    """Of each parameter whether the ranks share it, "cut", or each has all of it, "whole"."""
    cut = {
        name: isinstance(p, DTensor) and any(placement.is_shard() for placement in p.placements)
        for name, p in model.named_parameters(remove_duplicate=False)
    }
    return {name: "cut" if of_one else "whole" for name, of_one in cut.items()}


def gradients(model: nn.Module) -> dict[str, Any]:
    """Each parameter's gradient, of which this rank may hold a part."""
    return {name: part_of(p.grad) for name, p in model.named_parameters(remove_duplicate=False)}


class Stopped(Exception):
    """A model under a plan stopped; `says` is a sentence about it."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


@contextlib.contextmanager
def may_stop(model: nn.Module, doing: str = "") -> Iterator[None]:
    """Say in which module a model stops: the plan is the reader's, and the line that fails is not.

    doing: what stops where no module does. "": the reader's own code, whose errors go on their way.
    """
    try:
        yield
    except Exception as error:
        names = {module: name for name, module in model.named_modules() if name}
        frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        inside = [names[own] for own in frames if isinstance(own, nn.Module) and own in names]
        if not inside and not doing:
            raise
        place = f"the model stops in {inside[-1]}" if inside else f"{doing} stops"
        raise Stopped(f"{place}: {type(error).__name__}: {shortened(first_line(str(error)))}") from error
