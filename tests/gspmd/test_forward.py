"""Logits on every mesh, in both modes, against tplearn's Llama in one process."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

from tests.gspmd.models import MESHES, due_logits, texts
from tests.gspmd.on_mesh import OnMesh, Sizes, mesh_of
from tplearn.gspmd.model import forward, loss
from tplearn.llama import TINY_LLAMA, LlamaConfig
from tplearn.llama.agreement import agreement

pytestmark = pytest.mark.xdist_group("jax")

EXACT = 1e-12
ROUNDED = 1e-4


@pytest.fixture(scope="module")
def due(qwen2: Path) -> dict[Path, dict[torch.dtype, Tensor]]:
    """The logits of both models in both dtypes."""
    return {
        folder: {
            dtype: due_logits(folder, texts(LlamaConfig.from_folder(folder)), dtype)
            for dtype in (torch.float32, torch.float64)
        }
        for folder in (TINY_LLAMA, qwen2)
    }


def agrees(on_mesh: OnMesh, due: dict[torch.dtype, Tensor]) -> None:
    logits = torch.from_numpy(on_mesh.logits().copy())
    judged = agreement(logits, due[logits.dtype])
    assert judged.max_difference <= (EXACT if logits.dtype == torch.float64 else ROUNDED)
    assert judged.top_1 == judged.top_100 == 1 and judged.close


@pytest.mark.parametrize(
    ("name", "sizes"), [*(("tiny-llama", sizes) for sizes in MESHES), ("qwen2", (1, 8)), ("qwen2", (2, 4))], ids=str
)
def test_annotations_only(name: str, sizes: Sizes, qwen2: Path, due: dict) -> None:
    folder = TINY_LLAMA if name == "tiny-llama" else qwen2
    ids = texts(LlamaConfig.from_folder(folder))
    agrees(OnMesh(folder, mesh_of(sizes), ids), due[folder])
    with jax.enable_x64(True):
        agrees(OnMesh(folder, mesh_of(sizes), ids, jnp.float64), due[folder])


@pytest.mark.parametrize("sizes", [(2, 4), (4, 2), (8, 1), (1, 8, 4)], ids=str)
def test_the_explicit_mode_and_copies_of_kv_heads(sizes: Sizes, due: dict) -> None:
    ids = texts(LlamaConfig.from_folder(TINY_LLAMA))
    with jax.enable_x64(True):
        agrees(OnMesh(TINY_LLAMA, mesh_of(sizes, explicit=True), ids, jnp.float64), due[TINY_LLAMA])


@pytest.mark.parametrize("explicit", [False, True])
def test_copies_of_kv_heads_with_biases_and_padding(explicit: bool, qwen2: Path, due: dict) -> None:
    ids = texts(LlamaConfig.from_folder(qwen2))
    for sizes in ((1, 8, 2), (2, 4, 2)):
        with jax.enable_x64(True):
            agrees(OnMesh(qwen2, mesh_of(sizes, explicit=explicit), ids, jnp.float64), due[qwen2])


def test_bfloat16(tiny: Path) -> None:
    """Rounded at other places than torch's; both as far from float32 as eight bits are."""
    ids = texts(LlamaConfig.from_folder(tiny))
    exact = due_logits(tiny, ids, torch.float32)
    theirs = (due_logits(tiny, ids, torch.bfloat16).float() - exact).abs().max()
    on_mesh = OnMesh(tiny, mesh_of((2, 4)), ids, jnp.bfloat16)
    logits = on_mesh.logits()
    assert logits.dtype == jnp.bfloat16 and np.abs(logits.astype(np.float32) - exact.numpy()).max() < 2 * theirs


def test_logits_stay_cut_by_words(tiny: Path) -> None:
    on_mesh = OnMesh(tiny, mesh_of((2, 4)), texts(LlamaConfig.from_folder(tiny)))
    logits = jax.jit(on_mesh.forward)(on_mesh.weights.arrays, on_mesh.ids)
    assert {shard.data.shape for shard in logits.addressable_shards} == {(4, 32, 1024)}


def test_input_that_is_none(tiny: Path) -> None:
    on_mesh = OnMesh(tiny, mesh_of((2, 4)), texts(LlamaConfig.from_folder(tiny)))
    arrays, config, ids = on_mesh.weights.arrays, on_mesh.weights.config, on_mesh.ids
    with pytest.raises(ValueError, match=r"ids of shape \(32,\); \[batch, seq\] works"):
        forward(arrays, config, ids[0])
    with pytest.raises(ValueError, match="32 tokens are more than the model allows: up to 31 work"):
        forward(arrays, replace(config, max_position_embeddings=31), ids)
    with pytest.raises(ValueError, match=r"targets of shape \(8, 31\); the shape of ids works: \(8, 32\)"):
        loss(arrays, config, ids, ids[:, 1:])
