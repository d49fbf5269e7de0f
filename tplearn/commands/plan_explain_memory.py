"""The arithmetic of a training layout's memory: what tplearn.planning.training_memory computes, line by line."""

import math

from tplearn.commands.plan_quantity import Quantity, Sheet, of, smallest
from tplearn.planning import Layout, ModelShape, Ranked, TrainingJob, kv_heads_per_rank, stage_layers
from tplearn.planning.training_memory import ADAM, LOGIT, WEIGHT


def explain_memory(sheet: Sheet, job: TrainingJob, one: Ranked, tokens: Quantity) -> Quantity:
    """Returns the parameters of a layer. tokens: of a micro-batch on one accelerator."""
    layout, stage, shape = one.layout, one.memory.stage, job.shape
    sheet.section = f"memory of the fullest accelerator, in stage {stage}"
    layer = layer_line(sheet, shape, layout.tp)
    parameters = stage_line(sheet, shape, layout, stage, layer)
    copies = of(layout.dp * layout.cp)

    def shared(bytes_each: int, from_stage: int) -> Quantity:
        whole = parameters * of(bytes_each, "B")
        return whole / copies if layout.zero >= from_stage and copies.value > 1 else whole

    parts = [
        sheet.line("weights, bf16", shared(WEIGHT, 3), "B"),
        sheet.line("gradients, float32", shared(job.gradient_bytes, 2), "B"),
        sheet.line("Adam: float32 copy and two moments", shared(ADAM, 1), "B"),
    ]
    if layout.zero >= 2:
        bytes_each = (2 * WEIGHT if layout.zero == 3 else 0) + job.gradient_bytes
        whole = layer * of(bytes_each, "B") * (1 - 1 / copies)
        parts.append(sheet.line(f"gathered by ZeRO {layout.zero}", whole, "B"))
    parts.append(activation_lines(sheet, job, layout, stage, tokens))
    if stage == layout.pp - 1:
        words = rows(shape, layout.tp)
        parts.append(sheet.line("logits, bf16 and float32", of(LOGIT, "B") * tokens * words, "B"))
    sheet.line("together", sum(parts[1:], parts[0]), "B")
    return layer


def layer_line(sheet: Sheet, shape: ModelShape, tp: int) -> Quantity:
    """Parameters of a layer on one rank of tp."""
    h, q, columns = of(shape.hidden_size), shape.num_attention_heads * shape.head_dim, of(shape.intermediate_size)
    kv = of(kv_heads_per_rank(shape, tp) * shape.head_dim)
    layer = 2 * h * (of(q) / tp + kv) + shape.mlp_matrices * h * columns / tp + 2 * h
    if shape.qkv_bias:
        layer = layer + of(q) / tp + 2 * kv
    return sheet.line("parameters of a layer (q and o, k and v, MLP, norms)", layer)


def rows(shape: ModelShape, tp: int) -> Quantity:
    """Words of the vocabulary that one rank holds."""
    return Quantity(math.ceil(shape.vocab_size / tp), f"ceil({shape.vocab_size:,} / {tp})")


def stage_line(sheet: Sheet, shape: ModelShape, layout: Layout, stage: int, layer: Quantity) -> Quantity:
    """Parameters of a pipeline stage on one rank of tp: its layers, and the embedding and head at the ends."""
    first, last = stage == 0, stage == layout.pp - 1
    table = rows(shape, layout.tp) * of(shape.hidden_size)
    total = of(stage_layers(shape.num_hidden_layers, layout.pp)[stage], "layers") * layer
    if first:
        total = total + table
    if last:
        total = total + shape.hidden_size
        if not (first and shape.tie_word_embeddings):
            total = total + table
    ends = [name for name, there in (("embedding", first), ("last norm and head", last)) if there]
    return sheet.line(f"parameters of stage {stage} ({', '.join(['layers', *ends])})", total)


def activation_lines(sheet: Sheet, job: TrainingJob, layout: Layout, stage: int, tokens: Quantity) -> Quantity:
    """Bytes of activations of all micro-batches in flight, as saved_tensors and layers_in_flight count them."""
    shape, tp, pp, v = job.shape, of(layout.tp), of(layout.pp), of(layout.virtual_stages)
    kv = of(kv_heads_per_rank(shape, layout.tp) * shape.head_dim)
    h, q = of(shape.hidden_size), of(shape.num_attention_heads * shape.head_dim)
    sums, columns = of(shape.num_attention_heads), of(shape.intermediate_size)

    def a_token(norms: int, products: int) -> Quantity:
        """2 bytes each of norm inputs and outputs, q, attention output, MLP columns, k, v; 4 of a softmax sum."""
        return (2 * norms * h + 4 * q + 4 * sums + 2 * products * columns) / tp + 4 * kv

    whole = a_token(4, 3)
    kept = {"none": whole, "selective": a_token(2, 2), "full": 2 * h / tp}[layout.recompute]
    bytes_kept = sheet.line("bytes a token and layer that are kept", kept, "B")
    layers = of(stage_layers(shape.num_hidden_layers, layout.pp)[stage], "layers")
    m = of(layout.micro_batches)
    if layout.virtual_stages == 1 or layout.pp == 1:
        flying = smallest(m, pp - stage) * layers
    else:
        flying = smallest(m * v, 2 * (pp - stage - 1) + (v - 1) * pp + 1) * layers / v
    flying = sheet.line("layers · micro-batches in flight", flying, "layers")
    total = flying * tokens * bytes_kept
    if layout.recompute == "full":
        total = total + tokens * (sheet.line("bytes a token of the layer that is made again", whole, "B") - bytes_kept)
    return sheet.line("activations", total, "B")
