"""A dense layer with annotations: its kernel lies cut on the mesh, and its output says how it shall lie."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tplearn.gspmd.devices import BATCH
from tplearn.gspmd.specs import model_axes
from tplearn.sizes import divisors, require_size, shown

CUTS = ("columns", "rows")


class TensorParallelDense:
    """y = x · kernel + bias, with the kernel cut by columns (outputs) or by rows (inputs). In JAX's words a Dense.

    | tensor | shape     | columns          | rows                         |
    | kernel | [in, out] | P(None, "model") | P("model", None)             |
    | bias   | [out]     | P("model")       | P(): added after the sum     |
    | y      | […, out]  | cut by outputs   | whole: one all-reduce before |

    The kernel is drawn from N(0, 1/in) in place: no device ever holds all of it, and the numbers are the same on every
    mesh. A `with_sharding_constraint` on the kernel in `__call__` would cut the computation only, and leave the
    kernel whole on the first device.

    Raises ValueError where a size does not divide or `cut` is neither "columns" nor "rows".
    """

    def __init__(
        self, key: Array, in_features: int, out_features: int, mesh: Mesh, cut: str = "columns", *, bias: bool = False
    ) -> None:
        sizes = {"in_features": in_features, "out_features": out_features}
        shape = tuple(require_size(name, size) for name, size in sizes.items())
        if cut not in CUTS:
            raise ValueError(f"cut = {shown(cut)} is no cut of a kernel; {' and '.join(map(repr, CUTS))} work")
        every, _ = model_axes(mesh)
        parts = mesh.size // mesh.shape[BATCH]
        name = "out_features" if cut == "columns" else "in_features"
        if sizes[name] % parts:
            works = ", ".join(map(str, divisors(sizes[name])))
            raise ValueError(
                f"{name} = {sizes[name]} cannot be cut over model = {parts} devices; sizes that work: {works}"
            )
        self.mesh, self.cut = mesh, cut
        kernel, self.last, own = {
            "columns": (PartitionSpec(None, every), every, PartitionSpec(every)),
            "rows": (PartitionSpec(every, None), None, PartitionSpec()),
        }[cut]

        def draw(key: Array) -> Array:
            return jax.random.normal(key, shape) / shape[0] ** 0.5

        self.kernel = jax.jit(draw, out_shardings=NamedSharding(mesh, kernel))(key)
        self.bias = jax.device_put(jnp.zeros(shape[1]), NamedSharding(mesh, own)) if bias else None

    def __call__(self, x: Array) -> Array:
        """x: [batch, …, in] → [batch, …, out]."""
        if x.ndim < 2 or x.shape[-1] != self.kernel.shape[0]:
            raise ValueError(f"x of shape {tuple(x.shape)}; [batch, ..., {self.kernel.shape[0]}] works")
        lies = PartitionSpec(BATCH, *(None,) * (x.ndim - 2), self.last)
        y = jax.lax.with_sharding_constraint(x @ self.kernel, NamedSharding(self.mesh, lies))
        return y if self.bias is None else y + self.bias
