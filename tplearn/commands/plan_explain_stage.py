"""The arithmetic of one micro-batch: a layer, forward and backward, and the slowest pipeline stage."""

from tplearn.commands.plan_quantity import Quantity, Sheet, collective, largest, of
from tplearn.planning import Accelerator, Layout, TrainingJob, kv_heads_per_rank, link_of, stage_layers
from tplearn.planning.layer_time import FLASH_BACKWARD, embedding_seconds, head_seconds, layer_seconds
from tplearn.planning.training_memory import WEIGHT

PARTS = ("matmuls", "elementwise", "tensor_parallel", "context_parallel")


def explain_stage(
    sheet: Sheet,
    job: TrainingJob,
    layout: Layout,
    accelerator: Accelerator,
    sequences: Quantity,
    tokens: Quantity,
    parameters: Quantity,
) -> dict[str, Quantity]:
    """Seconds of the slowest stage by part, "total", and the compute of "forward" and "backward"; "tensor": its bytes.

    sequences, tokens: of a micro-batch, and what one accelerator has of them. parameters: of a layer on a rank.
    """
    sheet.section = "one layer, one micro-batch"
    layer = _layer(sheet, job, layout, accelerator, sequences, tokens, parameters)
    stage = slowest(job, layout, accelerator, int(sequences.value))
    first, last = stage == 0, stage == layout.pp - 1
    layers = of(stage_layers(job.shape.num_hidden_layers, layout.pp)[stage], "layers")
    ends = [name for name, there in (("embedding", first), ("head", last)) if there]
    sheet.section = f"one micro-batch, stage {stage} ({', '.join(['layers', *ends])}), which is the slowest"
    forward, backward = layers * layer["forward"], layers * layer["backward"]
    found = {part: layers * layer[part] for part in PARTS if part in layer}
    if last:
        shape, tp = job.shape, layout.tp
        logits = tokens * of(shape.vocab_size) / tp
        product = of(2, "FLOP") * logits * of(shape.hidden_size)
        matmul = sheet.line("the head's matmul, forward", product / of(accelerator.matmul_flops, "FLOP/s"), "s")
        softmax = sheet.line("its softmax", of(16, "B") * logits / of(accelerator.read_bandwidth, "B/s"), "s")
        forward, backward = forward + matmul + softmax, backward + 2 * matmul
        found["matmuls"], found["elementwise"] = found["matmuls"] + 3 * matmul, found["elementwise"] + softmax
    if ends and layout.tp > 1:
        found["tensor_parallel"] = found["tensor_parallel"] + len(ends) * layer["exchange"]
    found = {part: sheet.line(part.replace("_", " "), seconds, "s") for part, seconds in found.items()}
    seconds = list(found.values())
    found["total"] = sheet.line("together, with its traffic", sum(seconds[1:], seconds[0]), "s")
    if layout.dp * layout.cp > 1:
        found["forward"] = sheet.line("compute of forward, which hides traffic", forward, "s")
        found["backward"] = sheet.line("compute of backward", backward, "s")
    return found | {"tensor": layer["tensor"]}


def slowest(job: TrainingJob, layout: Layout, accelerator: Accelerator, sequences: int) -> int:
    """The stage that `slowest_stage` takes its seconds from: the first of those that take longest."""
    parts = (job, layout, accelerator, sequences)
    layer, embedding, head = (
        sum(one.total for one in seconds(*parts)) for seconds in (layer_seconds, embedding_seconds, head_seconds)
    )
    layers, last = stage_layers(job.shape.num_hidden_layers, layout.pp), layout.pp - 1
    return max(
        sorted({0, min(1, last), last}),
        key=lambda stage: layers[stage] * layer + embedding * (stage == 0) + head * (stage == last),
    )


def _layer(
    sheet: Sheet,
    job: TrainingJob,
    layout: Layout,
    accelerator: Accelerator,
    sequences: Quantity,
    tokens: Quantity,
    parameters: Quantity,
) -> dict[str, Quantity]:
    shape, tp, cp, recompute = job.shape, of(layout.tp), layout.cp, layout.recompute
    rate, bandwidth = of(accelerator.matmul_flops, "FLOP/s"), of(accelerator.read_bandwidth, "B/s")
    h, q = of(shape.hidden_size), of(shape.num_attention_heads * shape.head_dim)
    kv, columns = of(shape.num_key_value_heads * shape.head_dim), of(shape.intermediate_size)

    flops = of(2, "FLOP") * tokens * h * (2 * q + 2 * kv + shape.mlp_matrices * columns) / tp
    dense = sheet.line("projections and MLP", flops / rate, "s")
    flops = of(4, "FLOP") * tokens * of(job.sequence, "tokens") * q / 2 / tp
    scores = sheet.line("attention scores, their masked half left out", flops / rate, "s")
    read = largest(dense, of(WEIGHT, "B") * parameters / bandwidth)
    forward = sheet.line("forward's matmuls, which read the weights", read + scores, "s")
    added = largest(dense, of(2 * job.gradient_bytes, "B") * parameters / bandwidth)
    backward = read + added + FLASH_BACKWARD * scores
    if recompute == "full":
        backward = backward + forward
    backward = sheet.line(f"backward's matmuls{', and forward again' if recompute == 'full' else ''}", backward, "s")

    norms, product = 8 * h / tp, 2 * shape.mlp_matrices * columns / tp
    moved = norms + 12 * h / tp + 4 * (q + kv) / tp + product
    elementwise = sheet.line("bytes a token of the elementwise work, forward", moved, "B")
    moving = sheet.line("elementwise work, forward", tokens * elementwise / bandwidth, "s")
    moving_back = 2 * moving
    if recompute == "full":
        moving_back = moving_back + moving
    if recompute == "selective":
        moving_back = moving_back + tokens * (norms + product) / bandwidth
    moving_back = sheet.line("elementwise work, backward", moving_back, "s")

    found = {
        "matmuls": forward + backward,
        "elementwise": moving + moving_back,
        "forward": forward + moving,
        "backward": backward + moving_back,
        "tensor": sheet.line("bytes of [tokens, hidden] in bf16", of(2, "B") * tokens * h, "B"),
    }
    runs = 1 if recompute == "full" else 0  # forward's traffic once more
    if layout.tp > 1:
        link = link_of(accelerator, layout.tp)
        both = [collective(op, found["tensor"], layout.tp, link) for op in ("all_gather", "reduce_scatter")]
        found["exchange"] = sheet.line("all-gather and reduce-scatter over TP", both[0] + both[1], "s")
        found["tensor_parallel"] = (4 + 2 * runs) * found["exchange"]
    if cp > 1:
        own = of(2 * kv_heads_per_rank(shape, layout.tp) * shape.head_dim)
        keys = of(2, "B") * own * sequences * of(job.sequence, "tokens")
        gather = collective("all_gather", keys, cp, link_of(accelerator, cp, layout.tp))
        found["context_parallel"] = (3 + runs) * sheet.line("all-gather of K and V over CP", gather, "s")
    return found
