"""What wrong times of a decode step show: what is read, what is computed, what tp divides, and how much is sent."""

from tplearn.checks.exercise import mutants_of
from tplearn.planning.models import ModelShape


def wrong_decode(
    shape: ModelShape,
    weight_bytes: int,
    tp: int,
    batch: int,
    context: int,
    bandwidth: float,
    peak: float,
    alpha: float,
    beta: float,
    wrong: str,
) -> float:
    """The seconds of a decode step, with one thing `wrong`."""
    layers, all_kv = shape.num_hidden_layers, shape.num_key_value_heads
    kv_heads = {
        "cache whole": all_kv,
        "cache below one head": all_kv / tp,
        "cache of query heads": shape.num_attention_heads / tp,
    }.get(wrong, max(1, all_kv // tp))
    cache = 2 * layers * kv_heads * shape.head_dim * 2 * batch * context
    cache *= {
        "no cache": 0,
        "keys only": 1 / 2,
        "cache of one layer": 1 / layers,
        "cache of one sequence": 1 / batch,
        "cache of one token": 1 / context,
    }.get(wrong, 1)
    weights = weight_bytes / (1 if wrong == "weights whole" else tp)
    reading = (weights * (batch if wrong == "weights for each sequence" else 1) + cache) / bandwidth
    computing = weight_bytes * batch / tp / peak
    computing *= {
        "multiply-adds": 1 / 2,
        "two FLOPs a byte": 2,
        "products whole": tp,
        "products of the context": context,
    }.get(wrong, 1)
    longer = {
        "memory alone": reading,
        "compute alone": computing,
        "sum of both": reading + computing,
        "the shorter": min(reading, computing),
    }.get(wrong, max(reading, computing))
    message = batch * shape.hidden_size * 2
    message *= {
        "message of the context": context,
        "message of one sequence": 1 / batch,
        "message cut": 1 / tp,
    }.get(wrong, 1)
    rounds = {"one round": 1, "message whole": tp / (tp - 1) * 2 if tp > 1 else 2}.get(wrong, 2)
    each = alpha * (wrong != "no alpha") + rounds * (tp - 1) / tp * message * beta * (wrong != "alpha alone")
    if tp == 1 and wrong != "one rank waits":
        each = 0.0
    number = {"collectives of one layer": 2, "one a layer": layers, "four a layer": 4 * layers, "no collectives": 0}
    sending = number.get(wrong, 2 * layers) * each / (tp if wrong == "everything over tp" else 1)
    return max(longer, sending) if wrong == "collectives hidden" else longer + sending


READ = "the bytes that a rank reads: its weights once, and its KV heads of every sequence."
SENT = "the collectives: how many, and α + 2(p − 1)/p · n · β for each."
ROOF = "the roofline: the longer of reading and computing."
MUTANTS = mutants_of(
    wrong_decode,
    (
        "everything over tp",
        "You divided everything by tp, the collectives too. Weights, cache and products are shared out; each rank "
        "takes part in every collective from beginning to end. That is why more tp stops to help.",
        SENT,
    ),
    (
        "compute alone",
        "You took the time of the matrix products alone. With few sequences a rank waits for its weights from memory: "
        "each is read for a handful of FLOPs.",
        ROOF,
    ),
    (
        "memory alone",
        "In yours a step takes as long as reading, however large the batch. With very many sequences each weight that "
        "is read serves all of them, and the products take longer.",
        ROOF,
    ),
    ("sum of both", "You added reading and computing. They run at the same time, and the longer one counts.", ROOF),
    ("the shorter", "You took the shorter of reading and computing. A step waits for the longer one.", ROOF),
    ("multiply-adds", "You counted one FLOP a parameter and sequence. A multiply and an add are two.", "the products."),
    (
        "two FLOPs a byte",
        "You counted two FLOPs for each byte of weights. A parameter has two bytes: weight_bytes / 2 parameters.",
        "the products.",
    ),
    (
        "products of the context",
        "You computed the whole context again. Its keys and values are in the cache: one new token for each sequence.",
        "the products.",
    ),
    ("products whole", "Every rank of yours computes all products. They are cut as the weights are.", "the products."),
    ("weights whole", "Every rank of yours reads all weights. It has 1 / tp of them.", READ),
    (
        "weights for each sequence",
        "You read the weights once for each sequence. Once they are there they serve the whole batch, and that is "
        "what a batch is for.",
        READ,
    ),
    ("no cache", "You did not read the KV cache. With a long context it is more than the weights.", READ),
    ("cache whole", "Every rank of yours reads all KV heads. It has its share of them, and one at least.", READ),
    (
        "cache below one head",
        "Above num_key_value_heads ranks your cache goes on shrinking. Each rank reads one whole head.",
        READ,
    ),
    ("cache of query heads", "You read keys and values for each query head. There is one for each KV head.", READ),
    ("keys only", "You read half of the cache's bytes. Keys and values are stored, of two bytes a number.", READ),
    ("cache of one layer", "You read the cache of one layer. Each layer has its own.", READ),
    ("cache of one sequence", "You read the cache of one sequence. Each sequence has its own.", READ),
    ("cache of one token", "You read the cache of one token. Attention looks at the whole context.", READ),
    ("no collectives", "You sent nothing. Each layer ends its two halves with an all-reduce.", SENT),
    ("collectives of one layer", "You counted the collectives of one layer. Each layer has two.", SENT),
    ("one a layer", "You counted one all-reduce a layer. There are two: after attention, and after the MLP.", SENT),
    ("four a layer", "You counted four all-reduces a layer. Two of them are backward's, and nothing is trained.", SENT),
    ("no alpha", "α is missing. In decode messages are small, and α is nearly all that they cost.", SENT),
    ("alpha alone", "You counted α and no bytes. With many sequences the messages are not small.", SENT),
    (
        "one round",
        "Your all-reduces send half of what is due. Each has two rounds of (p − 1)/p · n, and n is two bytes for each "
        "number of [batch, hidden].",
        SENT,
    ),
    ("message whole", "Your all-reduce sends 2 · n. Each round sends (p − 1)/p of n.", SENT),
    (
        "message of the context",
        "You sent vectors of the whole context. A step sends those of its new tokens: [batch, hidden].",
        SENT,
    ),
    ("message of one sequence", "You sent one vector. A step has one for each sequence: [batch, hidden].", SENT),
    (
        "message cut",
        "You sent 1 / tp of [batch, hidden]. A row-parallel layer leaves a summand of all of it on each rank.",
        SENT,
    ),
    ("one rank waits", "One rank sends nothing and waits for nobody: no collectives at tp = 1.", "tp = 1."),
    (
        "collectives hidden",
        "You hid the collectives behind the rest. Each layer needs the sum before it can go on: their times add up.",
        SENT,
    ),
)
