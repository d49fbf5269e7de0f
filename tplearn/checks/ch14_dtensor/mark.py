"""Exercise 14.7: a weight marked in Torch-XLA's words, several mesh dimensions for one of its own included."""

from torch import Generator, Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from tplearn.checks.ch14_dtensor.drive_parts import of_marked
from tplearn.checks.ch14_dtensor.mark_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import randn

Spec = tuple[str | tuple[str, ...] | None, ...]


def mark_sharding(weight: Tensor, mesh: DeviceMesh, spec: Spec) -> DTensor:
    """A placement for each dimension of the mesh."""
    names = mesh.mesh_dim_names
    axes = [(name,) if isinstance(name, str) else name or () for name in spec]
    dims = {name: dim for dim, of_dim in enumerate(axes) for name in of_dim}
    unknown = [name for name in dims if name not in names]
    twice = sum(map(len, axes)) > len(dims)
    disordered = [of_dim for of_dim in axes if list(of_dim) != [name for name in names if name in of_dim]]
    if len(spec) != weight.ndim or unknown or twice or disordered:
        raise ValueError(f"spec = {spec} does not fit {weight.ndim} dims and a mesh of {names}")
    placements = [Shard(dims[name]) if name in dims else Replicate() for name in names]
    return distribute_tensor(weight, mesh, placements, src_data_rank=None)


Mesh = tuple[tuple[int, ...], tuple[str, ...]]
ROW: Mesh = ((2,), ("model",))
GRID: Mesh = ((2, 2), ("data", "model"))
# tp, mesh, shape of the weight, spec; what is wrong with it
FINE: tuple[tuple[int, Mesh, tuple[int, ...], Spec], ...] = (
    (1, ((1,), ("model",)), (4, 6), ("model", None)),
    (2, ROW, (4, 6), ("model", None)),
    (2, ROW, (4, 6), (None, "model")),
    (2, ROW, (4, 6), (None, None)),
    (2, ROW, (5,), ("model",)),
    (4, GRID, (4, 6), ("model", None)),
    (4, GRID, (4, 6), ("data", "model")),
    (4, GRID, (4, 6), ("model", "data")),
    (4, GRID, (3, 4, 6), (None, None, "data")),
    (4, GRID, (8, 6), (("data", "model"), None)),
    (4, ((4, 1), ("replica", "model")), (6, 8), (None, ("replica", "model"))),
    (4, ((1, 4), ("batch", "model")), (6, 8), ("batch", "model")),
)
REFUSED: tuple[tuple[int, Mesh, tuple[int, ...], Spec, str], ...] = (
    (2, ROW, (4, 6), ("tensor", None), "a name that the mesh has not"),
    (2, ROW, (4, 6), ("model",), "a spec that is too short"),
    (2, ROW, (4, 6), ("model", None, None), "a spec that is too long"),
    (2, ROW, (4, 6), ("model", "model"), "a name that stands twice"),
    (4, GRID, (8, 6), (("model", "data"), None), "names in another order than the mesh's"),
)


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, (mesh, names), shape, spec, *why in (*FINE, *REFUSED):
        size = "×".join(map(str, mesh))
        label = f"spec {spec} on a mesh of {size}" + (f": {why[0]}" if why else "")
        cases.append(Case(tp, (mesh, names, randn(generator, *shape), spec), label=label))
    return cases


MARK_SHARDING = Exercise(
    number="14.7",
    name="mark_sharding",
    points=15,
    difficulty=2,
    minutes=15,
    reference=mark_sharding,
    cases=_cases,
    observe=of_marked,
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.llama.mark_sharding",),
)
