"""What the wrong answers to exercise 18.7 show: rooms in the wrong order, innocents accused, one size for all."""

from tplearn.checks.ch18_bug_museum.forward_mutants import wrong_name_forward_bug
from tplearn.checks.ch18_bug_museum.gradient_mutants import wrong_name_gradient_bug
from tplearn.checks.ch18_bug_museum.ledger_mutants import wrong_name_ledger_bug
from tplearn.checks.exercise import mutants_of


def wrong_diagnose(fingerprint: dict[int, dict], wrong: str) -> str:
    """A diagnosis, with one thing `wrong`."""
    seen = fingerprint[max(fingerprint)]
    precision = "bfloat16" if wrong == "bfloat16" else "error"
    forward_off = seen["forward"][precision] > 1e-10
    gradients_off = any(mark[precision] > 1e-10 for mark in seen["gradients"].values())
    ledger_off = seen["ledger"] != seen["due"]
    by_ledger = wrong_name_ledger_bug(fingerprint, wrong)
    if wrong == "ledger first" and ledger_off:
        return by_ledger
    if wrong == "gradients first" and gradients_off:
        return wrong_name_gradient_bug(fingerprint, wrong)
    if forward_off and wrong != "result not read":
        return wrong_name_forward_bug(fingerprint, wrong)
    if gradients_off and wrong not in ("result alone", "loss read"):
        return wrong_name_gradient_bug(fingerprint, wrong)
    if wrong == "numbers alone":
        return "right"
    if wrong == "everything is broken" and by_ledger == "right":
        return "an f for each layer"
    return by_ledger


ORDER = "the order: the result, then gradients, then bytes and memory."

MUTANTS = mutants_of(
    wrong_diagnose,
    (
        "ledger first",
        "You began with the ledger. A message can be missing because no gradient came that far, or be one too many in "
        "a model whose loss is wrong: the numbers say what happened, the ledger says where.",
        ORDER,
    ),
    (
        "gradients first",
        "You began with the gradients. Where the result is off they are often off as its consequence: begin with what "
        "comes first in a step.",
        ORDER,
    ),
    (
        "result not read",
        "You did not look at the result. A bias that every rank adds leaves all gradients right.",
        ORDER,
    ),
    (
        "result alone",
        "You looked at the result and at the bill, not at the gradients. That is what a falling loss shows: the model "
        "computes what it should, and learns something else.",
        ORDER,
    ),
    (
        "numbers alone",
        "You called every model right whose numbers are. Some pay for them with bytes that are not due, or hold the "
        "whole model on each rank.",
        ORDER,
    ),
    (
        "everything is broken",
        "You found a bug in every model. Some of these are right: what looks strange in them is rounding, a bias that "
        "rank 0 alone adds, or a cheaper ledger.",
        "what is left when nothing is off: 'right'.",
    ),
    (
        "bfloat16",
        "You judged in bfloat16, where every model is off by a percent or so. In float64 rounding is gone, and a bug "
        "is not.",
        "error, not bfloat16.",
    ),
    (
        "any difference",
        "You called a cheaper ledger a bug. Two branches that are added before one all-reduce send half as much, and "
        "are right.",
        "wire: own beside due. Fewer bytes are allowed.",
    ),
    (
        "messages counted",
        "You counted messages. One all-gather of logits is fewer than three all-reduces of a number a token, and many "
        "times as many bytes.",
        "wire: own beside due.",
    ),
    (
        "memory not read",
        "You did not look at what a rank holds. Where nothing is cut nothing need be sent, and all numbers are right.",
        "held: own beside due.",
    ),
    (
        "agreement not read",
        "You did not ask whether the ranks agree. Where they do not, either a sum is missing or each did something of "
        "its own.",
        "agree, of the result and of the wrong gradients.",
    ),
    (
        "two for tp",
        "You asked for 2 and for log(2). That is what two ranks show; on three and on four it is tp and log(tp).",
        "factors and shifts, with the tp of the reading.",
    ),
    (
        "upside down",
        "You read factors upside down: own over right is tp where something was summed too often, and 1/tp where it "
        "was divided.",
        "factors: own over right.",
    ),
    (
        "smallest size",
        "You judged at the smallest size. Where that is one rank, no bug of tensor parallelism can be seen.",
        "a reading with tp > 1.",
    ),
)
