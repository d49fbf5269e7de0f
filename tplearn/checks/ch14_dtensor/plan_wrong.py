"""Wrong plans for exercise 14.2."""

from torch import nn
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, SequenceParallel

QKV = ("attention.wq", "attention.wk", "attention.wv")
Plan = dict[str, ParallelStyle]


def wrong_plan(model: nn.Module, wrong: str) -> Plan:
    """The plan with one thing `wrong`."""
    column, row, whole = ColwiseParallel(), RowwiseParallel(), ColwiseParallel(output_layouts=Replicate())
    own_heads = SequenceParallel(sequence_dim=2, use_local_output=True)
    layer = dict.fromkeys(QKV, column) | {"attention.wo": row}
    layer |= dict.fromkeys(("attention.q_norm", "attention.k_norm"), own_heads)
    layer |= {"feed_forward.w1": column, "feed_forward.w3": column, "feed_forward.w2": row}
    ends = {"tok_embeddings": whole, "output": whole}
    if wrong == "w2 and w3 swapped":
        layer |= {"feed_forward.w2": column, "feed_forward.w3": row}
    if wrong == "w2 a column":
        layer["feed_forward.w2"] = column
    if wrong == "all of the MLP columns, whole results":
        layer |= dict.fromkeys(("feed_forward.w1", "feed_forward.w2", "feed_forward.w3"), whole)
    if wrong == "wo a column":
        layer["attention.wo"] = column
    if wrong == "wq a row":
        layer |= {"attention.wq": row, "attention.wo": column}
    if wrong == "w1 a row":
        layer["feed_forward.w1"] = row
    if wrong == "rows give own tokens":
        layer |= dict.fromkeys(("attention.wo", "feed_forward.w2"), RowwiseParallel(output_layouts=Shard(1)))
    if wrong == "norms as columns":
        layer |= dict.fromkeys(("attention.q_norm", "attention.k_norm"), column)
    if wrong == "only queries cut":
        del layer["attention.wk"], layer["attention.wv"]
    if wrong == "wo left out":
        del layer["attention.wo"]
    if wrong == "w3 left out":
        del layer["feed_forward.w3"]
    if wrong == "attention left out":
        layer = {name: style for name, style in layer.items() if name.startswith("feed_forward")}
    if wrong == "MLP left out":
        layer = {name: style for name, style in layer.items() if name.startswith("attention")}
    if wrong == "norms of heads left out":
        del layer["attention.q_norm"], layer["attention.k_norm"]
    if wrong == "norms of heads give DTensors":
        layer |= dict.fromkeys(("attention.q_norm", "attention.k_norm"), SequenceParallel(sequence_dim=2))
    if wrong == "norms between on shards":
        layer |= dict.fromkeys(("attention_norm", "ffn_norm"), SequenceParallel(use_local_output=True))
        ends["norm"] = SequenceParallel(use_local_output=True)
    if wrong == "embedding gives its shard":
        ends["tok_embeddings"] = column
    if wrong == "embedding by words":
        ends["tok_embeddings"] = RowwiseParallel(input_layouts=Replicate())
    if wrong == "embedding takes shards":
        ends["tok_embeddings"] = RowwiseParallel()
    if wrong == "embedding left out":
        del ends["tok_embeddings"]
    if wrong == "logits stay cut":
        ends["output"] = column
    if wrong == "logits a DTensor":
        ends["output"] = ColwiseParallel(output_layouts=Replicate(), use_local_output=False)
    if wrong == "logits a cut DTensor":
        ends["output"] = ColwiseParallel(use_local_output=False)
    if wrong == "head by rows":
        ends["output"] = RowwiseParallel(input_layouts=Replicate())
    if wrong == "head left out":
        del ends["output"]
    if wrong == "first layer only":
        return {f"layers.0.{name}": style for name, style in layer.items()} | ends
    if wrong == "keys without their place":
        return layer | ends
    if wrong == "Hugging Face's names":
        names = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj", "feed_forward": "mlp", "attention": "self_attn"}
        names |= {f"w{letter}": f"{letter}_proj" for letter in "qkvo"}
        layer = {".".join(names.get(part, part) for part in name.split(".")): style for name, style in layer.items()}
        hugging = {f"model.layers.*.{name}": style for name, style in layer.items()}
        return hugging | {"model.embed_tokens": whole, "lm_head": whole}
    return {f"layers.*.{name}": style for name, style in layer.items()} | ends
