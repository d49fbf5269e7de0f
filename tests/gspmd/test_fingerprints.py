"""A wrong annotation does not lie, it costs: the right logits, and a ledger and bytes that give it away."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from tests.gspmd.models import due_logits, texts
from tests.gspmd.on_mesh import OnMesh, Sizes, compiled, mesh_of
from tplearn.gspmd.checkpoint import Spec
from tplearn.gspmd.hlo import count_ops, ledger_of
from tplearn.gspmd.specs import partition_spec
from tplearn.llama import LlamaConfig

pytestmark = pytest.mark.xdist_group("jax")

SHORT = {"AR": "all_reduce", "AG": "all_gather", "A2A": "all_to_all", "CP": "collective_permute"}


def ops(text: str) -> dict[str, int]:
    """ "3 AR 2 AG" → {"all_reduce": 3, "all_gather": 2}."""
    words = text.split()
    return {SHORT[op]: int(count) for count, op in zip(words[::2], words[1::2], strict=True)}


def instead(wrong: dict[str, P]) -> Spec:
    """The right table, with another entry for names that hold a part of a name."""

    def spec(name: str, mesh: Mesh) -> P:
        return next((cut for part, cut in wrong.items() if part in name), partition_spec(name, mesh))

    return spec


def renamed(old: object, new: object) -> Spec:
    """The right table, with another axis."""
    return lambda name, mesh: P(*(new if axis == old else axis for axis in partition_spec(name, mesh)))


def swapped(name: str, mesh: Mesh) -> P:
    return P(*reversed(partition_spec(name, mesh)))


def by_columns(name: str, mesh: Mesh) -> P:
    return P() if "norm" in name else P("model", None)


@pytest.mark.parametrize(
    ("sizes", "spec", "held", "sent"),
    [
        ((2, 4), partition_spec, 1_601_280, "5 AR"),
        ((2, 4), swapped, 1_601_280, "10 AR"),
        ((2, 4), by_columns, 1_601_280, "6 AR 10 AG 1 A2A 1 CP"),
        ((2, 4), renamed("model", "batch"), 3_198_720, "5 AR 9 AG 15 CP"),
        ((2, 4), instead({"": P()}), 6_393_600, ""),
        ((2, 4), instead({"norm": P("model")}), 1_598_400, "10 AR 6 AG 1 A2A 1 CP"),
        ((2, 4), instead({"o_proj": P()}), 1_822_464, "3 AR 2 AG"),
        ((1, 8, 4), partition_spec, 839_424, "5 AR"),
        ((1, 8, 4), renamed(("kv", "copy"), ("copy", "kv")), 839_424, "3 AR 12 AG 10 CP"),
        ((1, 8, 4), instead(dict.fromkeys(("k_proj", "v_proj"), P("copy", None))), 913_152, "5 AR 2 AG 4 CP"),
        ((1, 8, 4), instead(dict.fromkeys(("k_proj", "v_proj"), P())), 1_060_608, "5 AR"),
        ((1, 8), partition_spec, 802_560, "5 AR 4 AG 6 A2A 4 CP"),
    ],
    ids=[
        "right",
        "rows and columns swapped",
        "everything by columns",
        "cut over batch",
        "nothing cut",
        "norms cut too",
        "o_proj whole",
        "kv x copy",
        "queries cut (copy, kv)",
        "K, V cut over copy",
        "K, V whole",
        "one axis of 8",
    ],
)
def test_an_annotation(sizes: Sizes, spec: Spec, held: int, sent: str, tiny: Path) -> None:
    ids = texts(LlamaConfig.from_folder(tiny))
    on_mesh = OnMesh(tiny, mesh_of(sizes), ids, spec=spec)
    assert on_mesh.weights.bytes_on(jax.devices()[0]) == held
    assert count_ops(on_mesh.forward_text()) == ops(sent)
    assert np.abs(on_mesh.logits() - due_logits(tiny, ids, torch.float32).numpy()).max() < 1e-4


def fused(x: jax.Array, gate_up: jax.Array, down: jax.Array) -> jax.Array:
    """gate above up in one block [2·ffn, hidden], split in half."""
    gate, up = jnp.split(jnp.einsum("bsi,oi->bso", x, gate_up), 2, axis=-1)
    return jnp.einsum("bsi,oi->bso", jax.nn.silu(gate) * up, down)


def stacked(x: jax.Array, gate_up: jax.Array, down: jax.Array) -> jax.Array:
    """gate and up as [2, ffn, hidden]: one einsum, one summand of x."""
    y = jnp.einsum("bsi,poi->bpso", x, gate_up)
    return jnp.einsum("bsi,oi->bso", jax.nn.silu(y[:, 0]) * y[:, 1], down)


@pytest.mark.parametrize(
    ("mlp", "shape", "cut", "sent"),
    [
        (fused, (1024, 192), P("model", None), "1 AR 3 A2A 4 CP"),
        (stacked, (2, 512, 192), P(None, "model", None), "1 AR"),
    ],
)
def test_gate_and_up_in_one_weight(mlp: Callable, shape: Sizes, cut: P, sent: str) -> None:
    mesh = mesh_of((2, 4))
    arguments = [
        jax.ShapeDtypeStruct(size, jnp.float32, sharding=NamedSharding(mesh, spec))
        for size, spec in (((8, 32, 192), P("batch", None, None)), (shape, cut), ((192, 512), P(None, "model")))
    ]
    text = compiled(jax.grad(lambda *given: mlp(*given).sum()), *arguments)
    assert count_ops(text) == ops(sent) and ledger_of(text).count("all_reduce", rank=0) == 1
