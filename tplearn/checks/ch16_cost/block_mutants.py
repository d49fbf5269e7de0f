"""What wrong counts of a block's FLOPs show: matrices, heads, the scores' sequence, the causal half, and tp."""

from tplearn.checks.exercise import mutants_of
from tplearn.planning.models import ModelShape


def _pairs(seq: int, causal: bool, wrong: str) -> float:
    """Pairs of a query and a key in one head of one sequence."""
    if wrong == "causal always":
        causal = True
    if wrong == "causal ignored" or not causal:
        return seq * seq
    return {
        "half of the square": seq * seq / 2,
        "half, rounded down": seq * seq // 2,
        "no diagonal": seq * (seq - 1) // 2,
        "everything halved": seq * seq,
    }.get(wrong, seq * (seq + 1) // 2)


def wrong_flops(shape: ModelShape, batch: int, seq: int, tp: int, causal: bool, wrong: str) -> float:
    """The FLOPs of a block on a rank, with one thing `wrong`."""
    all_kv = shape.num_key_value_heads
    heads = shape.num_attention_heads / (1 if wrong in ("tp ignored", "heads whole") else tp)
    kv_heads = {
        "tp ignored": all_kv,
        "KV heads whole": all_kv,
        "KV heads below one": all_kv / tp,
        "KV heads as query heads": heads,
    }.get(wrong, max(1, all_kv // tp))
    head_dim = shape.hidden_size // shape.num_attention_heads if wrong == "head_dim" else shape.head_dim
    q, kv = heads * head_dim, kv_heads * head_dim
    inner = shape.intermediate_size / (1 if wrong in ("tp ignored", "MLP whole") else tp)
    matrices = {"two MLP matrices": 2, "one MLP matrix": 1}.get(wrong, 3)
    attention = {"no o": q + 2 * kv, "k or v": 2 * q + kv}.get(wrong, 2 * q + 2 * kv)
    weights = shape.hidden_size * (attention + matrices * inner)
    pairs = _pairs(seq, causal, wrong)
    if wrong == "scores without seq":
        pairs = seq
    width = {"scores of KV heads": kv, "scores of one head": head_dim, "scores of hidden": shape.hidden_size / tp}
    scores = (1 if wrong == "scores once" else 2) * batch * pairs * width.get(wrong, q)
    if wrong == "scores of the whole batch":
        scores *= batch
    if wrong == "no scores":
        scores = 0
    flops = 2 * (batch * seq * weights + scores)
    factor = {
        "multiply-adds": 1 / 2,
        "with backward": 3,
        "tp twice": 1 / tp,
        "all layers": shape.num_hidden_layers,
        "one sequence": 1 / batch,
        "everything halved": 1 / 2 if causal else 1,
    }.get(wrong, 1)
    flops *= factor
    return round(flops) if abs(flops - round(flops)) < 1e-6 else flops


SCORES = "q·k and the sum of values: pairs of tokens, query heads, head_dim."
KV = "k and v."
MUTANTS = mutants_of(
    wrong_flops,
    (
        "multiply-adds",
        "You counted a multiply and an add as one. They are two FLOPs, in the peak of a GPU as well: a product of "
        "[m, k] and [k, n] is 2 · m · k · n.",
        "the factor of each product.",
    ),
    (
        "KV heads as query heads",
        "You counted as many KV heads as query heads. In grouped-query attention k and v are narrower: "
        "num_key_value_heads · head_dim.",
        KV,
    ),
    (
        "KV heads whole",
        "Every rank of yours computes all KV heads. While there are enough of them they are cut, as query heads are.",
        KV,
    ),
    (
        "KV heads below one",
        "Your k and v go on shrinking above num_key_value_heads ranks. From there on each rank computes one whole "
        "head, a copy: work that does not shrink.",
        KV,
    ),
    (
        "scores of KV heads",
        "You counted scores for KV heads. Each query head has scores of its own: sharing a KV head saves k, v and "
        "cache, and no score.",
        SCORES,
    ),
    ("scores of one head", "You counted the scores of one head. Each query head of the rank has its own.", SCORES),
    (
        "scores of hidden",
        "You counted scores with hidden_size / tp numbers for each token. q has heads / tp · head_dim of them, and "
        "that is another number here.",
        SCORES,
    ),
    (
        "scores without seq",
        "Your scores grow with seq as the projections do. Each query meets a key of every token before it: seq² of "
        "them, or the causal half.",
        SCORES,
    ),
    (
        "scores of the whole batch",
        "In yours tokens look at other sequences of the batch. Each of the batch · seq tokens has seq keys at most, "
        "not batch · seq.",
        SCORES,
    ),
    (
        "no scores",
        "You counted the weights alone, 2 FLOPs a parameter and token. q·k and the sum of values have no weights, and "
        "cost FLOPs all the same.",
        SCORES,
    ),
    (
        "scores once",
        "You counted one product without weights. There are two of one size: queries with keys, and the probabilities "
        "with values.",
        SCORES,
    ),
    ("causal ignored", "You counted all pairs where only the causal half is asked for.", "causal = True."),
    ("causal always", "You counted the causal half where all pairs are asked for.", "causal = False."),
    (
        "half of the square",
        "You took seq² / 2 pairs for the causal half. A token also sees itself: 1 + 2 + … + seq = seq · (seq + 1) / 2.",
        "the number of pairs.",
    ),
    (
        "half, rounded down",
        "You took seq² // 2 pairs for the causal half. A token also sees itself: 1 + 2 + … + seq, seq · (seq + 1) / 2.",
        "the number of pairs.",
    ),
    (
        "no diagonal",
        "In your causal half a token does not see itself: seq · (seq − 1) / 2 pairs. It does, which makes seq more.",
        "the number of pairs.",
    ),
    (
        "everything halved",
        "With causal you halved everything. Only pairs of tokens are fewer: projections and MLP work on every token.",
        "what causal touches.",
    ),
    ("two MLP matrices", "You counted two matrices in the MLP. SwiGLU has three: gate, up and down.", "the MLP."),
    ("one MLP matrix", "You counted one matrix in the MLP. SwiGLU has three: gate, up and down.", "the MLP."),
    ("no o", "o is missing. Attention has four projections: q, k, v and o.", "attention."),
    ("k or v", "You counted one of k and v. Both are computed.", KV),
    (
        "head_dim",
        "You took head_dim to be hidden_size / num_attention_heads. That holds for Llama, not for every model.",
        "where head_dim comes from: read shape.head_dim.",
    ),
    ("heads whole", "Every rank of yours computes all query heads. A rank has heads / tp of them.", "q, o, scores."),
    ("MLP whole", "Every rank of yours computes the whole MLP. A rank has intermediate_size / tp of it.", "the MLP."),
    ("tp ignored", "That is the whole block. Asked is what one rank computes.", "tp."),
    ("tp twice", "You divided by tp twice. A rank has fewer heads and columns, and works on all tokens.", "tp."),
    ("with backward", "Yours is three times the right one: forward and backward. Forward was asked for.", "the end."),
    ("all layers", "You counted all layers. One block was asked for.", "num_hidden_layers."),
    ("one sequence", "You counted one sequence. There are `batch` of them.", "batch."),
)
