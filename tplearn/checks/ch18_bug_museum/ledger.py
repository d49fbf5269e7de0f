"""Exercise 18.5: what a model whose numbers are right wastes, from its fingerprint; cheaper than due is no waste."""

from torch import Generator

from tplearn.checks.ch18_bug_museum.confused import confused
from tplearn.checks.ch18_bug_museum.fresh import READY, fresh_cases
from tplearn.checks.ch18_bug_museum.ledger_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise


def name_ledger_bug(fingerprint: dict[int, dict]) -> str:
    """What is held, then bytes on the wire, then the phase that is dearer."""
    seen = fingerprint[max(fingerprint)]
    if seen["held"]["own"] > seen["held"]["due"]:
        return "nothing cut"
    if seen["wire"]["own"] <= seen["wire"]["due"]:
        return "right"
    return "logits gathered" if "all_gather" in seen["ledger"]["forward"] else "an f for each layer"


def _cases(generator: Generator) -> list[Case]:
    return fresh_cases(generator, "QRSTHC", again="QRST", mended="JQS")


NAME_LEDGER_BUG = Exercise(
    number="18.5",
    name="name_ledger_bug",
    points=10,
    difficulty=1,
    minutes=8,
    reference=name_ledger_bug,
    cases=_cases,
    mutants=MUTANTS,
    ready=READY,
    confused=confused,
)
