"""How to serve a model on the GPUs there are: the smallest TP that fits with room, DP for the rest, PP when a node is
too small.
"""

from dataclasses import dataclass

from tplearn.planning.hardware import ACCELERATORS, Accelerator
from tplearn.planning.job import stage_layers
from tplearn.planning.memory import check_positive, tp_sizes
from tplearn.planning.models import ModelShape
from tplearn.planning.training_memory import stage_parameters
from tplearn.sizes import require_size


@dataclass(frozen=True)
class Recommendation:
    """tp · pp · dp accelerators, `idle` more that it leaves unused, and the reasons, a sentence each."""

    tp: int
    pp: int
    dp: int
    idle: int
    weight_bytes: float
    """on the fullest accelerator"""
    reasons: tuple[str, ...]


def recommend_parallelism(
    shape: ModelShape,
    accelerators: int,
    accelerator: Accelerator,
    *,
    bytes_per_parameter: float = 2,
    fill: float = 0.6,
) -> Recommendation:
    """The fewest accelerators that hold a copy, and as many copies as there is room for.

    `fill`: the share of the memory that weights may take; the rest is for the KV cache and activations. TP stays inside
    the node, for it communicates in every layer. PP cuts layers where a whole node does not hold the model.

    Raises ValueError for a number that is not above 0, and where the model does not fit: it says what would hold it.
    """
    require_size("accelerators", accelerators, noun="a number of accelerators")
    check_positive(bytes_per_parameter=bytes_per_parameter, fill=fill)
    room, name = fill * accelerator.memory, shape.name or "the model"
    sizes = [tp for tp in tp_sizes(shape) if tp <= min(accelerator.node_size, accelerators)]
    alone = [(tp, 1) for tp in sizes if _fullest(shape, tp, 1, bytes_per_parameter) <= room]
    cuts = alone or [(tp, _stages(shape, tp, room, bytes_per_parameter)) for tp in reversed(sizes)]
    cuts = [(tp, pp) for tp, pp in cuts if pp is not None and tp * pp <= accelerators]
    if not cuts:
        raise ValueError(_what_would_fit(shape, accelerators, accelerator, bytes_per_parameter, fill))
    tp, pp = cuts[0]
    dp = accelerators // (tp * pp)
    idle, weights = accelerators - tp * pp * dp, _fullest(shape, tp, pp, bytes_per_parameter)
    reasons = [
        f"TP {tp}: each of its ranks holds {weights / 1e9:.1f} GB of weights, within {fill:.0%} of "
        f"{accelerator.memory / 1e9:.0f} GB."
    ]
    if pp > 1:
        reasons.append(f"PP {pp}: TP {tp} alone would hold {_fullest(shape, tp, 1, bytes_per_parameter) / 1e9:.1f} GB.")
    if dp > 1:
        reasons.append(
            f"DP {dp}: {dp} copies of {name} serve {dp} times as many requests, and send each other nothing."
        )
    if idle:
        reasons.append(f"{idle} of {accelerators} stay idle: a copy takes {tp * pp}.")
    return Recommendation(tp, pp, dp, idle, weights, tuple(reasons))


def _fullest(shape: ModelShape, tp: int, pp: int, bytes_per_parameter: float) -> float:
    """Bytes of weights on the fullest accelerator."""
    return bytes_per_parameter * max(stage_parameters(shape, tp, pp, stage) for stage in {0, min(1, pp - 1), pp - 1})


def _stages(shape: ModelShape, tp: int, room: float, bytes_per_parameter: float) -> int | None:
    """The fewest stages that fit; None where not even one layer a stage does."""
    every = range(1, shape.num_hidden_layers + 1)
    fewer = {max(stage_layers(shape.num_hidden_layers, pp)): pp for pp in reversed(every)}  # of equal cuts the smallest
    return next((pp for pp in sorted(fewer.values()) if _fullest(shape, tp, pp, bytes_per_parameter) <= room), None)


def _what_would_fit(
    shape: ModelShape, accelerators: int, accelerator: Accelerator, bytes_per_parameter: float, fill: float
) -> str:
    """The refusal: how much the model is, and how many of these, or which others, would hold it."""
    sizes = [tp for tp in tp_sizes(shape) if tp <= accelerator.node_size]
    room, works = fill * accelerator.memory, []
    fitting = [(tp, _stages(shape, tp, room, bytes_per_parameter)) for tp in sizes]
    if enough := [(tp * pp, -tp, pp) for tp, pp in fitting if pp is not None]:
        number, tp, pp = min(enough)  # of equal numbers the largest TP, as above
        works.append(f"{number} of them (TP {-tp}, PP {pp})")
    for other in ACCELERATORS.values():
        held = [tp for tp in tp_sizes(shape) if tp <= min(other.node_size, accelerators)]
        if any(_fullest(shape, tp, 1, bytes_per_parameter) <= fill * other.memory for tp in held):
            works.append(f"{accelerators} {other.name}")
    weights = stage_parameters(shape, 1, 1, 0) * bytes_per_parameter / 1e9
    return (
        f"accelerators = {accelerators}: {shape.name or 'the model'} has {weights:.0f} GB of weights, and "
        f"{accelerators} {accelerator.name} have {accelerators * room / 1e9:.0f} GB for them at fill = {fill}; "
        f"what works: {', '.join(works) or 'fewer bytes_per_parameter'}"
    )
