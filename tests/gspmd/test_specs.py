"""The table of annotations, name by name."""

from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import jax
from jax.sharding import PartitionSpec as P
from safetensors import safe_open

from tplearn.gspmd.devices import make_kv_mesh, make_mesh
from tplearn.gspmd.specs import partition_spec, text_sharding

pytestmark = pytest.mark.xdist_group("jax")

LAYER = "model.layers.1."
BOTH = ("kv", "copy")


@pytest.mark.parametrize(
    ("names", "plain", "copied"),
    [
        (("model.embed_tokens.weight", "lm_head.weight"), P("model", None), P(BOTH, None)),
        ((LAYER + "self_attn.q_proj.weight",), P("model", None), P(BOTH, None)),
        ((LAYER + "self_attn.q_proj.bias",), P("model"), P(BOTH)),
        (tuple(f"{LAYER}self_attn.{part}_proj.weight" for part in "kv"), P("model", None), P("kv", None)),
        (tuple(f"{LAYER}self_attn.{part}_proj.bias" for part in "kv"), P("model"), P("kv")),
        ((LAYER + "mlp.gate_proj.weight", LAYER + "mlp.up_proj.weight"), P("model", None), P(BOTH, None)),
        ((LAYER + "self_attn.o_proj.weight", LAYER + "mlp.down_proj.weight"), P(None, "model"), P(None, BOTH)),
        (("model.norm.weight", LAYER + "input_layernorm.weight", LAYER + "post_attention_layernorm.weight"), P(), P()),
    ],
)
def test_every_parameter(names: tuple[str, ...], plain: P, copied: P) -> None:
    for name in names:
        assert partition_spec(name, make_mesh(2, 4)) == plain
        assert partition_spec(name, make_kv_mesh(1, 8, 4)) == copied


def test_every_name_of_a_folder_is_known(qwen2: Path) -> None:
    with safe_open(qwen2 / "model.safetensors", framework="np") as file:
        names = list(file.keys())
    assert len(names) == 2 + 2 * 12 and all(isinstance(partition_spec(name, make_mesh(2, 4)), P) for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.k_porj.weight",
        "model.layers.0.self_attn.o_proj.bias",
        "model.layers.0.mlp.gate_up_proj.weight",
        "model.layers.01.mlp.up_proj.weight",
        "layers.0.mlp.up_proj.weight",
        "norm.weight",
        "",
    ],
)
def test_a_name_that_is_none_is_not_replicated_in_silence(name: str) -> None:
    with pytest.raises(ValueError, match=f"name = '{name}' is no parameter of a Llama or a Qwen2; names such as model"):
        partition_spec(name, make_mesh(2, 4))


def test_other_axes() -> None:
    mesh = jax.make_mesh((2, 4), ("dp", "tp"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    with pytest.raises(ValueError, match=r"axes = \('dp', 'tp'\) of the mesh; \('batch', 'model'\) and"):
        partition_spec("lm_head.weight", mesh)


def test_texts_lie_over_batch() -> None:
    assert text_sharding(make_mesh(2, 4)).shard_shape((8, 32)) == (4, 32)
