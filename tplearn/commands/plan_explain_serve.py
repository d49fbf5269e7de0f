"""The arithmetic of serving, line by line: what plan_replicas and planning.serving compute, to be redone by hand."""

from tplearn.commands.plan_explain_memory import layer_line, stage_line
from tplearn.commands.plan_quantity import Line, Quantity, Sheet, collective, largest, of
from tplearn.commands.plan_question import ServeQuestion
from tplearn.commands.plan_replicas import FRACTION, Serving
from tplearn.planning import Layout, kv_heads_per_rank, link_of, parameter_breakdown, stage_layers


def explain_serving(question: ServeQuestion, one: Serving) -> list[Line]:
    """Every line of one row of the plan."""
    sheet = Sheet(section="the layout")
    sheet.line("accelerators: TP · PP · replicas", of(one.tp) * one.pp * one.replicas)
    token_bytes = _memory(sheet, question, one)
    _prefill(sheet, question, one)
    _decode(sheet, question, one, token_bytes)
    return sheet.lines


def _memory(sheet: Sheet, question: ServeQuestion, one: Serving) -> Quantity:
    """Returns the bytes of KV cache of a token, over all layers of one rank of tp."""
    shape, stage, tp, pp = question.shape, one.room.stage, one.tp, one.pp
    sheet.section = f"memory of the tightest accelerator, in stage {stage}"
    layer = layer_line(sheet, shape, tp)
    parameters = stage_line(sheet, shape, Layout(tp, 1, pp), stage, layer)
    weights = sheet.line("weights", parameters * of(question.bytes_per_parameter, "B"), "B")
    layers = of(stage_layers(shape.num_hidden_layers, pp)[stage], "layers")
    a_layer = 2 * of(kv_heads_per_rank(shape, tp)) * shape.head_dim * of(2, "B")
    a_layer = sheet.line("KV cache of a token in a layer: K and V, heads, width, bf16", a_layer, "B")
    each = sheet.line("KV cache of a sequence", of(question.sequence, "tokens") * layers * a_layer, "B")
    room = (FRACTION * of(question.accelerator.memory, "B") - weights) / each
    whole = Quantity(one.room.sequences, f"floor({room.text})")
    sheet.line("sequences that a replica holds", whole, "sequences")
    if question.sequences is not None:
        share = Quantity(one.batch, f"ceil({question.sequences:,} / {one.replicas:,})")
        sheet.line("sequences that a replica gets", share, "sequences")
    return of(shape.num_hidden_layers, "layers") * a_layer


def _prefill(sheet: Sheet, question: ServeQuestion, one: Serving) -> None:
    shape, sequence, accelerator = question.shape, question.sequence, question.accelerator
    sheet.section = f"one prompt of {sequence:,} tokens"
    h, q = of(shape.hidden_size), of(shape.num_attention_heads * shape.head_dim)
    kv, tokens = of(shape.num_key_value_heads * shape.head_dim), of(sequence, "tokens")
    layer = 2 * h * (2 * q + 2 * kv + shape.mlp_matrices * of(shape.intermediate_size)) + 4 * tokens * q / 2
    head = 2 * h * of(shape.vocab_size)
    layers = of(shape.num_hidden_layers, "layers")
    flops = sheet.line("FLOPs; the head's for the last token alone", tokens * layers * layer + head, "FLOP")
    compute = flops / one.tp / of(accelerator.matmul_flops, "FLOP/s")
    parts = [sheet.line("compute", compute, "s"), *_traffic(sheet, question, one, tokens)]
    sheet.line("to the first token", sum(parts[1:], parts[0]), "s")


def _decode(sheet: Sheet, question: ServeQuestion, one: Serving, token_bytes: Quantity) -> None:
    shape, accelerator, tp = question.shape, question.accelerator, one.tp
    layers, group = of(shape.num_hidden_layers, "layers"), of(one.decode.batch, "sequences")
    sheet.section = f"one token for each of {one.decode.batch:,} sequences"
    if one.pp > 1:
        sheet.section += f", one of {one.pp} groups that take turns"
    rate, bandwidth = of(accelerator.matmul_flops, "FLOP/s"), of(accelerator.read_bandwidth, "B/s")
    parts = parameter_breakdown(shape, tp)
    read = sum(parts.values()) - (0 if shape.tie_word_embeddings else parts["embedding"])
    weights = of(read, "parameters") * of(question.bytes_per_parameter, "B") / bandwidth
    weights = sheet.line("reading the weights, all layers and the head", weights, "s")
    h, q = of(shape.hidden_size), of(shape.num_attention_heads * shape.head_dim)
    kv, context = of(shape.num_key_value_heads * shape.head_dim), of(question.sequence, "tokens")
    layer = 2 * h * (2 * q + 2 * kv + shape.mlp_matrices * of(shape.intermediate_size)) + 4 * context * q
    flops = sheet.line("FLOPs of a token", layers * layer + 2 * h * of(shape.vocab_size), "FLOP")
    compute = sheet.line("compute", group * flops / tp / rate, "s")
    cache = sheet.line("reading the KV cache", group * context * token_bytes / bandwidth, "s")
    kernels = sheet.line("starting kernels", layers * of(accelerator.layer_seconds, "s"), "s")
    work = [largest(weights, compute), cache, kernels, *_traffic(sheet, question, one, group)]
    token = sheet.line("between two tokens", sum(work[1:], work[0]), "s")
    sequences = of(one.sequences, "sequences")
    sheet.line("tokens a second, all replicas", sequences / token, "tokens/s")


def _traffic(sheet: Sheet, question: ServeQuestion, one: Serving, rows: Quantity) -> list[Quantity]:
    """All-reduces and sends of [rows, hidden] in bf16."""
    size = of(2, "B") * rows * of(question.shape.hidden_size)
    found, link = [], link_of(question.accelerator, one.tp)
    if one.tp > 1:
        times = 2 * of(question.shape.num_hidden_layers, "layers") + 1
        reduce = sheet.line("one all-reduce over TP", collective("all_reduce", size, one.tp, link), "s")
        found.append(sheet.line("all-reduces: two a layer, one for the embedding", times * reduce, "s"))
    if one.pp > 1:
        send = collective("send", size, 2, link_of(question.accelerator, 2, one.tp))
        found.append(sheet.line("sends between stages", (one.pp - 1) * send, "s"))
    return found
