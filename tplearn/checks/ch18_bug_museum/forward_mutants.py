"""What the wrong answers to exercise 18.3 show: the wrong size, the wrong number, and readings that were not read."""

import math

from tplearn.checks.exercise import mutants_of


def wrong_name_forward_bug(fingerprint: dict[int, dict], wrong: str) -> str:
    """The bug of a model whose result is off, with one thing `wrong`."""
    one = {"smallest size": min, "first reading": lambda sizes: next(iter(sizes))}.get(wrong, max)
    tp = one(fingerprint)
    seen = fingerprint[tp]
    forward, ran, due = seen["forward"], seen["ledger"]["forward"], seen["due"]["forward"]
    factor, shift = forward["factor"], forward["shift"]
    precision = "bfloat16" if wrong == "bfloat16" else "error"
    wanted = 2 if wrong == "two for tp" else tp
    added = math.log(2 if wrong == "two for tp" else tp)
    differs = {"ledger not read": True, "any difference in the ledger": ran != due}.get(
        wrong, sum(ran.values()) < sum(due.values())
    )
    agree = forward["agree"] or wrong == "agreement not read"
    if wrong == "any difference in the ledger" and differs:
        return "all-reduce missing"
    if not agree:
        return "all-reduce missing" if differs and wrong != "masks alone" else "own dropout mask"
    if factor is not None and abs(factor - wanted) < 1e-6 and wrong not in ("factor not known", "upside down"):
        return "whole layer summed"
    if shift is not None and abs(shift - added) < 1e-6 and wrong != "shift not read":
        return "whole logits taken for a shard"
    right = wrong == "gradients not read" or all(mark[precision] < 1e-10 for mark in seen["gradients"].values())
    return "bias added by every rank" if right else "QKV cut as one block"


TP = "the factor tp and the shift log(tp), with the tp of the reading."
AGREE = "forward's agree; then ledger beside due."
GRADIENTS = "the gradients, where the result is off by no single number."

MUTANTS = mutants_of(
    wrong_name_forward_bug,
    (
        "smallest size",
        "You judged at the smallest size. Where that is one rank, nothing is cut and nothing is off: every bug of "
        "tensor parallelism is invisible there.",
        "a reading with tp > 1.",
    ),
    (
        "first reading",
        "You judged by the reading that came first. It may be that of one rank, where nothing is cut and nothing is "
        "off.",
        "a reading with tp > 1.",
    ),
    (
        "two for tp",
        "You asked for the factor 2 and the shift log(2). That is what is seen on two ranks; on three and on four it "
        "is tp and log(tp).",
        TP,
    ),
    (
        "factor not known",
        "You did not know a whole layer that is summed by its factor: the result is exactly tp times too large, own "
        "over right. No message is too many there: the sum is due, of parts, and each rank gave the whole.",
        TP,
    ),
    (
        "shift not read",
        "You did not look at forward's shift, or compared it with another number than log(tp). tp copies of every "
        "logit make the sum of exponentials tp times as large, and each token's loss log(tp) larger: the natural "
        "logarithm, math.log.",
        TP,
    ),
    (
        "agreement not read",
        "You did not ask whether the ranks agree. A result that is another one on each rank was never joined, or was "
        "changed afterwards by each rank for itself.",
        AGREE,
    ),
    (
        "ledger not read",
        "You called every result on which the ranks differ a missing all-reduce. Look whether one is missing: ranks "
        "that have sent all that is due can still drop different numbers.",
        AGREE,
    ),
    (
        "masks alone",
        "You called every result on which the ranks differ a matter of masks. Where forward is one all-reduce short, "
        "the parts were never added up.",
        AGREE,
    ),
    (
        "any difference in the ledger",
        "You called every ledger that differs a missing all-reduce. One that has a message too many misses none.",
        "whether forward is short of what is due.",
    ),
    (
        "gradients not read",
        "You did not look at the gradients. A bias that was added too often shifts the result and no gradient; rows "
        "that belong to other heads spoil both.",
        GRADIENTS,
    ),
    (
        "bfloat16",
        "You named QKV where every gradient is right. In bfloat16 all of them are off by a percent: that is rounding, "
        "and in float64 it is gone. Rows that belong to other heads spoil the gradients in float64, too.",
        "error of the gradients, not bfloat16.",
    ),
)
