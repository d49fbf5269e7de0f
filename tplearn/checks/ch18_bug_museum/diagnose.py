"""Exercise 18.7: all exhibits, in any order, the right ones among them: a name for each."""

import math

from torch import Generator

from tplearn.checks.ch18_bug_museum.confused import confused
from tplearn.checks.ch18_bug_museum.diagnose_mutants import MUTANTS
from tplearn.checks.ch18_bug_museum.fresh import READY, fresh_cases
from tplearn.checks.exercise import Case, Exercise


def diagnose(fingerprint: dict[int, dict]) -> str:
    """The result first, then gradients, then what it costs: the first that is off names the bug."""
    tp = max(fingerprint)
    seen, forward = fingerprint[tp], fingerprint[tp]["forward"]
    wrong = [mark for mark in seen["gradients"].values() if mark["error"] > 1e-10]
    apart = {p: sum(seen["ledger"][p].values()) - sum(seen["due"][p].values()) for p in seen["due"]}

    def near(value: float | None, due: float) -> bool:
        return value is not None and abs(value - due) < 1e-6

    rules = (
        (forward["error"] > 1e-10, (
            (not forward["agree"] and apart["forward"] < 0, "all-reduce missing"),
            (not forward["agree"], "own dropout mask"),
            (near(forward["factor"], tp), "whole layer summed"),
            (near(forward["shift"], math.log(tp)), "whole logits taken for a shard"),
            (not wrong, "bias added by every rank"),
            (True, "QKV cut as one block"),
        )),
        (bool(wrong), (
            (not all(mark["agree"] for mark in wrong) and apart["backward"] < 0, "f missing"),
            (not all(mark["agree"] for mark in wrong), "copies not summed"),
            (any(mark["factor"] is None for mark in wrong), "local padding index"),
            (all(mark["factor"] == 0 for mark in wrong), "graph cut"),
            (all((mark["factor"] or 0) < 1 for mark in wrong) and seen["due"]["after"], "mean for sum"),
            (all((mark["factor"] or 0) < 1 for mark in wrong), "bias divided by tp"),
            (apart["backward"] > 0, "summed on the way back"),
            (True, "summed once more"),
        )),
        (True, (
            (seen["held"]["own"] > seen["held"]["due"], "nothing cut"),
            (seen["wire"]["own"] <= seen["wire"]["due"], "right"),
            ("all_gather" in seen["ledger"]["forward"], "logits gathered"),
            (True, "an f for each layer"),
        )),
    )  # fmt: skip
    room = next(room for applies, room in rules if applies)
    return next(name for applies, name in room if applies)


def _cases(generator: Generator) -> list[Case]:
    return fresh_cases(generator, "ABCDEFGHIJKLMNOPQRST", again="ABCDEFGHIJKLMNOPQRST")


DIAGNOSE = Exercise(
    number="18.7",
    name="diagnose",
    points=10,
    difficulty=3,
    minutes=10,
    reference=diagnose,
    cases=_cases,
    mutants=MUTANTS,
    ready=READY,
    confused=confused,
)
