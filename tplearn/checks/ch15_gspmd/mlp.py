"""Exercise 15.5: an MLP in shard_map, with f and g written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Generator

from tplearn.checks.ch15_gspmd.drive_layers import of_mlp
from tplearn.checks.ch15_gspmd.mlp_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

if TYPE_CHECKING:
    from jax import Array
    from jax.sharding import Mesh


def mlp_by_hand(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """f before the columns, g after the rows, the bias after g."""
    import jax
    from jax.sharding import PartitionSpec as P

    def on_a_device(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
        x = jax.lax.pcast(x, "model", to="varying")
        y = jax.nn.silu(x @ gate.T) * (x @ up.T)
        return jax.lax.psum(y @ down.T, "model") + bias

    specs = (P("batch"), P("model", None), P("model", None), P(None, "model"), P())
    return jax.shard_map(on_a_device, mesh=mesh, in_specs=specs, out_specs=P("batch"))(x, gate, up, down, bias)


def _cases(generator: Generator) -> list[Case]:
    """One: each more is one more program to compile for every mutant."""
    return [Case(8, (pick(generator, 1, 10**6), (2, 4)), mesh=(2, 4))]


MLP_BY_HAND = Exercise(
    number="15.5",
    name="mlp_by_hand",
    points=15,
    difficulty=2,
    minutes=15,
    reference=mlp_by_hand,
    cases=_cases,
    observe=of_mlp,
    timeout=20.0,
    jax=True,
    mutants=MUTANTS,
)
