"""The museum: every broken exhibit shows in its own way on any number of ranks, and those that are right are right."""

import ast
import json
import random
from pathlib import Path

import pytest

from tests.museum.symptoms import of_mark, symptoms
from tplearn.museum import EXHIBITS, NAMES, TOLERANCE, Fingerprint, Sizes, fingerprints
from tplearn.museum.exhibits import find
from tplearn.museum.labels import FORWARD_BUGS, GRADIENT_BUGS, LABELS, LEDGER_BUGS, RIGHT

pytestmark = pytest.mark.xdist_group("museum")  # all fingerprints are taken once
TPS = (2, 3, 4)
SIZES = (Sizes(), Sizes(batch=5, hidden=48, intermediate=24, vocab=50), Sizes(seq=24, intermediate=60, vocab=37))
BROKEN = tuple(name for name in NAMES if LABELS[name].name != RIGHT)
DECOYS = tuple(name for name in NAMES if LABELS[name].name == RIGHT)


def fresh_seed() -> int:
    return random.SystemRandom().randrange(2**31)


def every_mark(fingerprint: Fingerprint, tp: int) -> dict[str, str]:
    """What each tensor of an exhibit is on so many ranks, in words."""
    reading = fingerprint[tp]
    return {"forward": of_mark(reading["forward"], tp)} | {
        name: of_mark(mark, tp) for name, mark in reading["gradients"].items()
    }


@pytest.fixture(scope="module", params=SIZES, ids=["default", "wide", "long"])
def seen(request: pytest.FixtureRequest) -> tuple[int, dict[str, Fingerprint]]:
    """A fresh seed, and all fingerprints that come of it."""
    seed = fresh_seed()
    return seed, fingerprints(tps=(1, *TPS), sizes=request.param, seed=seed)


@pytest.mark.parametrize("tp", TPS)
def test_every_broken_exhibit_has_symptoms_of_its_own(seen: tuple[int, dict[str, Fingerprint]], tp: int) -> None:
    seed, found = seen
    by_symptoms: dict[tuple[str, ...], str] = {}
    for name in BROKEN:
        what = symptoms(found[name][tp], tp)
        assert what not in by_symptoms, f"{name} and {by_symptoms[what]} look alike at tp = {tp}, seed = {seed}: {what}"
        by_symptoms[what] = name
    for name in DECOYS:
        assert symptoms(found[name][tp], tp) not in by_symptoms, f"{name}, seed = {seed}"


def test_on_one_rank_nothing_can_be_seen(seen: tuple[int, dict[str, Fingerprint]]) -> None:
    seed, found = seen
    for name in NAMES:
        reading = found[name][1]
        wrong = {part: what for part, what in every_mark(found[name], 1).items() if what != "right"}
        assert not wrong, f"{name}, seed = {seed}: {wrong}"
        assert reading["wire"] == {"own": 0, "due": 0} and reading["held"] == {"own": 1.0, "due": 1.0}


@pytest.mark.parametrize("tp", TPS)
def test_what_only_looks_wrong_is_right(seen: tuple[int, dict[str, Fingerprint]], tp: int) -> None:
    seed, found = seen
    for name in DECOYS:
        reading = found[name][tp]
        assert set(every_mark(found[name], tp).values()) == {"right"}, f"{name}, seed = {seed}"
        assert all(mark["agree"] for mark in [reading["forward"], *reading["gradients"].values()])
        assert reading["wire"]["own"] <= reading["wire"]["due"] and reading["held"]["own"] <= reading["held"]["due"]


def test_rounding_is_told_from_bugs_by_float64(seen: tuple[int, dict[str, Fingerprint]]) -> None:
    """In bfloat16 all is off by a percent or so; in float64 rounding is gone, and bugs are as large as before."""
    seed, found = seen
    for name in NAMES:
        for tp in TPS:
            marks = [found[name][tp]["forward"], *found[name][tp]["gradients"].values()]
            for mark in marks:
                off = mark["error"] > 1000 * TOLERANCE
                assert off or mark["error"] < TOLERANCE / 1000, f"{name}, tp = {tp}, seed = {seed}: {mark}"
                if off:
                    assert 0.5 < mark["bfloat16"] / mark["error"] < 2, f"{name}, tp = {tp}, seed = {seed}: {mark}"
    assert all(found["H"][tp]["forward"]["bfloat16"] > 1e-4 for tp in TPS)


def test_the_bias_is_counted_once_for_each_rank(seen: tuple[int, dict[str, Fingerprint]]) -> None:
    """Own minus right is (tp − 1) · bias, so errors on 2, 3 and 4 ranks are as 1, 2 and 3."""
    errors = [seen[1]["A"][tp]["forward"]["error"] for tp in TPS]
    assert errors == pytest.approx([errors[0] * k for k in (1, 2, 3)], rel=1e-9)


def test_a_mended_exhibit_is_right() -> None:
    seed = fresh_seed()
    found = fingerprints(BROKEN, (2, 4), seed=seed, mended=True)
    for name in BROKEN:
        for tp in (2, 4):
            reading = found[name][tp]
            assert set(every_mark(found[name], tp).values()) == {"right"}, f"{name}, tp = {tp}, seed = {seed}"
            assert reading["ledger"] == reading["due"]
            assert reading["wire"]["own"] == reading["wire"]["due"] and reading["held"]["own"] == reading["held"]["due"]


def test_a_fingerprint_is_plain_data_that_names_no_bug(seen: tuple[int, dict[str, Fingerprint]]) -> None:
    text = json.dumps(seen[1])
    for label in LABELS.values():
        assert label.name == RIGHT or label.name not in text
        assert label.source not in text


def test_the_same_seed_gives_the_same_fingerprint() -> None:
    some, seed = ("A", "E", "O"), fresh_seed()
    one, two = (fingerprints(some, (2,), seed=seed) for _ in range(2))
    other = fingerprints(some, (2,), seed=seed + 1)
    assert one["A"][2]["forward"]["error"] == pytest.approx(two["A"][2]["forward"]["error"], rel=1e-9)
    assert one["A"][2]["forward"]["error"] != pytest.approx(other["A"][2]["forward"]["error"], rel=1e-9)


def test_each_exhibit_has_a_label_with_its_public_source() -> None:
    assert tuple(LABELS) == NAMES == tuple(exhibit.name for exhibit in EXHIBITS)
    assert len(BROKEN) >= 10 and len(DECOYS) >= 2
    assert sorted(FORWARD_BUGS + GRADIENT_BUGS + LEDGER_BUGS) == sorted(LABELS[name].name for name in BROKEN)
    for name, label in LABELS.items():
        assert label.source.startswith("https://") and label.shows
        assert bool(label.mend) == (name in BROKEN)
    rooms = {exhibit.name: exhibit.room for exhibit in EXHIBITS}
    bugs = {"forward": FORWARD_BUGS, "gradient": GRADIENT_BUGS, "ledger": LEDGER_BUGS}
    assert all(LABELS[name].name in bugs[rooms[name]] for name in BROKEN)


def test_no_file_of_the_museum_reads_the_labels() -> None:
    folder = Path(__file__).parents[2] / "tplearn" / "museum"
    for path in [path for path in folder.glob("*.py") if path.name != "labels.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                words = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                assert "labels" not in ".".join(words).split("."), path.name


def test_what_does_not_work_is_named() -> None:
    with pytest.raises(ValueError, match="no exhibit is called 'Z'; names that work: A, B"):
        find("Z")
    with pytest.raises(ValueError, match="tp = 5 does not divide seq = 12; values that work: 1, 2, 3, 4, 6, 12"):
        fingerprints(("A",), (5,))
    with pytest.raises(ValueError, match="vocab = 41 words with batch · seq = 24 tokens; 15 to 24 work"):
        Sizes(batch=2)
    with pytest.raises(ValueError, match="tp"):
        fingerprints(("A",), (0,))
