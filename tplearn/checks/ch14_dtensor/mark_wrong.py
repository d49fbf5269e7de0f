"""Wrong answers to exercise 14.7."""

import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard, distribute_tensor


def wrong_mark(weight: Tensor, mesh: DeviceMesh, spec: tuple, wrong: str) -> DTensor | Tensor:
    """The weight marked with one thing `wrong`."""
    names = mesh.mesh_dim_names or ()
    axes = [(name,) if isinstance(name, str) else name or () for name in spec]
    if wrong == "one name for a dim":
        axes = [of_dim[:1] for of_dim in axes]
    if wrong == "[in, out]":
        axes = axes[::-1]
    if wrong == "last name for a dim":
        axes = [of_dim[-1:] for of_dim in axes]
    dims = {name: dim for dim, of_dim in enumerate(axes) for name in of_dim}
    if wrong == "None not counted":
        dims = {name: dim for dim, of_dim in enumerate(filter(None, axes)) for name in of_dim}
    fits = len(spec) == weight.ndim or wrong == "length not looked at"
    known = all(name in names for name in dims) or wrong == "unknown names ignored"
    once = sum(map(len, axes)) == len(dims) or wrong == "a name twice allowed"
    numbers = [[names.index(name) for name in of_dim if name in names] for of_dim in axes]
    ordered = all(of_dim == sorted(of_dim) for of_dim in numbers) or wrong == "any order of names"
    if wrong == "another error":
        assert fits and known and once and ordered, f"spec = {spec}"
    if not (fits and known and once and ordered) and wrong != "nothing refused":
        raise ValueError(f"spec = {spec} does not fit")
    uneven = any(weight.shape[dim] % mesh[name].size() for name, dim in dims.items() if name in names)
    if wrong == "uneven refused" and uneven:
        raise ValueError(f"{weight.shape} does not divide")
    return _placed(weight, mesh, names, axes, dims, wrong)


def _placed(
    weight: Tensor, mesh: DeviceMesh, names: tuple[str, ...], axes: list, dims: dict[str, int], wrong: str
) -> DTensor | Tensor:
    placements: list[Placement] = [Shard(dims[name]) if name in dims else Replicate() for name in names]
    if wrong == "in the spec's order":
        placements = [Shard(dims[name]) if name else Replicate() for of_dim in axes for name in (of_dim or (None,))]
        placements = (placements + [Replicate()] * len(names))[: len(names)]
    if wrong == "mesh dim for tensor dim":
        placements = [Shard(names.index(of_dim[0])) if of_dim else Replicate() for of_dim in axes][: len(names)]
        placements += [Replicate()] * (len(names) - len(placements))
    if wrong == "replicate forgotten":
        placements = [Shard(dims.get(name, 0)) for name in names]
    if wrong == "model alone":
        placements = [Shard(dims[name]) if name in dims and name == "model" else Replicate() for name in names]
    if wrong == "first mesh dimension alone":
        placements = [placements[0], *[Replicate()] * (len(names) - 1)]
    if wrong == "last cut only":
        cuts = [k for k, placement in enumerate(placements) if placement.is_shard()]
        placements = [p if k in cuts[-1:] else Replicate() for k, p in enumerate(placements)]
    if wrong == "nothing cut":
        placements = [Replicate()] * len(names)
    if wrong == "taken for a shard":
        return DTensor.from_local(weight, mesh, placements, run_check=False)
    if wrong == "by number in the world":
        own, at = weight, dist.get_rank()
        for name, dim in dims.items():
            own = own.chunk(mesh[name].size(), dim)[at % mesh[name].size()]
        shape = {"shape": weight.shape, "stride": weight.stride()}
        return DTensor.from_local(own.contiguous(), mesh, placements, run_check=False, **shape)
    source = 0 if wrong == "sent from rank 0" else None
    marked = distribute_tensor(weight, mesh, placements, src_data_rank=source)
    return marked.to_local() if wrong == "a plain tensor" else marked
