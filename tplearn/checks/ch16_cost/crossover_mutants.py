"""What wrong crossovers of TP and FSDP show: how often each sends, what, and to how many."""

from tplearn.checks.exercise import mutants_of


def wrong_crossover(parameters: int, hidden: int, p: int, recompute: bool, gradient_bytes: int, wrong: str) -> float:
    """The tokens at which both send the same, with one thing `wrong`."""
    gathers = {
        "one gather": 1,
        "no gather": 0,
        "gathered again to recompute": 3 if recompute else 2,
        "no gather to recompute": 1 if recompute else 2,
    }.get(wrong, 2)
    gradients = {
        "gradients in bf16": 2,
        "neither argument": 2,
        "gradients in float32": 4,
        "no gradients": 0,
        "gradients all-reduced": 2 * gradient_bytes,
    }.get(wrong, gradient_bytes)
    share = (p - 1) / p
    own = {"FSDP of the whole": 1.0, "p times": (p - 1) * 1.0}.get(wrong, share)
    fsdp = own * parameters * (2 * gathers + gradients)
    all_reduces = {
        "half of the four": 4 if recompute else 2,
        "recomputation free": 4,
        "neither argument": 4,
        "always recomputed": 6,
        "everything again": 8 if recompute else 4,
        "one again": 5 if recompute else 4,
        "one for each matrix": 14 if recompute else 7,
    }.get(wrong, 6 if recompute else 4)
    of_tp = 1.0 if wrong == "TP of the whole" else share
    rounds = {"one round": 1, "rounds by p": p - 1}.get(wrong, 2)
    width = {"no hidden": 1, "hidden twice": 2 * hidden}.get(wrong, hidden)
    of_a_token = all_reduces * rounds * of_tp * width * 2
    tokens = fsdp / of_a_token
    return {"upside down": 1 / tokens, "rounded down": int(tokens), "tokens of a rank": tokens / p}.get(wrong, tokens)


FSDP = "FSDP: the weights gathered for forward and again for backward, the gradients reduce-scattered."
TP = "TP: two all-reduces of [tokens, hidden] forward, two backward, and what is run again."
MUTANTS = mutants_of(
    wrong_crossover,
    (
        "one gather",
        "You gathered the weights once. FSDP lets them go after forward, and gathers them again for backward.",
        FSDP,
    ),
    ("no gather", "You counted the gradients alone. Before that the weights are gathered, twice.", FSDP),
    ("no gradients", "You counted the weights alone. The gradients are reduce-scattered.", FSDP),
    (
        "gradients all-reduced",
        "You counted an all-reduce of the gradients. FSDP's ranks keep a shard each: a reduce-scatter, half of it.",
        FSDP,
    ),
    ("gradients in bf16", "You counted 2 bytes for each gradient. gradient_bytes says how many there are.", FSDP),
    ("gradients in float32", "You counted 4 bytes for each gradient. gradient_bytes says how many there are.", FSDP),
    (
        "gathered again to recompute",
        "You gathered the weights a third time to recompute. They are there for backward already, and serve both.",
        FSDP,
    ),
    (
        "no gather to recompute",
        "With recomputation you gathered the weights once. They still go after forward, and come back for backward.",
        FSDP,
    ),
    ("FSDP of the whole", "FSDP's ranks send (p − 1)/p of the whole, as TP's do: their own shard stays.", FSDP),
    ("half of the four", "You counted two all-reduces where there are four: two forward, and two backward.", TP),
    ("recomputation free", "With recompute, forward runs again in backward, and its two all-reduces with it.", TP),
    (
        "neither argument",
        "You always give what is right without recompute and with gradients of 2 bytes. With recompute TP sends more, "
        "with larger gradients FSDP does.",
        "recompute and gradient_bytes.",
    ),
    ("always recomputed", "You counted six all-reduces also where nothing is recomputed: four are due.", TP),
    ("everything again", "You doubled everything to recompute. Forward is run again, and backward is not.", TP),
    ("one again", "You repeated one of forward's all-reduces to recompute. Both halves of the layer run again.", TP),
    (
        "one for each matrix",
        "You counted one all-reduce for each of seven matrices. A column cut and a row cut share one: two a pass.",
        TP,
    ),
    ("TP of the whole", "TP's ranks send (p − 1)/p of n in a round, as FSDP's do; p drops out of the result.", TP),
    ("rounds by p", "You let the all-reduce grow with p. On a ring it is two rounds of (p − 1)/p, whatever p is.", TP),
    ("no hidden", "A token is `hidden` numbers in each message, and you sent one.", TP),
    ("hidden twice", "A token is `hidden` numbers in each message, and you sent twice as many.", TP),
    ("upside down", "Yours is one over the right one.", "which of the two is divided by which."),
    ("rounded down", "You rounded down to whole tokens. The number may have a fraction.", "//, int() or round()."),
    (
        "tokens of a rank",
        "Yours is 1 / p of the right one. FSDP's ranks keep 1 / p of the weights and gather them whole; TP's ranks all "
        "work on the same tokens. p drops out.",
        "where you divide by p.",
    ),
    (
        "p times",
        "Yours is p times the right one. On a ring a rank sends (p − 1)/p of what is gathered, and TP's ranks reduce "
        "summands of all of [tokens, hidden]. p drops out.",
        "where p enters.",
    ),
    (
        "one round",
        "Yours is twice the right one: in TP's bytes a 2 is missing. A pass has two all-reduces, each of two rounds of "
        "(p − 1)/p · n, and n is two bytes a number.",
        TP,
    ),
)
