"""Loss and the gradient of every weight, on every mesh and in both modes, against torch in one process."""

from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import jax
import jax.numpy as jnp
import numpy as np
import torch

from tests.gspmd.models import MESHES, texts
from tests.gspmd.on_mesh import OnMesh, Sizes, mesh_of
from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.tensors import HEAD, TensorNames

pytestmark = pytest.mark.xdist_group("jax")

EXACT = 1e-9
Due = tuple[float, dict[str, np.ndarray]]


def due_gradients(folder: Path) -> Due:
    """Loss and gradients by Hugging Face name."""
    config = LlamaConfig.from_folder(folder)
    model = Llama.from_pretrained(folder, dtype=torch.float64)
    loss = model.loss(texts(config), texts(config, seed=1))
    loss.backward()
    parameters, found = dict(model.named_parameters(remove_duplicate=False)), {}
    for parameter, parts in TensorNames(config).parameters():
        if parameter != HEAD:  # tied
            rows = parameters[parameter].grad.split([shape[0] for shape in parts.values()])
            found |= {name: part.numpy() for name, part in zip(parts, rows, strict=True)}
    return loss.item(), found


@pytest.fixture(scope="module")
def of_qwen2(qwen2: Path) -> Due:
    return due_gradients(qwen2)


@pytest.fixture(scope="module")
def of_tiny(tiny: Path) -> Due:
    return due_gradients(tiny)


def agree(folder: Path, sizes: Sizes, explicit: bool, due: Due) -> None:
    config = LlamaConfig.from_folder(folder)
    with jax.enable_x64(True):
        on_mesh = OnMesh(folder, mesh_of(sizes, explicit=explicit), texts(config), jnp.float64)
        loss, gradients = on_mesh.loss_and_gradients(texts(config, seed=1))
    assert abs(loss - due[0]) <= EXACT and set(gradients) == set(due[1])
    for name, gradient in gradients.items():
        rows = len(due[1][name])
        assert np.abs(due[1][name]).max() > 1e4 * EXACT, f"{name}: too small to say anything"
        assert np.abs(gradient[:rows] - due[1][name]).max() <= EXACT, name
        assert not gradient[rows:].any(), f"{name}: padding must not learn"


@pytest.mark.parametrize("sizes", MESHES, ids=str)
def test_annotations_only(sizes: Sizes, qwen2: Path, of_qwen2: Due) -> None:
    agree(qwen2, sizes, False, of_qwen2)


@pytest.mark.parametrize("sizes", [(4, 2), (1, 8, 2)], ids=str)
def test_explicit_with_biases_and_padding(sizes: Sizes, qwen2: Path, of_qwen2: Due) -> None:
    agree(qwen2, sizes, True, of_qwen2)


@pytest.mark.parametrize("sizes", [(2, 4), (8, 1)], ids=str)
def test_explicit(sizes: Sizes, tiny: Path, of_tiny: Due) -> None:
    agree(tiny, sizes, True, of_tiny)


def test_copies_of_kv_heads_with_annotations_only(tiny: Path, of_tiny: Due) -> None:
    agree(tiny, (1, 8, 4), False, of_tiny)
