"""What the wrong answers to exercise 14.7 show: the spec's order, [in, out], no refusal."""

from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard, distribute_tensor

from tplearn.checks.exercise import mutants_of


def _marked(weight: Tensor, mesh: DeviceMesh, spec: tuple, wrong: str) -> DTensor | Tensor:
    """The weight marked with one thing `wrong`."""
    names = mesh.mesh_dim_names or ()
    axes = [(name,) if isinstance(name, str) else name or () for name in spec]
    if wrong == "one name for a dim":
        axes = [of_dim[:1] for of_dim in axes]
    if wrong == "[in, out]":
        axes = axes[::-1]
    dims = {name: dim for dim, of_dim in enumerate(axes) for name in of_dim}
    fits = len(spec) == weight.ndim or wrong == "length not looked at"
    known = all(name in names for name in dims) or wrong == "unknown names ignored"
    once = sum(map(len, axes)) == len(dims) or wrong == "a name twice allowed"
    numbers = [[names.index(name) for name in of_dim if name in names] for of_dim in axes]
    ordered = all(of_dim == sorted(of_dim) for of_dim in numbers) or wrong == "any order of names"
    if wrong == "another error":
        assert fits and known and once and ordered, f"spec = {spec}"
    if not (fits and known and once and ordered) and wrong != "nothing refused":
        raise ValueError(f"spec = {spec} does not fit")
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
    source = 0 if wrong == "sent from rank 0" else None
    marked = distribute_tensor(weight, mesh, placements, src_data_rank=source)
    return marked.to_local() if wrong == "a plain tensor" else marked


MUTANTS = mutants_of(
    _marked,
    (
        "in the spec's order",
        "Your placements stand in the order of the spec, one for each dim of the weight. DTensor wants one for each "
        "dimension of the *mesh*, and in it the dim of the weight: the table the other way round.",
        "a loop over mesh.mesh_dim_names.",
    ),
    (
        "mesh dim for tensor dim",
        "You wrote Shard(number of the mesh dimension). In Shard stands the dim of the weight; the mesh dimension is "
        "the place in the list.",
        "Shard(dim) for dim, name in enumerate(spec).",
    ),
    (
        "[in, out]",
        "You counted the spec from the other end, as for a weight that is [in, out]. The first name belongs to dim 0, "
        "which in an nn.Linear are the outputs.",
        "enumerate(spec).",
    ),
    (
        "replicate forgotten",
        "A mesh dimension that the spec does not name was cut all the same, along dim 0. Along it the weight is "
        "replicated.",
        "Replicate() for the names that are in no place of the spec.",
    ),
    (
        "model alone",
        'You looked for one name, "model". A mesh dimension may be called otherwise, and a spec may name several.',
        "a loop over mesh.mesh_dim_names.",
    ),
    (
        "first mesh dimension alone",
        "You looked at the first dimension of the mesh alone. There is a placement for each.",
        "a loop over mesh.mesh_dim_names.",
    ),
    (
        "last cut only",
        "Of several cuts you kept the last. A weight may be cut along one mesh dimension and along another.",
        "one list of placements, and one distribute_tensor.",
    ),
    (
        "nothing cut",
        "Your DTensor is replicated: every rank has all of the weight.",
        "Shard(dim) where the spec has a name.",
    ),
    (
        "taken for a shard",
        "You took the whole weight, which every rank has, for a shard of a larger one: DTensor.from_local believes "
        "what it is told. The DTensor is too large now, and every rank has all of the weight.",
        "distribute_tensor cuts; from_local does not.",
    ),
    (
        "sent from rank 0",
        "Right, but rank 0 sent everybody a shard of its own weight. Every rank has the same weight already: it keeps "
        "what is its own.",
        "src_data_rank=None.",
    ),
    (
        "a plain tensor",
        "You returned the shard as a plain tensor, which does not know what it is a shard of. A DTensor is due.",
        "what is returned.",
    ),
    (
        "one name for a dim",
        "Of a tuple of names you took the first. A dim of the weight may be cut over several mesh dimensions: 8 rows "
        'over ("data", "model") on a 2×2 mesh are 2 on each rank, and both placements are Shard(0).',
        "the entries of spec that are tuples.",
    ),
    (
        "unknown names ignored",
        "A name that the mesh has not was passed over, and the weight stays whole: a typo would cost memory on every "
        "rank, and nobody would be told. ValueError.",
        "the names that are not in mesh.mesh_dim_names.",
    ),
    (
        "length not looked at",
        "A spec with fewer or more entries than the weight has dims was accepted. Which dim did it leave out? "
        "ValueError.",
        "len(spec) and weight.ndim.",
    ),
    (
        "a name twice allowed",
        "A name that stands twice was accepted. One mesh dimension can cut one dim only. ValueError.",
        "the names of all entries together.",
    ),
    (
        "any order of names",
        '("model", "data") for one dim was accepted, and the rows came out in the order of the mesh: data outside, '
        "model inside. The spec says the opposite, and each rank has rows that it should not have. ValueError.",
        "the order of names in a tuple, beside that in mesh.mesh_dim_names.",
    ),
    (
        "another error",
        "You refuse with another error than ValueError. (An assert raises AssertionError, and is gone "
        "under python -O.)",
        "the type of the error.",
    ),
    (
        "nothing refused",
        "No spec was refused: names that the mesh has not, or that stand twice, and specs of another length.",
        "what is asked before the placements are made.",
    ),
)
