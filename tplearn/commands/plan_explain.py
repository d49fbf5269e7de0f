"""The arithmetic of a training layout, line by line: what tplearn.planning computes, to be redone by hand."""

from tplearn.commands.plan_explain_memory import explain_memory, stage_line
from tplearn.commands.plan_explain_stage import explain_stage
from tplearn.commands.plan_quantity import Line, Quantity, Sheet, collective, largest, of
from tplearn.planning import Accelerator, Layout, Ranked, TrainingJob, link_of, stage_layers
from tplearn.planning.links import Link, NodeLink, node_link
from tplearn.planning.training_memory import ADAM, WEIGHT, stage_parameters


def explain_training(job: TrainingJob, one: Ranked, accelerator: Accelerator) -> list[Line]:
    """Every line, for a layout of `all_layouts`: with sequence parallelism and flash attention."""
    layout, sheet = one.layout, Sheet(section="the batch")
    sequences = of(job.batch, "sequences")
    step_tokens = sheet.line("tokens of a step", sequences * of(job.sequence, "tokens"), "tokens")
    ranks = of(layout.tp) * layout.cp * layout.pp * layout.dp
    gpus = sheet.line("accelerators: TP · CP · PP · DP", ranks)
    micro = sheet.line("sequences of a micro-batch", sequences / layout.dp / layout.micro_batches, "sequences")
    tokens = sheet.line("its tokens on one accelerator", micro * of(job.sequence, "tokens") / layout.cp, "tokens")
    layer = explain_memory(sheet, job, one, tokens)
    stage = explain_stage(sheet, job, layout, accelerator, micro, tokens, layer)
    parts = explain_step(sheet, job, layout, accelerator, stage | {"layer": layer})
    total = sheet.line("a step", sum(parts[1:], parts[0]), "s")
    sheet.section = "the result"
    sheet.line("tokens a second", step_tokens / total, "tokens/s")
    flops = explain_flops(sheet, job, step_tokens)
    sheet.line("MFU", flops / (total * gpus * of(accelerator.peak_flops, "FLOP/s")))
    return sheet.lines


def explain_step(
    sheet: Sheet, job: TrainingJob, layout: Layout, accelerator: Accelerator, stage: dict[str, Quantity]
) -> list[Quantity]:
    """The parts of `StepTime` that are not zero. `stage`: `explain_stage`'s, and "layer", a layer's parameters."""
    sheet.section = "a step"
    m, pp, v = of(layout.micro_batches), of(layout.pp), of(layout.virtual_stages)
    parts = [
        sheet.line(name, m * stage[key], "s")
        for name, key in (
            ("matmuls", "matmuls"),
            ("elementwise work", "elementwise"),
            ("tensor parallel traffic", "tensor_parallel"),
            ("context parallel traffic", "context_parallel"),
        )
        if key in stage
    ]
    if layout.pp > 1:
        parts.append(sheet.line("bubble", (pp - 1) / v * stage["total"], "s"))
        link = link_of(accelerator, 2, layout.tp * layout.cp)
        send = sheet.line("one send between stages", collective("send", stage["tensor"] / layout.tp, 2, link), "s")
        late = largest(0, 2 * m * v * send - m * stage["total"])
        parts.append(sheet.line("pipeline sends", 2 * (pp - 1) * send + late, "s"))
    return parts + data_parallel_lines(sheet, job, layout, accelerator, stage)


def data_parallel_lines(
    sheet: Sheet, job: TrainingJob, layout: Layout, accelerator: Accelerator, stage: dict[str, Quantity]
) -> list[Quantity]:
    """Gradients and weights between the copies, as `data_parallel_seconds` has them with ZeRO, and the optimizer."""
    copies, m, tp = layout.dp * layout.cp, layout.micro_batches, layout.tp
    fullest = max((0, layout.pp - 1), key=lambda end: stage_parameters(job.shape, tp, layout.pp, end))
    parameters = stage_line(sheet, job.shape, layout, fullest, stage["layer"])
    layers, parts = of(max(stage_layers(job.shape.num_hidden_layers, layout.pp)), "layers"), []
    if copies > 1:
        link = link_of_copies(layout, accelerator)
        weights, gradients = (parameters / layers * of(each, "B") for each in (WEIGHT, job.gradient_bytes))
        seconds = collective("reduce_scatter", gradients, copies, link)
        reduce = sheet.line(f"reduce-scatter of a layer's gradients over {copies} copies", seconds, "s")
        seconds = collective("all_gather", weights, copies, link)
        gather = sheet.line(f"all-gather of a layer's weights over {copies} copies", seconds, "s")
        forward, backward = stage["forward"], stage["backward"]
        traffic = {
            1: [(1, reduce, backward), (1, gather, forward)],
            2: [(m, reduce, backward), (1, gather, forward)],
            3: [(m, gather, forward), (m, gather + reduce, backward)],
        }[layout.zero]
        shown = [(times, largest(each, layers * each - compute)) for times, each, compute in traffic]
        shows = [times * each if times > 1 else each for times, each in shown]
        parts.append(sheet.line("data parallel traffic that nothing hides", sum(shows[1:], shows[0]), "s"))
    owned = parameters / copies if layout.zero else parameters
    moved = of(job.gradient_bytes + 2 * ADAM + WEIGHT, "B")
    return [*parts, sheet.line("optimizer", owned * moved / of(accelerator.read_bandwidth, "B/s"), "s")]


def link_of_copies(layout: Layout, accelerator: Accelerator) -> Link | NodeLink:
    """What joins the dp · cp copies: cp neighbours stand tp ranks apart, dp neighbours tp · cp · pp."""
    inner = min(layout.cp, max(1, accelerator.node_size // layout.tp))
    outer = max(1, accelerator.node_size // (layout.tp * layout.cp * layout.pp))
    return node_link(accelerator, layout.dp * layout.cp, inner * min(layout.dp, outer))


def explain_flops(sheet: Sheet, job: TrainingJob, tokens: Quantity) -> Quantity:
    """What training needs, nothing recomputed and the whole of the scores: `training_flops`."""
    shape = job.shape
    h, q = of(shape.hidden_size), of(shape.num_attention_heads * shape.head_dim)
    kv = of(shape.num_key_value_heads * shape.head_dim)
    scores = 4 * of(job.sequence) * q
    layer = 2 * h * (2 * q + 2 * kv) + scores + 2 * shape.mlp_matrices * h * of(shape.intermediate_size)
    each = sheet.line(
        "FLOPs of a token, forward", of(shape.num_hidden_layers) * layer + 2 * h * of(shape.vocab_size), "FLOP"
    )
    return 3 * tokens * each
