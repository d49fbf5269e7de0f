"""TensorParallelDense: its dense twin, where its kernel lies, and what it sends."""

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from tests.gspmd.models import MESHES
from tests.gspmd.on_mesh import Sizes, compiled, mesh_of
from tplearn.gspmd.dense import TensorParallelDense
from tplearn.gspmd.hlo import count_ops

pytestmark = pytest.mark.xdist_group("jax")

KEY = 7


def layers(sizes: Sizes, bias: bool = False) -> tuple[TensorParallelDense, TensorParallelDense]:
    """Columns, then rows: 48 → 64 → 48."""
    mesh, (first, second) = mesh_of(sizes), jax.random.split(jax.random.key(KEY))
    columns = TensorParallelDense(first, 48, 64, mesh, bias=bias)
    return columns, TensorParallelDense(second, 64, 48, mesh, "rows", bias=bias)


def draw(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(1), shape)


@pytest.mark.parametrize("sizes", [*MESHES, (1, 8, 4)], ids=str)
def test_the_dense_twin(sizes: Sizes) -> None:
    columns, rows = layers(sizes, bias=True)
    for layer in (columns, rows):
        layer.bias = jax.device_put(draw(*layer.bias.shape), layer.bias.sharding)
    kernels = [np.asarray(part) for part in (columns.kernel, columns.bias, rows.kernel, rows.bias)]
    x = draw(8, 5, 48)

    def dense(x: jax.Array, a: jax.Array, b: jax.Array, c: jax.Array, d: jax.Array) -> jax.Array:
        return jnp.tanh(x @ a + b) @ c + d

    def on_mesh(x: jax.Array) -> jax.Array:
        return rows(jnp.tanh(columns(x)))

    assert np.allclose(jax.jit(on_mesh)(x), dense(x, *kernels), atol=1e-5)
    due = jax.grad(lambda x: (dense(x, *kernels) ** 2).sum())(x)
    assert np.allclose(jax.jit(jax.grad(lambda x: (on_mesh(x) ** 2).sum()))(x), due, atol=1e-4)


@pytest.mark.parametrize("sizes", MESHES, ids=str)
def test_the_kernel_lies_cut_and_has_the_same_bits_on_every_mesh(sizes: Sizes) -> None:
    columns, rows = layers(sizes)
    parts = sizes[1]
    assert {shard.data.shape for shard in columns.kernel.addressable_shards} == {(48, 64 // parts)}
    assert {shard.data.shape for shard in rows.kernel.addressable_shards} == {(64 // parts, 48)}
    for layer, alone in zip((columns, rows), layers((1, 1)), strict=True):
        assert np.array_equal(np.asarray(layer.kernel), np.asarray(alone.kernel))
    assert np.asarray(columns.kernel).std() == pytest.approx(48**-0.5, rel=0.1)


@pytest.mark.parametrize("sizes", MESHES, ids=str)
def test_one_all_reduce_for_two_layers(sizes: Sizes) -> None:
    columns, rows = layers(sizes)
    x = jax.device_put(draw(8, 48), jax.sharding.NamedSharding(columns.mesh, P("batch", None)))
    due = {"all_reduce": 1} if sizes[1] > 1 else {}
    assert count_ops(compiled(lambda x: rows(jnp.tanh(columns(x))), x)) == due
    assert count_ops(compiled(columns, x)) == {}


def test_a_constraint_alone_leaves_the_kernel_whole_on_the_first_device() -> None:
    """The trap that the docstring names."""
    mesh = mesh_of((2, 4))
    cut = jax.sharding.NamedSharding(mesh, P(None, "model"))
    kernel = draw(48, 64)
    jax.jit(lambda x, kernel: x @ jax.lax.with_sharding_constraint(kernel, cut))(draw(8, 48), kernel)
    assert [shard.data.shape for shard in kernel.addressable_shards] == [(48, 64)]


def test_what_does_not_fit() -> None:
    mesh, key = mesh_of((2, 4)), jax.random.key(0)
    with pytest.raises(
        ValueError, match="out_features = 6 cannot be cut over model = 4 devices; sizes that work: 1, 2"
    ):
        TensorParallelDense(key, 8, 6, mesh)
    with pytest.raises(ValueError, match="in_features = 6 cannot be cut over model = 4 devices"):
        TensorParallelDense(key, 6, 8, mesh, "rows")
    with pytest.raises(ValueError, match="cut = 'cols' is no cut of a kernel; 'columns' and 'rows' work"):
        TensorParallelDense(key, 8, 8, mesh, "cols")
    with pytest.raises(ValueError, match="in_features = 0 is not a size"):
        TensorParallelDense(key, 0, 8, mesh)
    with pytest.raises(ValueError, match=r"x of shape \(8,\); \[batch, ..., 8\] works"):
        TensorParallelDense(key, 8, 8, mesh)(jnp.ones(8))
