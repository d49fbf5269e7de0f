"""What the wrong answers to exercise 18.6 show: bugs that were not looked for, and innocents that were accused."""

from tplearn.checks.exercise import mutants_of


def wrong_is_right(fingerprint: dict[int, dict], wrong: str) -> bool:
    """Whether a model is right, with one thing `wrong`."""
    one = {"smallest size": min, "largest size": max, "first size": lambda sizes: next(iter(sizes))}.get(wrong)
    sizes = [one(fingerprint)] if one else list(fingerprint)
    return all(_right(fingerprint[tp], wrong) for tp in sizes)


def _right(seen: dict, wrong: str) -> bool:
    precision = "bfloat16" if wrong == "bfloat16" else "error"
    marks = {
        "forward alone": [seen["forward"]],
        "gradients alone": list(seen["gradients"].values()),
        "x's gradient alone": [seen["forward"], *(m for name, m in seen["gradients"].items() if name == "x")],
    }.get(wrong, [seen["forward"], *seen["gradients"].values()])
    if wrong == "agreement for rightness":
        numbers = all(mark["agree"] for mark in marks)
    else:
        numbers = all(mark[precision] < 1e-10 for mark in marks)
    counts = [sum(sum(phase.values()) for phase in seen[of].values()) for of in ("ledger", "due")]
    ledger = {
        "ledger not read": True,
        "any difference": seen["ledger"] == seen["due"],
        "messages counted": counts[0] <= counts[1],
    }.get(wrong, seen["wire"]["own"] <= seen["wire"]["due"])
    held = wrong == "memory not read" or seen["held"]["own"] <= seen["held"]["due"]
    if wrong == "numbers alone":
        return numbers
    if wrong == "ledger alone":
        return seen["ledger"] == seen["due"]
    return numbers and ledger and held


NUMBERS = "error of forward and of every gradient, below 1e-10, at every size."
BYTES = "wire: own beside due. Fewer bytes are allowed."

MUTANTS = mutants_of(
    wrong_is_right,
    (
        "smallest size",
        "You judged at the smallest size. Where that is one rank nothing is cut, and every model is right.",
        NUMBERS,
    ),
    (
        "largest size",
        "You judged at the largest size alone. A model may go another way on few ranks, and be wrong there.",
        NUMBERS,
    ),
    (
        "first size",
        "You judged at one size, the first that came. A model is right when it is right at every size.",
        NUMBERS,
    ),
    (
        "forward alone",
        "You looked at the result alone. A model whose result is right can train on wrong gradients for weeks: its "
        "loss falls, because wrong gradients mostly still point downhill.",
        NUMBERS,
    ),
    (
        "gradients alone",
        "You looked at the gradients alone. A bias that is added by every rank spoils the result and no gradient.",
        NUMBERS,
    ),
    (
        "x's gradient alone",
        "You looked at the result and at x's gradient. A bias, a norm or a copied KV head can be off when both are "
        "right.",
        NUMBERS,
    ),
    (
        "agreement for rightness",
        "You asked whether the ranks agree. They can all be wrong in the same way: a bias that each of them adds, a "
        "gradient that each gets tp times.",
        NUMBERS,
    ),
    (
        "bfloat16",
        "You accuse rounding. In bfloat16 every model is off, a deep one by percents, because its sums run in another "
        "order; in float64 by a last digit. So ask for 1e-10 in float64, and not for 0.",
        NUMBERS,
    ),
    (
        "numbers alone",
        "You looked at the numbers alone. They can be right in a model that sends more than is due in every step, or "
        "that holds everything on every rank.",
        "wire and held: own beside due.",
    ),
    (
        "ledger not read",
        "You did not look at what is sent. The numbers can be right and dearer than they need be, in every step.",
        BYTES,
    ),
    (
        "any difference",
        "You accuse every ledger that differs from the textbook. Two branches that are added before one all-reduce "
        "send half as much, and are right.",
        BYTES,
    ),
    (
        "messages counted",
        "You counted messages. One all-gather of logits is fewer than three all-reduces of a number a token, and many "
        "times as many bytes.",
        BYTES,
    ),
    (
        "ledger alone",
        "You looked at the ledger alone. Most bugs send exactly what is due.",
        NUMBERS,
    ),
    (
        "memory not read",
        "You did not look at what a rank holds. Where nothing is cut nothing need be sent, all numbers are right, and "
        "tensor parallelism is not there.",
        "held: own beside due.",
    ),
)
