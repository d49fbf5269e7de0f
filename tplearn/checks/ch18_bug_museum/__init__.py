"""Chapter 18's exercises: a reading, a law, and then bugs named from fingerprints alone, and innocents left alone."""

from tplearn.checks.ch18_bug_museum.diagnose import DIAGNOSE
from tplearn.checks.ch18_bug_museum.forward import NAME_FORWARD_BUG
from tplearn.checks.ch18_bug_museum.gradient import NAME_GRADIENT_BUG
from tplearn.checks.ch18_bug_museum.law import LAW
from tplearn.checks.ch18_bug_museum.ledger import NAME_LEDGER_BUG
from tplearn.checks.ch18_bug_museum.reading import READING
from tplearn.checks.ch18_bug_museum.right import IS_RIGHT
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    READING,
    LAW,
    NAME_FORWARD_BUG,
    NAME_GRADIENT_BUG,
    NAME_LEDGER_BUG,
    IS_RIGHT,
    DIAGNOSE,
)
