"""What the wrong answers to exercise 15.5 show: sums at the wrong place or over the wrong axis, f forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tplearn.checks.exercise import mutants_of

if TYPE_CHECKING:
    from jax import Array
    from jax.sharding import Mesh


def _wrong_mlp(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array, wrong: str) -> Array:
    """The MLP with one thing `wrong`."""
    import jax
    from jax.sharding import PartitionSpec as P

    def g(y: Array) -> Array:
        if wrong in ("no sum", "no sum, unchecked"):
            return y
        if wrong == "a mean":
            return jax.lax.pmean(y, "model")
        if wrong == "sum over batch, unchecked":
            return jax.lax.psum(y, "batch")
        if wrong == "sum over both axes":
            return jax.lax.psum(y, ("batch", "model"))
        return jax.lax.psum(y, "model")

    def on_a_device(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
        f = jax.lax.pcast(x, "model", to="varying") if wrong not in (*UNCHECKED, "no f") else x
        if wrong == "weights gathered":
            gate, up = (jax.lax.all_gather(weight, "model", axis=0, tiled=True) for weight in (gate, up))
            down = jax.lax.all_gather(down, "model", axis=1, tiled=True)
            return jax.lax.pmean(jax.nn.silu(f @ gate.T) * (f @ up.T) @ down.T + bias, "model")
        y = f @ gate.T
        if wrong == "sum before the activation":
            y = jax.lax.pcast(jax.lax.psum(y, "model"), "model", to="varying")
        y = jax.nn.silu(y) * (f @ up.T)
        if wrong == "sum before down":
            y = jax.lax.pcast(jax.lax.psum(y, "model"), "model", to="varying")
        if wrong == "bias before the sum":
            return g(y @ down.T + bias)
        if wrong == "bias shared out":
            return g(y @ down.T + bias / jax.lax.axis_size("model"))
        if wrong == "no bias":
            return g(y @ down.T)
        return g(y @ down.T) + bias

    if wrong == "the compiler's":  # gate and up in one product, so that even backward has no more than is due
        both = jax.numpy.einsum("bsh,gih->gbsi", x, jax.numpy.stack([gate, up]))
        return (jax.nn.silu(both[0]) * both[1]) @ down.T + bias
    specs = [P("batch"), P("model", None), P("model", None), P(None, "model"), P()]
    if wrong == "texts whole":
        specs[0] = P()
    result = P() if wrong == "texts whole" else P("batch")
    if wrong == "weights whole":
        specs[1:4] = [P()] * 3
        plain = jax.shard_map(
            lambda x, gate, up, down, bias: jax.nn.silu(x @ gate.T) * (x @ up.T) @ down.T + bias,
            mesh=mesh,
            in_specs=tuple(specs),
            out_specs=result,
        )
        return plain(x, gate, up, down, bias)
    own = jax.shard_map(
        on_a_device, mesh=mesh, in_specs=tuple(specs), out_specs=result, check_vma=wrong not in UNCHECKED
    )
    return own(x, gate, up, down, bias)


UNCHECKED = ("no sum, unchecked", "sum over batch, unchecked", "unchecked")
MUTANTS = mutants_of(
    _wrong_mlp,
    (
        "no f",
        "Every number is right, but backward sends too much. x is the same along model, and enters two products: "
        "where you do not say at which point it becomes each device's own, JAX does it for each product, and sums two "
        "gradients instead of one. An f for each of the two comes to the same; chapter 07 has one f for both.",
        'jax.lax.pcast(x, "model", to="varying"), once, before gate and up.',
    ),
    (
        "bias before the sum",
        "Your result minus the right one is (p − 1) · bias: every device adds the bias, and then they are summed. Once "
        "is enough, after the sum.",
        "where the bias enters, before or after psum.",
    ),
    (
        "bias shared out",
        "The result is right: you add a p-th of the bias on each device, before the sum. But then the bias's gradient "
        "is another tensor to be summed along model. After the sum, it costs nothing.",
        "where the bias enters, before or after psum.",
    ),
    ("no bias", "The bias is missing.", "the last argument."),
    (
        "a mean",
        "You take the mean over the devices: your product with down is a p-th of what it should be. Each device has a "
        "summand of the result, not a copy of it.",
        "psum, not pmean.",
    ),
    (
        "sum before the activation",
        "You sum before the activation. There each device has inner numbers of its own, columns that do not belong "
        "together; to be summed is what down makes of them.",
        "psum, after the product with down.",
    ),
    (
        "sum before down",
        "You sum before the product with down. There each device has inner numbers of its own, which do not belong "
        "together; to be summed is what down makes of them.",
        "psum, after the product with down.",
    ),
    (
        "sum over both axes",
        "You sum over batch as well. Along batch the devices have other texts, and now each text has the sum of all.",
        "the axis of psum: model alone.",
    ),
    (
        "sum over batch, unchecked",
        "You sum over batch. Devices along that axis have other texts; the summands of one text lie along model. With "
        "check_vma=False nothing warns of it.",
        "the axis of psum.",
    ),
    (
        "no sum",
        "JAX sees that your result may differ along model, and out_specs say that it does not. What down makes is a "
        "summand on each device: psum over model makes one of them, and what is added later is the same everywhere.",
        "the end of the function, after the product with down.",
    ),
    (
        "no sum, unchecked",
        "psum is missing: each device returns its own summand. JAX would have refused, had check_vma=False not told it "
        "to look away.",
        "the end of the function, after the product with down.",
    ),
    (
        "unchecked",
        "Every number is right, but with check_vma=False JAX does not know which values are the same along model, and "
        "on the way back it sums more than need be.",
        "check_vma: leave it on, and say with pcast where x becomes each device's own.",
    ),
    (
        "weights gathered",
        "Every number is right, but you gather the weights, and each device does the work of all. Columns and then "
        "rows need no weight but their own.",
        "the local shapes: gate [inner/p, hidden], down [hidden, inner/p].",
    ),
    (
        "weights whole",
        "Every number is right, but your in_specs ask for whole weights, and the compiler gathers them. Each device "
        "does the work of all.",
        'in_specs: the weights lie P("model", None) and P(None, "model").',
    ),
    (
        "texts whole",
        "Every number is right, but your in_specs ask for all texts on each device, and the compiler gathers them "
        "along batch.",
        'in_specs and out_specs: P("batch") for x and for the result.',
    ),
    (
        "the compiler's",
        "Every number is right, and the compiler found your collectives for you: there is no shard_map in your "
        "function. This exercise is the other way, on local shapes, where you write them.",
        "jax.shard_map, with the five specs of the table.",
    ),
)
