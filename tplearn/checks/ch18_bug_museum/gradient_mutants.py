"""What the wrong answers to exercise 18.4 show: factors, agreement, and the phase in which a collective ran or not."""

from tplearn.checks.exercise import mutants_of

ALWAYS = {  # of two bugs that only the ledger tells apart, one is always named
    "always f": ("copies not summed", "f missing"),
    "always copies": ("f missing", "copies not summed"),
    "always the bias": ("mean for sum", "bias divided by tp"),
    "always the mean": ("bias divided by tp", "mean for sum"),
    "always on the way back": ("summed once more", "summed on the way back"),
    "always once more": ("summed on the way back", "summed once more"),
}


def wrong_name_gradient_bug(fingerprint: dict[int, dict], wrong: str) -> str:
    """The bug of a model whose gradients are off, with one thing `wrong`."""
    one = {"smallest size": min, "first reading": lambda sizes: next(iter(sizes))}.get(wrong, max)
    tp = one(fingerprint)
    seen = fingerprint[tp]
    precision = "bfloat16" if wrong == "bfloat16" else "error"
    marks = [mark for name, mark in seen["gradients"].items() if not (name == "x" and wrong == "parameters alone")]
    off = [mark for mark in marks if mark[precision] > 1e-10]
    if wrong == "first gradient":
        off = marks[:1]
    apart = {phase: sum(seen["ledger"][phase].values()) - sum(due.values()) for phase, due in seen["due"].items()}
    if wrong == "ledger first" and apart["backward"] < 0:
        return "f missing"
    found = _named(off, apart, bool(seen["due"]["after"]), tp, wrong)
    old, new = ALWAYS.get(wrong, ("", ""))
    return new if found == old else found


def _named(off: list[dict], apart: dict[str, int], after_due: bool, tp: int, wrong: str) -> str:
    factors = [mark["factor"] for mark in off]
    if wrong != "agreement not read" and not all(mark["agree"] for mark in off):
        return "f missing" if apart["backward"] < 0 else "copies not summed"
    if not factors or None in factors:
        return "local padding index"
    if max(factors) == 0:
        return "local padding index" if wrong == "zero is no factor" else "graph cut"
    least = {"two for tp": 0.5}.get(wrong, 1 / tp)
    if wrong == "upside down":
        factors = [1 / factor for factor in factors]
    if max(factors) < 1:
        if wrong == "two for tp" and abs(max(factors) - least) > 1e-6:
            return "local padding index"
        return "mean for sum" if after_due else "bias divided by tp"
    if wrong == "two for tp" and any(abs(factor - 2) > 1e-6 for factor in factors):
        return "local padding index"
    if wrong == "no squares" and any(abs(factor - tp) > 1e-6 for factor in factors):
        return "local padding index"
    return "summed on the way back" if apart["backward"] > 0 else "summed once more"


FACTOR = "the factor of the wrong gradients: above 1 a sum too many, below 1 a division, 0 nothing came back."
PHASE = "the ledger beside what is due, phase by phase: backward, and after it."

MUTANTS = mutants_of(
    wrong_name_gradient_bug,
    (
        "smallest size",
        "You judged at the smallest size. Where that is one rank, no gradient is off: every bug of tensor parallelism "
        "is invisible there.",
        "a reading with tp > 1.",
    ),
    (
        "first reading",
        "You judged by the reading that came first. It may be that of one rank, where no gradient is off.",
        "a reading with tp > 1.",
    ),
    (
        "parameters alone",
        "You did not count x's gradient. The layer before this model gets it, and it can be the only wrong one that is "
        "shown.",
        "every gradient whose error is above rounding, x's among them.",
    ),
    (
        "first gradient",
        "You looked at the first gradient alone. Some are right in a broken model: all that lie behind the bug on the "
        "way back.",
        "every gradient whose error is above rounding.",
    ),
    (
        "bfloat16",
        "You took bfloat16's rounding for a bug: nearly every gradient is off there. In float64 only wrong ones are.",
        "error, not bfloat16.",
    ),
    (
        "agreement not read",
        "You did not ask whether the ranks agree. A gradient that is another one on each rank is a partial that nobody "
        "has summed: a collective is missing.",
        "agree of the wrong gradients.",
    ),
    (
        "always f",
        "You named f wherever partials were not summed. f sums x's gradient in the backward pass itself; a weight of "
        "which several ranks hold copies is summed after it.",
        PHASE,
    ),
    (
        "always copies",
        "You named copied weights wherever partials were not summed. Where backward itself is one all-reduce short, it "
        "is x's gradient that nobody sums, and all that comes before gets a partial.",
        PHASE,
    ),
    (
        "upside down",
        "You read the factor upside down. Own over right is tp where a gradient was summed once too often, and 1/tp "
        "where it was divided.",
        FACTOR,
    ),
    (
        "two for tp",
        "You asked for the factors 2 and 1/2. That is what two ranks show; on three and on four it is tp and 1/tp.",
        FACTOR,
    ),
    (
        "no squares",
        "You asked for the factor tp alone. An all-reduce on the way back makes each layer's gradient tp times too "
        "large, so it is tp² before the second one.",
        FACTOR,
    ),
    (
        "zero is no factor",
        "You did not know the factor 0. Nothing at all has come back there: the graph ends at a collective that "
        "autograd does not see.",
        FACTOR,
    ),
    (
        "ledger first",
        "You named f because backward is one all-reduce short. Look at the gradients first: f's all-reduce also fails "
        "to run where no gradient arrives at it at all.",
        FACTOR,
    ),
    (
        "always the bias",
        "You took every 1/tp for a bias that was divided. A mean over the ranks makes 1/tp as well, and then an "
        "all-reduce after backward is due, and has run.",
        PHASE,
    ),
    (
        "always the mean",
        "You took every 1/tp for a mean. Where no all-reduce is due after backward and none has run, nothing was "
        "averaged: the parameter was divided in the forward pass.",
        PHASE,
    ),
    (
        "always on the way back",
        "You named the backward pass wherever a gradient was summed too often. Look where the message too many is: it "
        "may have run after backward.",
        PHASE,
    ),
    (
        "always once more",
        "You named the step after backward wherever a gradient was summed too often. Look where the message too many "
        "is: it may have run inside backward, in every layer.",
        PHASE,
    ),
)
