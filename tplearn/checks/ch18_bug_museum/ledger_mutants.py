"""What the wrong answers to exercise 18.5 show: messages counted for bytes, cheaper ones accused, memory forgotten."""

from tplearn.checks.exercise import mutants_of


def wrong_name_ledger_bug(fingerprint: dict[int, dict], wrong: str) -> str:
    """What a model wastes, with one thing `wrong`."""
    seen = fingerprint[min(fingerprint) if wrong == "smallest size" else max(fingerprint)]
    ran, due = seen["ledger"], seen["due"]
    counts = [sum(sum(phase.values()) for phase in of.values()) for of in (ran, due)]
    dearer = {
        "messages counted": counts[0] > counts[1],
        "any difference": ran != due,
        "forward alone": seen["wire"]["own"] > seen["wire"]["due"] and ran["forward"] != due["forward"],
    }.get(wrong, seen["wire"]["own"] > seen["wire"]["due"])
    if seen["held"]["own"] > seen["held"]["due"] and wrong != "memory not read":
        return "nothing cut"
    if not dearer:
        return "right"
    gathers = {"always f": False, "always the logits": True}.get(wrong, "all_gather" in ran["forward"])
    return "logits gathered" if gathers else "an f for each layer"


BYTES = "wire: own beside due. Fewer bytes are allowed."
HELD = "held: own beside due."

MUTANTS = mutants_of(
    wrong_name_ledger_bug,
    (
        "smallest size",
        "You judged at the smallest size. Where that is one rank, nothing is sent and everything is held, by right "
        "models too.",
        "a reading with tp > 1.",
    ),
    (
        "messages counted",
        "You counted messages, or only those of backward. One all-gather of logits is fewer than three all-reduces of "
        "a number a token, and many times as many bytes.",
        BYTES,
    ),
    (
        "any difference",
        "You took every ledger that differs for a bug. A model may do with less than the textbook: two branches that "
        "are added before one all-reduce are right, and cheaper.",
        BYTES,
    ),
    (
        "forward alone",
        "You looked at forward alone. f sends in the backward pass.",
        BYTES,
    ),
    (
        "memory not read",
        "You did not look at what a rank holds. Where nothing is cut nothing need be sent: the numbers are right and "
        "the ledger is empty, but a rank holds the whole model and does all its work.",
        HELD,
    ),
    (
        "always f",
        "You named f wherever too much is sent. f is an all-reduce in the backward pass; here forward gathers.",
        "which phase is dearer, and by which op.",
    ),
    (
        "always the logits",
        "You named the logits wherever too much is sent. Gathering them is an all-gather in the forward pass; here "
        "backward has an all-reduce too many.",
        "which phase is dearer, and by which op.",
    ),
)
