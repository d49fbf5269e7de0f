"""What the wrong answers to exercise 15.6 show: kernels that nobody placed, endings that nobody wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tplearn.checks.exercise import mutants_of

if TYPE_CHECKING:
    from jax import Array
    from jax.sharding import Mesh, PartitionSpec


def _wrong_dense(
    key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec, wrong: str
) -> tuple[Array, Callable[[Array, Array], Array]]:
    """(kernel, apply) with one thing `wrong`."""
    import jax
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    shape = sizes[::-1] if wrong in ("[out, in]", "[out, in], and its spec") else sizes
    spec = {"kernel whole": P(), "cut over batch": P(*("batch" if axis else None for axis in kernel_spec))}.get(
        wrong, P(*kernel_spec[::-1]) if wrong in ("the spec turned", "[out, in], and its spec") else kernel_spec
    )
    lies = NamedSharding(mesh, spec)
    scale = {"no scale": 1.0, "scaled by outputs": sizes[1] ** 0.5}.get(wrong, sizes[0] ** 0.5)

    kernel = jax.random.normal(key, shape, "float32" if wrong == "float32" else None) / scale

    def apply(kernel: Array, x: Array) -> Array:
        if wrong == "a constraint for a place":
            kernel = jax.lax.with_sharding_constraint(kernel, lies)
        if wrong == "kernel gathered":
            kernel = jax.lax.with_sharding_constraint(kernel, NamedSharding(mesh, P()))
        y = x @ (kernel.T if shape != sizes else kernel)
        if wrong == "no ending":
            return y
        ending = (
            P("batch", None)
            if wrong == "always whole"
            else P(None, *out_spec[1:])
            if wrong == "batch forgotten"
            else out_spec
        )
        return jax.lax.with_sharding_constraint(y, NamedSharding(mesh, ending))

    if wrong == "a draw for each shard":
        size = lies.shard_shape(sizes)
        kernel = jax.make_array_from_callback(sizes, lies, lambda _: jax.random.normal(key, size) / scale)
    # One program draws for all of them: a jit with an out_sharding each would be compiled thirteen times.
    return kernel if wrong == "a constraint for a place" else jax.device_put(kernel, lies), apply


MUTANTS = mutants_of(
    _wrong_dense,
    (
        "a constraint for a place",
        "Your kernel lies whole on device 0. A with_sharding_constraint inside a computation cuts what is computed, "
        "and moves the kernel at each call; where an array lies is said when it is made.",
        "jax.jit(draw, out_shardings=NamedSharding(mesh, kernel_spec))(key).",
    ),
    (
        "kernel whole",
        "Each device holds the whole kernel: kernel_spec was not used.",
        "out_shardings, or device_put.",
    ),
    (
        "the spec turned",
        "The entries of kernel_spec stand for [in, out], the kernel's dimensions. You turned them round.",
        "NamedSharding(mesh, kernel_spec), as it is given.",
    ),
    (
        "cut over batch",
        "You cut the kernel over batch. Devices along that axis have other texts, and want the same weights.",
        "kernel_spec, as it is given.",
    ),
    (
        "[out, in]",
        "Your kernel is [out, in], as torch keeps a weight. In JAX, and here, it is [in, out], and y = x @ kernel.",
        "the shape that is drawn.",
    ),
    (
        "[out, in], and its spec",
        "Your kernel is [out, in], as torch keeps a weight, with the entries of its spec turned to match. In JAX, and "
        "here, it is [in, out], and y = x @ kernel.",
        "the shape that is drawn, and its spec.",
    ),
    (
        "no ending",
        "You do not say how y shall lie, so the compiler decides. Where the kernel's cut suggests what out_spec asks "
        "for, this goes well, and elsewhere y lies otherwise than the caller was told.",
        "jax.lax.with_sharding_constraint(y, NamedSharding(mesh, out_spec)).",
    ),
    (
        "always whole",
        "Your y is whole along model, whatever out_spec says. Between columns and rows it should stay cut.",
        "NamedSharding(mesh, out_spec).",
    ),
    (
        "batch forgotten",
        "Your ending leaves out the batch: y then holds all texts on every device, and they are gathered for it.",
        "NamedSharding(mesh, out_spec).",
    ),
    (
        "kernel gathered",
        "Every number is right, but you make the kernel whole before the product, and each device does the work of "
        "all. The product takes a cut kernel as it lies; the ending is all that is sent.",
        "x @ kernel, with the kernel as it lies.",
    ),
    (
        "a draw for each shard",
        "Your devices draw a shard each, all with the same key: the kernel is one small draw, repeated. In JAX the "
        "numbers of an array do not depend on how it is cut. Draw the whole one, and let the compiler place it.",
        "jax.jit(draw, out_shardings=NamedSharding(mesh, kernel_spec))(key).",
    ),
    (
        "no scale",
        "Your kernel is not divided by √in.",
        "what is drawn: normal numbers, divided by sizes[0] ** 0.5.",
    ),
    (
        "scaled by outputs",
        "You divide by √out. A sum of `in` products has the size of its terms times √in.",
        "what is drawn: normal numbers, divided by sizes[0] ** 0.5.",
    ),
    (
        "float32",
        "Your kernel is float32. Say no dtype: then it is what this JAX draws, float64 here.",
        "jax.random.normal(key, sizes).",
    ),
)
