"""Exercise 15.6: a dense layer whose kernel is drawn where it shall lie, and whose output says how it shall lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Generator

from tplearn.checks.ch15_gspmd.dense_mutants import MUTANTS
from tplearn.checks.ch15_gspmd.drive_layers import of_dense
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

if TYPE_CHECKING:
    from jax import Array
    from jax.sharding import Mesh, PartitionSpec


def tensor_parallel_dense(
    key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec
) -> tuple[Array, Callable[[Array, Array], Array]]:
    """The kernel by a compiled function with an out_sharding; the ending by a constraint."""
    import jax
    from jax.sharding import NamedSharding

    def draw(key: Array) -> Array:
        return jax.random.normal(key, sizes) / sizes[0] ** 0.5

    def apply(kernel: Array, x: Array) -> Array:
        return jax.lax.with_sharding_constraint(x @ kernel, NamedSharding(mesh, out_spec))

    return jax.jit(draw, out_shardings=NamedSharding(mesh, kernel_spec))(key), apply


KINDS = {
    "columns, y whole": ((None, "model"), ("batch", None)),
    "rows, y cut": (("model", None), ("batch", "model")),
}


def _cases(generator: Generator) -> list[Case]:
    return [
        Case(8, (pick(generator, 1, 10**6), (8, 12), *specs), label=label, mesh=(2, 4))
        for label, specs in KINDS.items()
    ]


TENSOR_PARALLEL_DENSE = Exercise(
    number="15.6",
    name="tensor_parallel_dense",
    points=10,
    difficulty=2,
    minutes=12,
    reference=tensor_parallel_dense,
    cases=_cases,
    observe=of_dense,
    timeout=20.0,
    jax=True,
    mutants=MUTANTS,
    ready=("tplearn.gspmd.dense",),
)
