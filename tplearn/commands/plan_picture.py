"""What `tplearn plan --picture` draws: bars of memory, and FLOPs for each byte of the best layout, wire by wire."""

from collections.abc import Iterator
from pathlib import Path

from tplearn.commands.plan_explain import link_of_copies
from tplearn.commands.plan_json import memory_parts
from tplearn.commands.plan_replicas import FRACTION
from tplearn.commands.plan_serve import ServePlan
from tplearn.commands.plan_train import TrainPlan, cut_name
from tplearn.planning import Accelerator, NodeLink, bytes_sent, kv_heads_per_rank, link_of, stage_layers, training_flops
from tplearn.planning.activations import BYTES
from tplearn.planning.links import Link
from tplearn.planning.training_memory import WEIGHT, layer_parameters, stage_parameters
from tplearn.show.plan_picture import Bar, Point, Wire, plan_picture, save_picture

MEMORY, NODE, NETWORK = range(3)


def draw_training(plan: TrainPlan, top: int, path: Path) -> None:
    """Draws the best layouts. Raises ValueError for a kind of file that is neither .png nor .svg."""
    question = plan.question
    bars = [Bar(cut_name(one.layout).replace(", ", " "), memory_parts(one.memory)) for one in plan.ranked[:top]]
    title = f"{question.name} trains on {question.gpus:,} {question.accelerator.name}"
    _draw(title, bars, question.accelerator.memory, question.accelerator, list(_training_points(plan)), path)


def draw_serving(plan: ServePlan, top: int, path: Path) -> None:
    """The same of serving."""
    question, bars = plan.question, []
    for one in plan.ranked[:top]:
        size = f"TP {one.tp}" + (f" PP {one.pp}" if one.pp > 1 else "")
        parts = {"weights": one.room.weight_bytes, "KV cache": one.batch * one.room.sequence_bytes}
        bars.append(Bar(f"{one.replicas:,} × ({size})", parts))
    title = f"{question.name} serves on {question.gpus:,} {question.accelerator.name}"
    capacity = FRACTION * question.accelerator.memory
    _draw(title, bars, capacity, question.accelerator, list(_serving_points(plan)), path)


def _draw(
    title: str, bars: list[Bar], capacity: float, accelerator: Accelerator, points: list[Point], path: Path
) -> None:
    wires = [
        Wire("memory", accelerator.read_bandwidth),
        Wire("links in the node", accelerator.node_bandwidth * accelerator.link_fraction),
        Wire("network", accelerator.network_bandwidth * accelerator.link_fraction),
    ]
    rows = "; ".join(f"{bar.name}: {sum(bar.parts.values()) / 1e9:.0f} GB" for bar in bars)
    seen = "; ".join(
        f"{point.name} ({wires[point.wire].name}): {point.intensity:,.0f} FLOPs a byte" for point in points
    )
    description = f"Memory of the fullest accelerator, of {capacity / 1e9:.0f} GB: {rows}. Roofline: {seen}."
    save_picture(plan_picture(title, bars, capacity, accelerator.matmul_flops, wires, points), path, title, description)


def _training_points(plan: TrainPlan) -> Iterator[Point]:
    """Of a whole step on one accelerator, with the FLOPs that training needs, nothing recomputed."""
    job, layout, accelerator = plan.job, plan.ranked[0].layout, plan.question.accelerator
    shape, tp, cp, m = job.shape, layout.tp, layout.cp, layout.micro_batches
    flops = training_flops(shape, job.tokens, job.sequence, causal=True) / layout.accelerators
    layers = m * max(stage_layers(shape.num_hidden_layers, layout.pp))  # that run in a step
    tokens = job.tokens / (layout.dp * m * cp)
    weights = layers * layer_parameters(shape, tp) * (2 * WEIGHT + 2 * job.gradient_bytes)
    yield Point("matmuls", MEMORY, flops / weights)
    runs = 3 if layout.recompute == "full" else 2  # forward, backward, forward again
    if tp > 1:
        sent, wire = _sent("all_reduce", BYTES * tokens * shape.hidden_size, tp, link_of(accelerator, tp))
        yield Point("TP traffic", wire, flops / (layers * 2 * runs * sent))
    if cp > 1:
        keys = BYTES * 2 * kv_heads_per_rank(shape, tp) * shape.head_dim * tokens * cp
        sent, wire = _sent("all_gather", keys, cp, link_of(accelerator, cp, tp))
        yield Point("CP traffic", wire, flops / (layers * (runs + 1) * sent))
    copies = layout.dp * cp
    if copies > 1:
        parameters = max(stage_parameters(shape, tp, layout.pp, end) for end in {0, layout.pp - 1})
        gradients, weights = (m if layout.zero >= 2 else 1), (2 * m if layout.zero == 3 else 1)
        size = parameters * (gradients * job.gradient_bytes + weights * WEIGHT)
        sent, wire = _sent("all_gather", size, copies, link_of_copies(layout, accelerator))
        yield Point("DP traffic", wire, flops / sent)


def _serving_points(plan: ServePlan) -> Iterator[Point]:
    """Of a prompt, and of a token for each sequence of a group, on one rank of tp."""
    one, accelerator, hidden = plan.ranked[0], plan.question.accelerator, plan.question.shape.hidden_size
    weights, cache = (seconds * accelerator.read_bandwidth for seconds in (one.decode.weights, one.decode.kv_cache))
    prompt, token = (part.compute * accelerator.matmul_flops for part in (one.prefill, one.decode))
    yield Point("prompt", MEMORY, prompt / weights)
    yield Point("token", MEMORY, token / (weights + cache))
    if one.tp > 1:
        reduces, link = 2 * plan.question.shape.num_hidden_layers + 1, link_of(accelerator, one.tp)
        for name, flops, rows in (("prompt", prompt, plan.question.sequence), ("token", token, one.decode.batch)):
            sent, wire = _sent("all_reduce", BYTES * rows * hidden, one.tp, link)
            yield Point(name, wire, flops / (reduces * sent))


def _sent(op: str, nbytes: float, p: int, link: Link | NodeLink) -> tuple[float, int]:
    """Bytes that a rank sends over the slower wire of its group, and which wire that is."""
    if isinstance(link, NodeLink):
        g = link.ranks_per_node
        return bytes_sent(op, nbytes / g, p / g), NETWORK
    return bytes_sent(op, nbytes, p), NETWORK if link.hop else NODE
