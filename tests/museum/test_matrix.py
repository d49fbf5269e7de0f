"""What chapter 18 shows of the museum: what was recorded is what ranks give, signs say what readings hold, redraws."""

import itertools
import json
import runpy

import pytest
from matplotlib.figure import Figure

from tplearn.museum import ASPECTS, NAMES, fingerprints, words
from tplearn.museum.labels import LABELS, RIGHT
from tplearn.show.figures.ch18 import MUSEUM, recorded_fingerprints, recorded_losses
from tplearn.show.widgets import fingerprint_matrix
from tplearn.show.widgets.fingerprint_matrix import ROOMS, draw, is_off

PRINTS = recorded_fingerprints()


def test_the_recorded_fingerprints_are_those_of_a_fresh_run() -> None:
    fresh = fingerprints(tps=(2,))
    for name in NAMES:
        assert words(fresh[name][2], 2) == words(PRINTS[name][2], 2), name
        assert fresh[name][2]["wire"] == PRINTS[name][2]["wire"]


def test_the_recorded_losses_are_those_of_a_fresh_run() -> None:
    """The first steps of both; and both curves fall."""
    from tplearn import run_ranks

    told = runpy.run_path(str(MUSEUM.with_suffix(".py")))
    for (name, curve), summed in zip(recorded_losses().items(), (True, False), strict=True):
        fresh = run_ranks(told["train"], 4, summed, told["zen"](), 3, record=False).values[0]
        assert fresh == pytest.approx(curve[:3], rel=1e-9), name
        assert curve[-1] < 0.5 * curve[0]
    right, broken = recorded_losses().values()
    assert right[0] == pytest.approx(broken[0], rel=1e-12) and right[-1] != pytest.approx(broken[-1], rel=1e-2)


def test_no_two_broken_exhibits_have_the_same_row() -> None:
    for tp in (2, 4):
        rows = {name: tuple(words(PRINTS[name][tp], tp).values()) for name in NAMES if LABELS[name].name != RIGHT}
        alike = [pair for pair in itertools.combinations(rows, 2) if rows[pair[0]] == rows[pair[1]]]
        assert not alike, f"tp = {tp}"


def test_signs() -> None:
    on_four = {name: words(PRINTS[name][4], 4) for name in NAMES}
    assert all(tuple(told) == ASPECTS for told in on_four.values())
    assert on_four["B"]["result"] == "✗ × tp" and on_four["F"]["result"] == "✗ + log tp"
    assert on_four["I"]["gradients"] == "✗ 1 of 6: × 1/tp" and on_four["I"]["after"] == "–"
    assert on_four["J"]["after"] == "✓" and on_four["K"]["backward"] == "−1 all-reduce"
    assert on_four["M"]["gradients"] == "✗ 10 of 11: × tp², × tp" and on_four["M"]["backward"] == "+2 all-reduce"
    assert on_four["S"]["forward"] == "+1 all-gather, −3 all-reduce" and on_four["S"]["bytes"] == "✗ more"
    assert on_four["R"]["bytes"] == "less" and on_four["T"]["held"] == "✗ more"
    in_bfloat16 = words(PRINTS["H"][4], 4, bfloat16=True)
    assert in_bfloat16["result"].endswith("%") and "≤" in in_bfloat16["gradients"]
    nearly_right = PRINTS["O"][4]["forward"] | {"bfloat16": 1e-5}
    assert words(PRINTS["O"][4] | {"forward": nearly_right}, 4, bfloat16=True)["result"] == "✗ < 0.1%"
    for name in NAMES:
        assert not any(is_off(aspect, text) for aspect, text in words(PRINTS[name][1], 1).items())


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("room", ROOMS)
def test_the_sentence_counts_what_is_drawn(room: str, bfloat16: bool) -> None:
    figure = Figure()
    for tp in (1, 2, 4):
        sentence = draw(figure, PRINTS, tp, room, bfloat16)
        assert f"{tp} rank" in sentence and ("bfloat16" if bfloat16 else "float64") in sentence
        texts = [text.get_text() for text in figure.axes[0].texts]
        assert sum(text in NAMES for text in texts) == int(sentence.split(" of ")[1].split()[0])
    assert draw(figure, PRINTS, 1) == "On 1 rank in float64, 0 of 20 exhibits show something: nothing."


def test_the_widget_redraws_and_says_what_it_shows() -> None:
    widget = fingerprint_matrix.show(PRINTS)
    before = widget.image.value
    widget.controls["tp"].value = 2
    assert widget.image.value != before and "On 2 ranks in float64, 18 of 20" in widget.words.value
    widget.controls["bfloat16"].value = True
    assert "20 of 20 exhibits" in widget.words.value


def test_the_record_names_no_bug_but_in_its_curves() -> None:
    told = json.loads(MUSEUM.read_text(encoding="utf-8"))
    assert set(told) == {"losses", "fingerprints"} and list(told["fingerprints"]) == list(NAMES)
