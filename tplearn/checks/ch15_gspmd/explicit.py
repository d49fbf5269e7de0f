"""Exercise 15.7: an MLP block in explicit mode, with an ending after the rows and one f before the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Generator

from tplearn.checks.ch15_gspmd.drive_layers import of_explicit
from tplearn.checks.ch15_gspmd.explicit_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

if TYPE_CHECKING:
    from jax import Array


def explicit_block(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """f where the norm has ended, the all-reduce where down ends; bias and x come after it."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    h = x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True))
    h = jax.reshard(h, P("batch", None, None, reduced={"model"}))
    y = jax.nn.silu(jnp.einsum("bsh,ih->bsi", h, gate)) * jnp.einsum("bsh,ih->bsi", h, up)
    return x + jnp.einsum("bsi,hi->bsh", y, down, out_sharding=P("batch", None, None)) + bias


def _cases(generator: Generator) -> list[Case]:
    """One: each more is one more program to compile for every mutant."""
    return [Case(8, (pick(generator, 1, 10**6), (2, 4)), mesh=(2, 4))]


EXPLICIT_BLOCK = Exercise(
    number="15.7",
    name="explicit_block",
    points=15,
    difficulty=3,
    minutes=15,
    reference=explicit_block,
    cases=_cases,
    observe=of_explicit,
    timeout=20.0,
    jax=True,
    mutants=MUTANTS,
    ready=("tplearn.gspmd.model",),
)
