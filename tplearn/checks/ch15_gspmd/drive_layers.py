"""How layers on a mesh are watched: result, gradients, bytes on a device, and the ledger of all that was compiled."""

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor

from tplearn.checks.inputs import randn

Spec = tuple[str | tuple[str, ...] | None, ...]
TEXTS, TOKENS, HIDDEN, INNER = 4, 3, 8, 16
COMPILED = "there is no shard_map in your function: the collectives of its program are the compiler's, not yours."
DIFFERS = "out_specs say that the result is the same along an axis, and JAX sees that it may differ there"
PARAMETERS = ("x", "gate", "up", "down", "bias")


def mlp_inputs(seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """(x [texts, tokens, hidden] and the weights [out, in], an upstream gradient like x)."""
    generator = Generator().manual_seed(seed)
    inputs = {"x": randn(generator, TEXTS, TOKENS, HIDDEN)}
    inputs |= {"gate": randn(generator, INNER, HIDDEN) / 3, "up": randn(generator, INNER, HIDDEN) / 3}
    inputs |= {"down": randn(generator, HIDDEN, INNER) / 4, "bias": randn(generator, HIDDEN)}
    return inputs, randn(generator, TEXTS, TOKENS, HIDDEN)


def of_mlp(fn: Callable[..., Any], seed: int, mesh: tuple[int, int]) -> dict[str, Any]:
    """fn(mesh, x, gate, up, down, bias) and its gradients, in one program: result, gradients, ledger."""
    import jax
    from jax.sharding import PartitionSpec as P

    from tplearn.checks.ch15_gspmd.programs import compiled_and_run, lay, require, seen_of
    from tplearn.gspmd.devices import make_mesh

    grid = make_mesh(*mesh)
    inputs, upstream = mlp_inputs(seed)
    specs = {"x": P("batch"), "gate": P("model", None), "up": P("model", None), "down": P(None, "model"), "bias": P()}
    arrays = [lay(inputs[name], grid, specs[name]) for name in PARAMETERS]

    def step(arrays: list, upstream: Any) -> tuple[Any, tuple]:
        def called(*arrays: Any) -> Any:
            try:
                y = require(fn(grid, *arrays), jax.Array, "your result")
            except ValueError as error:  # its words hold the names of the answer's own functions
                if "require replication" not in str(error):
                    raise
                raise ValueError(DIFFERS).with_traceback(error.__traceback__) from None
            if y.shape != upstream.shape:
                raise TypeError(f"your result is of shape {y.shape}, where {upstream.shape} is due")
            return y

        y, back = jax.vjp(called, *arrays)
        return y, back(upstream)

    (y, gradients), seen = compiled_and_run(step, arrays, lay(upstream, grid, P("batch")), by_hand=COMPILED)
    return {"forward": seen_of(y), "gradient": dict(zip(PARAMETERS, seen_of(gradients), strict=True))} | seen


def of_explicit(fn: Callable[..., Any], seed: int, mesh: tuple[int, int]) -> dict[str, Any]:
    """fn(x, gate, up, down, bias) on a mesh of explicit axes, and its gradients: result, gradients, ledger."""
    import jax
    from jax.sharding import PartitionSpec as P

    from tplearn.checks.ch15_gspmd.programs import compiled_and_run, lay, require, seen_of
    from tplearn.gspmd.devices import make_mesh

    grid = make_mesh(*mesh, explicit=True)
    inputs, upstream = mlp_inputs(seed)
    specs = {"x": P("batch"), "gate": P("model", None), "up": P("model", None), "down": P(None, "model"), "bias": P()}
    types: list[str] = []

    def called(*arrays: Any) -> Any:
        y = require(fn(*arrays), jax.Array, "your result")
        types.append(str(jax.typeof(y)))
        due = str(jax.typeof(arrays[0]))
        if types[0] != due:
            raise TypeError(f"your result is of type {types[0]}, where {due} is due, as x has it")
        return y

    def step(arrays: list, upstream: Any) -> tuple[Any, tuple]:
        y, back = jax.vjp(called, *arrays)
        return y, back(upstream)

    with jax.set_mesh(grid):
        arrays = [lay(inputs[name], grid, specs[name]) for name in PARAMETERS]
        (y, gradients), seen = compiled_and_run(step, arrays, lay(upstream, grid, P("batch")))
        return {"forward": seen_of(y), "gradient": dict(zip(PARAMETERS, seen_of(gradients), strict=True))} | seen


def dense_input(seed: int, sizes: tuple[int, int]) -> Tensor:
    """x: [texts, in]."""
    return randn(Generator().manual_seed(seed), TEXTS, sizes[0])


def of_dense(
    fn: Callable[..., Any], seed: int, sizes: tuple[int, int], kernel_spec: Spec, out_spec: Spec
) -> dict[str, Any]:
    """fn(key, sizes, mesh, kernel_spec, out_spec) → (kernel, apply): both, bytes on a device, ledger of apply."""
    import jax
    from jax.sharding import PartitionSpec as P

    from tplearn.checks.ch15_gspmd.programs import bytes_on_a_device, compiled_and_run, lay, require, seen_of
    from tplearn.gspmd.devices import make_mesh

    mesh = make_mesh(2, 4)
    result = fn(jax.random.key(seed), sizes, mesh, P(*kernel_spec), P(*out_spec))
    if not isinstance(result, tuple) or len(result) != 2 or not callable(result[1]):
        require(result, tuple, "your result")
        raise TypeError("your result is a tuple, but not of an array and a function, (kernel, apply)")
    kernel, apply = require(result[0], jax.Array, "the kernel"), result[1]
    rows = None if "model" not in kernel_spec[:1] else "model"
    x = lay(dense_input(seed, sizes), mesh, P("batch", rows))
    seen = {"kernel": seen_of(kernel)}
    if kernel.sharding.device_set != set(mesh.devices.flat):
        where = f"your kernel lies whole on {len(kernel.sharding.device_set)} of {mesh.size} devices."
        seen |= {
            "lies": f"{where} A constraint inside a computation cuts what is computed, not what was placed before."
        }
        kernel = jax.device_put(kernel, x.sharding.update(spec=P()))
    y, ran = compiled_and_run(lambda kernel, x: apply(kernel, x), kernel, x)
    require(y, jax.Array, "what apply returns")
    held = {"kernel": bytes_on_a_device(result[0]), "y": bytes_on_a_device(y)}
    return {"forward": seen_of(y)} | seen | {"bytes on a device": held} | ran
