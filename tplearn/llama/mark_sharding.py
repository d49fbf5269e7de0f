"""One weight, marked: which mesh dimension cuts which of its own, as Torch-XLA writes it, on PyTorch's DTensor."""

from torch import Tensor, nn
from torch.distributed.tensor import DeviceMesh, Replicate, Shard, distribute_tensor

from tplearn.sizes import shown


def mark_sharding(weight: Tensor, mesh: DeviceMesh, spec: tuple[str | None, ...]) -> nn.Parameter:
    """The weight as a DTensor. spec: for each of its dimensions the name of a mesh dimension, or None.

    `layer.weight = mark_sharding(layer.weight, mesh, ("model", None))` cuts the outputs of an nn.Linear. Along mesh
    dimensions that are not named it is replicated. Every rank holds the same weight, so nothing is sent.
    torch_xla.distributed.spmd has a `mark_sharding` with this spec.

    Raises ValueError for a spec of another length, and for a name that the mesh has not, or that is there twice.
    """
    names = mesh.mesh_dim_names or ()
    if len(spec) != weight.ndim:
        shape = tuple(weight.shape)
        raise ValueError(f"spec = {shown(spec)} for a weight of shape {shape}; {weight.ndim} names, or None, work")
    cut = [name for name in spec if name is not None]
    for name in cut:
        if name not in names or cut.count(name) > 1:
            raise ValueError(f"spec = {shown(spec)}: {name!r} does not work; each of {names} does, once, and None")
    placements = [Shard(spec.index(name)) if name in cut else Replicate() for name in names] or [Replicate()]
    return nn.Parameter(distribute_tensor(weight.detach(), mesh, placements, src_data_rank=None), weight.requires_grad)
