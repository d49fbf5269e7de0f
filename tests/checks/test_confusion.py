"""Where one name is given for another, what the verdict says of the pair is so in every fingerprint."""

from collections.abc import Callable

import pytest
import torch

from tests.checks.answers import ch18
from tests.checks.told import judged
from tests.parallel.twin import fresh_seed
from tplearn.checks import find_exercise
from tplearn.checks.ch18_bug_museum.confused import ROOMS, accused, confused
from tplearn.museum import NAMES, TOLERANCE, Fingerprint, fingerprints
from tplearn.museum.labels import LABELS, RIGHT

SEED = fresh_seed()


@pytest.fixture(scope="module")
def prints() -> dict[str, Fingerprint]:
    return fingerprints(tps=(3,), seed=SEED)


def is_so(name: str, found: Fingerprint) -> dict[str, bool]:
    """Sentence → whether it is true of this fingerprint."""
    (seen,) = found.values()
    result = seen["forward"]["error"] > TOLERANCE
    gradient = any(mark["error"] > TOLERANCE for mark in seen["gradients"].values())
    paid = any(seen[of]["own"] > seen[of]["due"] for of in ("wire", "held"))
    return {
        "here the result is wrong": result,
        "Here the result is wrong": result,
        "here the result is right": not result,
        "here a gradient is wrong": gradient,
        "Here a gradient is wrong, though the result is right": gradient and not result,
        "here all numbers are right": not result and not gradient,
        "Here a rank sends more bytes than are due, or holds more numbers": paid,
        "Here a rank neither sends more bytes nor holds more numbers than is due": not paid,
    }


def test_every_sentence_is_so(prints: dict[str, Fingerprint]) -> None:
    for name in NAMES:
        due, true = LABELS[name].name, is_so(name, prints[name])
        for given in set(ROOMS) - {due}:
            says = confused(due, given).says
            told = [sentence for sentence in true if sentence in says]
            assert told or "shows is another thing" in says, says
            assert all(true[sentence] for sentence in told), (name, given, says, SEED)


def test_what_a_bug_leaves_right_it_leaves_right(prints: dict[str, Fingerprint]) -> None:
    """The sentence's other half: of the bug that was named."""
    letters = {LABELS[name].name: name for name in NAMES if LABELS[name].name != RIGHT}
    for due, given in ((due, given) for due in ROOMS for given in letters if due != given):
        says, (seen,) = confused(due, given).says, prints[letters[given]].values()
        result = seen["forward"]["error"] > TOLERANCE
        gradient = any(mark["error"] > TOLERANCE for mark in seen["gradients"].values())
        assert not ("That bug leaves the result right" in says and result), given
        assert not ("That bug leaves all numbers right" in says and (result or gradient)), given
        assert not ("That bug makes the result wrong" in says and not result), given
        assert not ("That bug makes a gradient wrong" in says and not gradient), given


def test_nothing_is_said_of_a_word_that_is_no_diagnosis() -> None:
    assert confused("f missing", "a bug") is None


def test_of_a_right_model_that_was_accused_it_is_so_and_of_a_broken_one_too() -> None:
    exercise = find_exercise("is_right")
    for case in exercise.cases(torch.Generator().manual_seed(SEED)):
        right, (fingerprint,) = exercise.reference(*case.args), case.args
        marks = [mark for seen in fingerprint.values() for mark in (seen["forward"], *seen["gradients"].values())]
        exact = all(mark["error"] < 1e-12 and mark["agree"] for mark in marks)
        paid = any(seen[of]["own"] > seen[of]["due"] for seen in fingerprint.values() for of in ("wire", "held"))
        assert right == ("right to 1e-12" in accused(right, not right).says) == (exact and not paid), (case, SEED)


def gradients_asked_first(fingerprint: dict[int, dict]) -> str:
    seen = fingerprint[max(fingerprint)]
    if any(mark["error"] > 1e-9 for mark in seen["gradients"].values()):
        try:
            return ch18.gradient_by_elimination(fingerprint)
        except ValueError:
            return "local padding index"
    return ch18.by_rooms(fingerprint)


def rounding_accused(fingerprint: dict[int, dict]) -> str:
    seen = fingerprint[max(fingerprint)]
    return ch18.by_rooms(fingerprint) if seen["forward"]["error"] == 0 else ch18.by_table(fingerprint)


@pytest.mark.xdist_group("diagnose")
@pytest.mark.parametrize("answer", [gradients_asked_first, rounding_accused])
def test_the_verdict_says_it_beside_the_case(answer: Callable[[Fingerprint], str]) -> None:
    told = judged(find_exercise("diagnose"), answer, SEED)
    assert not told.passed and told.misconception and ", for " in told.misconception, str(told)
    given, due = told.misconception.split(", for ")
    assert f"your result is '{given}', where '{due}' is due" in " ".join(str(told).split())
    assert confused(due, given).says in told.explanation
