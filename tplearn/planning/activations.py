"""What a layer keeps from forward for backward: bytes a token on one rank, tensor by tensor.

For GPT (`mlp_matrices` = 2) without flash attention the table sums to Korthikanti et al., arXiv:2205.05198, Table 2.
With b · s tokens of hidden size h, a heads and tp = t:

| | bytes a layer |
|---|---|
| one rank | sbh (34 + 5as / h) |
| tensor parallel | sbh (10 + 24 / t + 5as / ht) |
| and sequence parallel | sbh (34 + 5as / h) / t |
| selective recomputation | without the 5as / h |
| full recomputation | 2sbh, and 2sbh / t with sequence parallel |

For Llama with flash attention: 2 · (4h + 2 · query width + 2 · KV width + 3 · intermediate) + 4a, in the table's order.
"""

from tplearn.planning.flops import check_recompute
from tplearn.planning.memory import check_positive, kv_heads_per_rank
from tplearn.planning.models import ModelShape

BYTES = 2  # bf16


def saved_tensors(
    shape: ModelShape, sequence: int, tp: int = 1, *, sequence_parallel: bool = True, flash_attention: bool = True
) -> dict[str, float]:
    """Bytes a token that one rank keeps of one layer, by tensor, with nothing recomputed.

    What lies between the cut matmuls, norms and residual, is whole on every rank; with `sequence_parallel` it is cut by
    tokens. Everything inside is cut by heads or columns.

    Raises ValueError where tp does not cut the model.
    """
    kv_width = kv_heads_per_rank(shape, tp) * shape.head_dim
    q_width = shape.num_attention_heads * shape.head_dim / tp
    columns, heads = shape.intermediate_size / tp, shape.num_attention_heads / tp
    whole = shape.hidden_size / (tp if sequence_parallel else 1)
    gpt = shape.mlp_matrices == 2
    attention = (
        {"softmax sums": 4 * heads}  # float32, one a query
        if flash_attention
        else {"scores": heads * sequence * (BYTES + BYTES + 1)}  # softmax, its dropout, and the dropout's mask
    )
    return {
        "attention norm input": BYTES * whole,
        "attention norm output": BYTES * whole,
        "q": BYTES * q_width,
        "k": BYTES * kv_width,
        "v": BYTES * kv_width,
        **attention,
        "attention output": BYTES * q_width,
        **({"attention dropout mask": whole} if gpt else {}),
        "mlp norm input": BYTES * whole,
        "mlp norm output": BYTES * whole,
        **({} if gpt else {"gate": BYTES * columns}),
        "up": BYTES * columns,
        "product": BYTES * columns,
        **({"mlp dropout mask": whole} if gpt else {}),
    }


def recomputed(tensors: dict[str, float]) -> set[str]:
    """What selective recomputation makes again, because it is large and quick to make.

    Without flash attention that is the scores (arXiv:2205.05198, section 5). Flash attention never stores them: then it
    is the norms' outputs and the MLP's product (Megatron-LM: --recompute-modules layernorm mlp_act).
    """
    return {"scores"} if "scores" in tensors else {"attention norm output", "mlp norm output", "product"}


def activation_bytes(
    shape: ModelShape,
    tokens: float,
    sequence: int,
    tp: int = 1,
    *,
    sequence_parallel: bool = True,
    recompute: str = "none",
    flash_attention: bool = True,
) -> float:
    """Bytes that one rank keeps of one layer for one micro-batch of `tokens`: the table, and what recomputing leaves.

    With "full" it is the layer's input alone. Raises ValueError where tp does not cut the model, for tokens that are
    not above 0, or a `recompute` that does not exist.
    """
    check_positive(tokens=tokens, sequence=sequence)
    check_recompute(recompute)
    tensors = saved_tensors(shape, sequence, tp, sequence_parallel=sequence_parallel, flash_attention=flash_attention)
    if recompute == "full":
        return tokens * tensors["attention norm input"]
    dropped = recomputed(tensors) if recompute == "selective" else set()
    return tokens * sum(size for name, size in tensors.items() if name not in dropped)
