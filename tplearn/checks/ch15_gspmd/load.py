"""Exercise 15.3: arrays on a mesh, each shard read once from a file, with rows of zeros where words do not divide."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Generator

from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.checks.ch15_gspmd.drive_load import Spec, of_loader
from tplearn.checks.ch15_gspmd.load_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import randn

if TYPE_CHECKING:
    import jax
    import numpy as np
    from jax.sharding import Mesh, PartitionSpec


def load_sharded(file: CountingFile, mesh: Mesh, spec: Callable[[str], PartitionSpec]) -> dict[str, jax.Array]:
    """Each slice is read for the first device that asks, and kept for those that ask again."""
    import jax
    from jax.sharding import NamedSharding

    arrays = {}
    for name in file.keys():  # noqa: SIM118 (it is no dict)
        part, axes = file.get_slice(name), spec(name)
        parts = [_parts(mesh, entry) for entry in axes] + [1] * len(part.get_shape())
        shape = tuple(-(-size // n) * n for size, n in zip(part.get_shape(), parts, strict=False))
        known: dict[tuple, np.ndarray] = {}

        def read(index: tuple[slice, ...], part=part, shape=shape, known=known) -> np.ndarray:
            import numpy as np

            key = tuple(one.indices(size)[:2] for one, size in zip(index, shape, strict=True))
            if key not in known:
                own = part[tuple(slice(*pair) for pair in key)].numpy()
                due = [stop - start for start, stop in key]
                known[key] = np.pad(own, [(0, n - have) for n, have in zip(due, own.shape, strict=True)])
            return known[key]

        arrays[name] = jax.make_array_from_callback(shape, NamedSharding(mesh, axes), read)
    return arrays


def _parts(mesh: Mesh, entry: str | tuple[str, ...] | None) -> int:
    """How many pieces a dimension is cut into."""
    names = (entry,) if isinstance(entry, str) else entry or ()
    parts = 1
    for name in names:
        parts *= mesh.shape[name]
    return parts


# mesh, shape and spec of each tensor
KINDS: dict[str, tuple[tuple[int, int], dict[str, tuple[tuple[int, ...], Spec]]]] = {
    "rows, columns, a bias, a norm": (
        (2, 4),
        {
            "q_proj": ((8, 6), ("model", None)),
            "o_proj": ((6, 8), (None, "model")),
            "q_bias": ((8,), ("model",)),
            "norm": ((6,), ()),
        },
    ),
    "cut both ways, and over two axes": (
        (4, 2),
        {"gate_proj": ((8, 6), ("batch", "model")), "up_proj": ((10, 3), (("batch", "model"), None))},
    ),
    "words that do not divide": ((2, 4), {"embed_tokens": ((10, 3), ("model", None))}),
    "devices without words": (
        (1, 8),
        {"embed_tokens": ((9, 3), ("model", None)), "columns": ((3, 13), (None, "model"))},
    ),
}


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for label, (mesh, rows) in KINDS.items():
        tensors = {name: randn(generator, *shape) for name, (shape, _) in rows.items()}
        tensors |= {name: tensor.float() for name, tensor in tensors.items() if name == "norm"}  # types may differ
        specs = {name: spec for name, (_, spec) in rows.items()}
        cases.append(Case(8, (tensors, mesh, specs), label=label, mesh=mesh))
    return cases


LOAD_SHARDED = Exercise(
    number="15.3",
    name="load_sharded",
    points=15,
    difficulty=2,
    minutes=18,
    reference=load_sharded,
    cases=_cases,
    observe=of_loader,
    held=0,
    timeout=20.0,
    jax=True,
    mutants=MUTANTS,
    ready=("tplearn.gspmd.checkpoint",),
)
