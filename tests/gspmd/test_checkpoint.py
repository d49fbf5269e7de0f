"""Loading: each slice read once and bit for bit, bytes counted, padding zero, and what cannot be loaded."""

from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from safetensors.torch import load_file

from tests.gspmd.models import MESHES, due_logits, texts
from tests.gspmd.on_mesh import OnMesh, Sizes, mesh_of
from tests.llama.folders import Edit, all_of, config, cut, remove, rename, text, weights, write_model
from tplearn.gspmd.checkpoint import Spec, Weights, load
from tplearn.gspmd.specs import partition_spec
from tplearn.llama import TINY_LLAMA, Llama

pytestmark = pytest.mark.xdist_group("jax")

SINGLE = "model.safetensors"
EMBEDDING = "model.embed_tokens.weight"


def file_bytes(folder: Path) -> int:
    return sum(tensor.nbytes for tensor in load_file(folder / SINGLE).values())


@pytest.mark.parametrize(
    ("sizes", "held"),
    [
        ((8, 1), 12_887_808),
        ((4, 2), 6_448_896),
        ((2, 4), 3_229_440),
        ((1, 8), 1_619_712),
        ((1, 8, 4), 1_730_304),
    ],
    ids=str,
)
def test_bytes_on_a_device_and_bytes_read(sizes: Sizes, held: int) -> None:
    loaded = load(TINY_LLAMA, mesh_of(sizes))
    assert {loaded.bytes_on(device) for device in jax.devices()} == {held}
    assert loaded.bytes_read == file_bytes(TINY_LLAMA), "each slice once, in the file's bfloat16"


def test_a_slice_is_all_that_is_read_at_a_time(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple] = []
    reader = "tplearn.gspmd.checkpoint._Reader._read"
    kept = load.__globals__["_Reader"]._read
    monkeypatch.setattr(reader, lambda self, part, *where: read.append(where[2]) or kept(self, part, *where))
    load(tiny, mesh_of((2, 4)), spec=lambda name, mesh: P("model") if name == EMBEDDING else P())
    words = [ranges[0] for ranges in read if ranges[0][1] - ranges[0][0] == 1024]
    assert words == [(0, 1024), (1024, 2048), (2048, 3072), (3072, 4096)] and len(read) == 4 + 2 * 9 + 1


@pytest.mark.parametrize("sizes", MESHES, ids=str)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_shard_has_the_numbers_of_the_file(sizes: Sizes, dtype: jnp.dtype, qwen2: Path) -> None:
    stored = load_file(qwen2 / SINGLE)
    loaded = load(qwen2, mesh_of(sizes), dtype)
    assert set(loaded.arrays) == set(stored), "tied: no head of its own"
    for name, array in loaded.arrays.items():
        due = stored[name].to(torch.float32).numpy().astype(dtype)
        rows = -(-131 // sizes[1]) * sizes[1] if name == EMBEDDING else len(due)
        assert array.dtype == dtype and array.shape[0] == rows
        whole = np.asarray(array)
        assert np.array_equal(whole[: len(due)], due) and not whole[len(due) :].any(), "padding is zero"
        for shard in array.addressable_shards:
            assert np.array_equal(np.asarray(shard.data), whole[shard.index])


def test_a_spec_may_cut_both_dimensions(tiny: Path) -> None:
    def both(name: str, mesh: Mesh) -> P:
        return P("model", "batch") if name.endswith("up_proj.weight") else partition_spec(name, mesh)

    up = load(tiny, mesh_of((2, 4)), spec=both).arrays["model.layers.1.mlp.up_proj.weight"]
    assert {shard.data.shape for shard in up.addressable_shards} == {(128, 96)}
    due = load_file(tiny / SINGLE)["model.layers.1.mlp.up_proj.weight"].float().numpy()
    assert np.array_equal(np.asarray(up), due)


def test_fused_tensors_names_without_a_prefix_and_many_files(tmp_path: Path) -> None:
    """As the course's own layers save them, and as base models are published."""
    write_model(tmp_path / "first", tie_word_embeddings=True)
    write_model(tmp_path / "split", tie_word_embeddings=True, max_shard_size="50KB")
    write_model(tmp_path / "bare", tie_word_embeddings=True)
    rename(lambda name: name.removeprefix("model."))(tmp_path / "bare")
    write_model(tmp_path / "fused", tie_word_embeddings=True)
    weights(fuse)(tmp_path / "fused")
    first = load(tmp_path / "first", mesh_of((4, 2)))
    for other in ("split", "bare", "fused"):
        same(load(tmp_path / other, mesh_of((4, 2))), first)


def fuse(tensors: dict) -> dict:
    """q, k, v one above the other."""
    for layer in (0, 1):
        at = f"model.layers.{layer}.self_attn."
        tensors[f"{at}qkv_proj.weight"] = torch.cat([tensors.pop(f"{at}{part}_proj.weight") for part in "qkv"])
    return tensors


def same(loaded: Weights, other: Weights) -> None:
    assert set(loaded.arrays) == set(other.arrays) and loaded.bytes_read == other.bytes_read
    for name, array in other.arrays.items():
        assert np.array_equal(np.asarray(loaded.arrays[name]), np.asarray(array)), name


def test_a_head_beside_a_tied_embedding(tmp_path: Path) -> None:
    """The same matrix: one array. Another: both are used, with a warning."""
    write_model(tmp_path / "same", tie_word_embeddings=True)
    weights(lambda old: old | {"lm_head.weight": old[EMBEDDING]})(tmp_path / "same")
    loaded = load(tmp_path / "same", mesh_of((2, 4)))
    assert "lm_head.weight" not in loaded.arrays and loaded.config.tie_word_embeddings
    write_model(tmp_path / "other", tie_word_embeddings=True)
    weights(lambda old: old | {"lm_head.weight": old[EMBEDDING] + 1})(tmp_path / "other")
    with pytest.warns(UserWarning, match="tie_word_embeddings is true, but lm_head.weight is another matrix"):
        loaded = load(tmp_path / "other", mesh_of((2, 4)))
    assert "lm_head.weight" in loaded.arrays and not loaded.config.tie_word_embeddings


def test_an_untied_head(tmp_path: Path) -> None:
    write_model(tmp_path)
    ids = texts(load(tmp_path, mesh_of((8, 1))).config)
    logits = OnMesh(tmp_path, mesh_of((2, 2)), ids).logits()
    assert np.abs(logits - due_logits(tmp_path, ids, torch.float32).numpy()).max() < 1e-4


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    write_model(tmp_path)
    weights(lambda old: old | {"model.norm.weight": old["model.norm.weight"] / 0})(tmp_path)
    with pytest.warns(UserWarning, match="model.norm.weight of .* has numbers that are NaN or infinite"):
        load(tmp_path, mesh_of((2, 4)))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut(SINGLE, -100), "model.safetensors is damaged: .*; a fresh download works"),
        (text(SINGLE, ""), "model.safetensors is empty; a fresh download works"),
        (remove(SINGLE), "has neither model.safetensors nor"),
        (remove("config.json"), "is no model folder: it has no config.json"),
        (config(model_type="mistral"), "model_type"),
        (config(intermediate_size=95), r"has shape \(96, 64\); config.json asks for \(95, 64\)"),
        (weights(lambda old: {k: v for k, v in old.items() if "norm" not in k}), "has no tensor .*norm"),
        (all_of(config(num_hidden_layers=1)), "also holds model.layers.1"),
    ],
    ids=range(8),
)
def test_a_damaged_folder(damage: Edit, said: str, tmp_path: Path) -> None:
    """The same sentences as those of tplearn's own Llama."""
    write_model(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=said) as ours:
        load(tmp_path, mesh_of((2, 4)))
    with pytest.raises(ValueError) as theirs:
        Llama.from_pretrained(tmp_path)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("dtype", [jnp.int32, "float33", None, jnp.float8_e4m3fn, bool])
def test_a_dtype_that_is_none_to_compute_in(dtype: object, tiny: Path) -> None:
    with pytest.raises(ValueError, match="is no dtype to compute in; jnp.float32 and jnp.bfloat16 work"):
        load(tiny, mesh_of((2, 4)), dtype)


def test_float64_is_not_made_float32_in_silence(tiny: Path) -> None:
    with pytest.raises(ValueError, match=r'dtype = float64 needs jax.config.update\("jax_enable_x64", True\) before'):
        load(tiny, mesh_of((2, 4)), jnp.float64)


@pytest.mark.parametrize(
    ("sizes", "spec", "said"),
    [
        ((1, 5), partition_spec, r"dimension 0 = 64 does not divide into 5 parts; numbers of parts that work: 1, 2, 4"),
        ((2, 4), lambda name, mesh: P("modle"), "modle"),
        (
            (2, 4),
            lambda name, mesh: P(None, "model"),
            r"input_layernorm.weight of shape \(64,\) cannot be cut by .* more ent",
        ),
    ],
)
def test_a_cut_that_does_not_come_out_even(sizes: Sizes, spec: Spec, said: str, qwen2: Path) -> None:
    with pytest.raises(ValueError, match=said):
        load(qwen2, mesh_of(sizes), spec=spec)
