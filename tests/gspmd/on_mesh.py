"""A model on a mesh, compiled: what the tests of this floor run and read."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from torch import Tensor

from tplearn.gspmd.checkpoint import Spec, Weights, load
from tplearn.gspmd.devices import make_kv_mesh, make_mesh
from tplearn.gspmd.model import AUTO, Endings, explicit, forward, loss
from tplearn.gspmd.specs import partition_spec, text_sharding

Sizes = tuple[int, ...]  # batch, model; or batch, model, KV heads


def mesh_of(sizes: Sizes, *, explicit: bool = False) -> Mesh:
    return (make_mesh if len(sizes) == 2 else make_kv_mesh)(*sizes, explicit=explicit)


def endings_of(mesh: Mesh) -> Endings:
    return explicit(mesh) if mesh.axis_types[0] == jax.sharding.AxisType.Explicit else AUTO


class OnMesh:
    """A folder on a mesh, and texts [batch, seq] beside it."""

    def __init__(
        self, folder: Path, mesh: Mesh, ids: Tensor, dtype: jnp.dtype = jnp.float32, spec: Spec = partition_spec
    ) -> None:
        self.mesh, self.endings = mesh, endings_of(mesh)
        self.weights: Weights = load(folder, mesh, dtype, spec)
        self.ids = self.placed(ids)

    def placed(self, ids: Tensor) -> jax.Array:
        return jax.device_put(ids.numpy(), text_sharding(self.mesh))

    def forward(self, arrays: dict[str, jax.Array], ids: jax.Array) -> jax.Array:
        return forward(arrays, self.weights.config, ids, endings=self.endings)

    def logits(self) -> np.ndarray:
        return np.asarray(jax.jit(self.forward)(self.weights.arrays, self.ids))

    def loss_and_gradients(self, targets: Tensor) -> tuple[float, dict[str, np.ndarray]]:
        def of(arrays: dict[str, jax.Array]) -> jax.Array:
            return loss(arrays, self.weights.config, self.ids, self.placed(targets), endings=self.endings)

        value, gradients = jax.jit(jax.value_and_grad(of))(self.weights.arrays)
        return float(value), {name: np.asarray(gradient) for name, gradient in gradients.items()}

    def forward_text(self) -> str:
        """The compiled forward pass."""
        return compiled(self.forward, self.weights.arrays, self.ids)

    def both_text(self) -> str:
        """The compiled forward and backward pass, of ½ · Σ logits²: a loss that itself sends nothing."""

        def both(arrays: dict[str, jax.Array], ids: jax.Array) -> tuple:
            logits, back = jax.vjp(lambda arrays: self.forward(arrays, ids), arrays)
            return logits, back(logits)

        return compiled(both, self.weights.arrays, self.ids)


def compiled(function: Callable, *arguments: object) -> str:
    return jax.jit(function).lower(*arguments).compile().as_text()
