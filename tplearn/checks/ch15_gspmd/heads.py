"""Exercise 15.4: a mesh with an axis for KV heads and one for their copies, and what is cut over which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Generator

from tplearn.checks.ch15_gspmd.drive_heads import of_kv_mesh, plan_of_kv_mesh
from tplearn.checks.ch15_gspmd.heads_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

if TYPE_CHECKING:
    from jax.sharding import Mesh, PartitionSpec


def kv_mesh(batch: int, model: int, kv_heads: int) -> tuple[Mesh, dict[str, PartitionSpec]]:
    """As many devices along "kv" as there are heads to share, and copies for the rest."""
    import jax
    from jax.sharding import AxisType
    from jax.sharding import PartitionSpec as P

    if model % kv_heads and kv_heads % model:
        raise ValueError(f"kv_heads = {kv_heads} and model = {model}: neither divides the other")
    kv = min(model, kv_heads)
    mesh = jax.make_mesh((batch, kv, model // kv), ("batch", "kv", "copy"), axis_types=(AxisType.Auto,) * 3)
    every = ("kv", "copy")
    keys = P("kv", None)
    return mesh, {"q_proj": P(every, None), "k_proj": keys, "v_proj": keys, "o_proj": P(None, every)}


SIZES = ((1, 8, 4), (1, 8, 2), (2, 4, 8), (1, 8, 3), (2, 4, 6))


def _cases(generator: Generator) -> list[Case]:
    return [
        Case(
            batch * model,
            (pick(generator, 1, 10**6), batch, model, kv_heads),
            label=f"{kv_heads} KV heads",
            mesh=(batch, model),
        )
        for batch, model, kv_heads in SIZES
    ]


KV_MESH = Exercise(
    number="15.4",
    name="kv_mesh",
    points=15,
    difficulty=2,
    minutes=15,
    reference=kv_mesh,
    cases=_cases,
    observe=of_kv_mesh,
    timeout=20.0,
    jax=True,
    plan=plan_of_kv_mesh,
    unjudged=("placement",),
    mutants=MUTANTS,
    ready=("tplearn.gspmd.specs", "tplearn.gspmd.devices.make_kv_mesh"),
)
