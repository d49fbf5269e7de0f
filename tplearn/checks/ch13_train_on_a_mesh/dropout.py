"""Exercise 13.5: the dense model's own dropout mask on every rank of a mesh, for shards that may differ in size."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch13_train_on_a_mesh.drive import dropout_on_mesh
from tplearn.checks.ch13_train_on_a_mesh.dropout_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.checks.traffic import Traffic
from tplearn.ranks import per_rank

SPARE = 128  # bytes: sizes may be gathered too, but no mask fits in here
EVEN, ODD = (8, 12, 6), (7, 9, 5)  # [batch, seq, hidden] of the dense model
KINDS = (
    ("", EVEN, {"dp": 0, "tp": 1}, [(1, 1), (1, 2), (2, 1), (2, 2)]),
    ("x is the same over tp", EVEN, {"dp": 0}, [(1, 2), (2, 2), (4, 1)]),
    ("sizes that do not divide", ODD, {"dp": 0, "tp": 1}, [(1, 2), (2, 1), (2, 2)]),
    ("sizes that do not divide", ODD, {"tp": -1}, [(1, 4)]),
    ("one dim is cut twice", ODD, {"dp": 0, "tp": 0}, [(2, 2)]),
    ("one dim is cut twice, tp first", ODD, {"tp": 1, "dp": 1}, [(2, 2)]),
)


def mesh_dropout(x: Tensor, p: float, cut: dict[str, int], mesh: dist.DeviceMesh) -> Tensor:
    """x: this rank's shard, cut over cut's mesh dimensions in their order, each along its dim → as x."""
    shape = torch.tensor(x.shape)
    for name, dim in cut.items():
        dist.all_reduce(shape[dim], group=mesh.get_group(name))
    kept = torch.rand(shape.tolist()) >= p
    for name, dim in cut.items():
        kept = kept.tensor_split(mesh[name].size(), dim)[mesh[name].get_local_rank()]
    return x * kept / (1 - p)


def shards(whole: Tensor, cut: dict[str, int], dp: int, tp: int) -> list[Tensor]:
    """What each rank of a mesh has of a dense tensor."""
    own = []
    for rank in range(dp * tp):
        shard, at = whole, {"dp": (rank // tp, dp), "tp": (rank % tp, tp)}
        for name, dim in cut.items():
            place, size = at[name]
            shard = shard.tensor_split(size, dim)[place]
        own.append(shard.clone())
    return own


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for label, shape, cut, meshes in KINDS:
        for dp, tp in meshes:
            x, upstream = (shards(randn(generator, *shape), cut, dp, tp) for _ in range(2))
            p = pick(generator, 1, 3) / 8
            seed = pick(generator, 100, 1 << 20)
            args = (per_rank(upstream), per_rank(x), p, dict(cut), (dp, tp), seed)
            cases.append(Case(dp * tp, args, label=label, mesh=(dp, tp)))
    return cases


MESH_DROPOUT = Exercise(
    number="13.5",
    name="mesh_dropout",
    points=15,
    difficulty=3,
    minutes=15,
    reference=mesh_dropout,
    cases=_cases,
    observe=dropout_on_mesh,
    ranks=True,
    sent=Traffic(spare=SPARE, bytes_only=True),
    mutants=MUTANTS,
)
