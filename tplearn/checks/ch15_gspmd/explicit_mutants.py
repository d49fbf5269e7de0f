"""What the wrong answers to exercise 15.7 show: f forgotten or repeated, endings too early, too late, or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tplearn.checks.exercise import mutants_of

if TYPE_CHECKING:
    from jax import Array


def _wrong_block(x: Array, gate: Array, up: Array, down: Array, bias: Array, wrong: str) -> Array:
    """The block with one thing `wrong`."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    whole = P("batch", None, None)
    f = P("batch", None, None, reduced={"model"})
    ends = {
        "no ending": None,
        "texts gathered": P(None, None, None),
        "hidden numbers cut": P("batch", None, "model"),
        "summands never summed": P("batch", None, None, unreduced={"model"}),
    }
    if wrong == "all weights whole":
        gate, up, down = (jax.reshard(weight, P(None, None)) for weight in (gate, up, down))
        h = x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True))
        y, u = (jnp.einsum("bsh,ih->bsi", h, weight) for weight in (gate, up))
        return x + jnp.einsum("bsi,hi->bsh", jax.nn.silu(y) * u, down) + bias
    h = jax.reshard(x, f) if wrong == "f before the norm" else x
    if wrong != "no norm":
        h = h / jnp.sqrt(jnp.mean(h * h, axis=-1, keepdims=True))
    if wrong not in ("f before the norm", "no f"):
        h = jax.reshard(h, f)
    columns = whole if wrong == "columns end whole" else None
    y, u = (jnp.einsum("bsh,ih->bsi", h, weight, out_sharding=columns) for weight in (gate, up))
    y = jax.nn.silu(y) * u
    if wrong == "weights whole":
        y, down = jax.reshard(y, whole), jax.reshard(down, P(None, None))
        return x + jnp.einsum("bsi,hi->bsh", y, down) + bias
    y = jnp.einsum("bsi,hi->bsh", y, down, out_sharding=ends.get(wrong, whole))
    if wrong == "hidden numbers cut":
        y = jax.reshard(y, whole)
    return y + bias if wrong == "no residual" else x + y if wrong == "no bias" else x + y + bias


MUTANTS = mutants_of(
    _wrong_block,
    (
        "no f",
        "Every number is right, but backward sends too much. h is whole, and enters two products with cut weights: "
        "each sends a summand back, and without one f before both, each is summed by itself, two tensors for one. An f "
        "for each of the two comes to the same.",
        'jax.reshard(h, P("batch", None, None, reduced={"model"})), once, before gate and up.',
    ),
    (
        "f before the norm",
        "You put f before the norm. What comes back there is a summand on each device, and a norm's gradient of "
        "summands is not the summand of its gradient; JAX has no rule for it. f belongs where the norm has ended.",
        "the order: norm, f, gate and up.",
    ),
    (
        "no ending",
        "JAX does not know how the product with down shall end. What it sums over is cut on both sides, so each device "
        "has a summand, and three endings are possible: in explicit mode you choose.",
        'einsum(…, out_sharding=P("batch", None, None)): the all-reduce.',
    ),
    (
        "summands never summed",
        "You add R and P: the product with down is left unreduced, a summand on each device, and x is whole. Added up "
        "over the devices x would then count p times. That was chapter 11's prediction; here it is a type error.",
        "the out_sharding of the product with down, without unreduced.",
    ),
    (
        "texts gathered",
        "Every number is right, but your ending leaves out the batch: all texts are gathered on every device, to be "
        "cut again when x is added.",
        'the out_sharding of the product with down: P("batch", None, None).',
    ),
    (
        "hidden numbers cut",
        "Every number is right, but you end with cut hidden numbers and gather them afterwards. Whole they are due, "
        "and an all-reduce makes them so in one step.",
        'the out_sharding of the product with down: P("batch", None, None).',
    ),
    (
        "columns end whole",
        "In one of your products, or of those that make its gradients, the numbers that are summed over are cut on one "
        "side and whole on the other. Between columns and rows inner numbers stay cut, and need no ending.",
        "gate and up: no out_sharding.",
    ),
    (
        "weights whole",
        "Every number is right, but you gather inner numbers and down's columns, and each device does the work of all.",
        "down stays cut by columns.",
    ),
    (
        "all weights whole",
        "Every number is right, but you gather the weights, all of them at each call, and each device does the work of "
        "all.",
        "gate, up and down stay cut: no reshard of a weight.",
    ),
    ("no residual", "x is not added in the end.", "x + … + bias."),
    ("no bias", "The bias is missing.", "the last argument."),
    ("no norm", "The norm is missing: gate and up read norm(x).", "what gate and up read."),
)
