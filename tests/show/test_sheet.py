"""A Sheet records what widgets draw: every state, in the kernel's own words, and nothing that it does not know."""

import base64
import html
import itertools
import json
import math
import random
import re
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from book.recording import Recording
from book.tables import columns, packed
from book.widgets import NAMES, widget
from tplearn.show.sheet import Sheet
from tplearn.show.style import arrow, box, canvas, label

EACH_STATE = 150  # a widget with more is sampled
each_widget = pytest.mark.parametrize("name", NAMES)


def rows(table: list[list[int]]) -> list[list[int]]:
    """The rows of a table that was stored by columns."""
    lengths, *rest = table
    numbers = [itertools.accumulate(column) for column in rest]
    return [[next(numbers[k]) for k in range(length)] for length in lengths]


def unpacked(script: str) -> dict[str, Any]:
    """What a recording hands to the page."""
    (text,) = re.fullmatch(r'tpBundle\("[\w-]+", "([\w+/=]+)"\);\n', script).groups()
    return json.loads(zlib.decompress(base64.b64decode(text), wbits=-zlib.MAX_WBITS))


def settings(recording: Recording, most: int) -> Iterator[dict[str, Any]]:
    """Every setting, or `most` of them that are drawn anew each time."""
    values = {control.name: control.values for control in recording.controls}
    if math.prod(map(len, values.values())) <= most:
        yield from (dict(zip(values, each, strict=True)) for each in itertools.product(*values.values()))
    else:
        for _ in range(most):
            yield {name: random.choice(each) for name, each in values.items()}


@each_widget
def test_every_state_draws_on_a_sheet_or_is_refused_in_words(name: str) -> None:
    recording, sheet, drawn = Recording(widget(name)), Sheet(), 0
    for setting in settings(recording, EACH_STATE):
        try:
            sentence = recording.picture.draw(sheet, **setting)
        except ValueError as error:
            assert str(error), setting
            continue
        width, height, *marks = sheet.take()
        assert sentence and marks and width >= 300 and height >= 100, setting
        drawn += 1
    assert drawn, "not one setting was drawn"
    assert not {mark for mark in sheet.marks if mark[0] == "t" and "$" in mark[5]}


@each_widget
def test_the_sentence_is_the_one_that_the_kernel_shows(name: str) -> None:
    kernel, recording = widget(name), Recording(widget(name))
    for setting in settings(recording, 3):
        for control, value in setting.items():
            kernel.controls[control].value = value
        shown = re.fullmatch(r"<p [^>]*>(.*)</p>", kernel.words.value, re.DOTALL)[1]
        try:
            sentence, refused = recording.picture.draw(Sheet(), **kernel.values()), False
        except ValueError as error:
            sentence, refused = str(error), True
        assert html.escape(sentence) == shown, setting
        assert (kernel.image.layout.visibility == "hidden") is refused, setting


def marks_of(marks: list, places: list[int]) -> Iterator[tuple]:
    """All marks of a drawing, those of its parts too."""
    for place in places:
        mark = marks[place]
        if isinstance(mark[0], str):
            yield tuple(mark)
        else:
            yield from marks_of(marks, list(mark))


def marks_in(data: dict[str, Any]) -> list:
    """The marks of a file, as a Sheet has them; styles and looks by their places."""
    tables = {name: rows(data[name]) for name in ("boxes", "texts", "traces", "parts")}
    marks: list = [("r", z / 10, style, *(value / 10 for value in box)) for z, style, *box in tables["boxes"]]
    for z, look, x, y, *text in tables["texts"]:
        marks.append(("t", z / 10, look, x / 10, y / 10, " ".join(data["words"][word] for word in text)))
    for z, style, form, *numbers in tables["traces"]:
        given = iter(numbers)
        path = re.sub("#", lambda _: f"{next(given) / 10:g}", data["paths"][form])  # noqa: B023 (used at once)
        marks.append(("p", z / 10, style, path))
    return [*marks, *map(tuple, tables["parts"])]


@pytest.mark.parametrize(
    "name", ["ring_stepper", "device_mesh", "data_flow", "fingerprint_matrix", "activation_memory"]
)
def test_a_recording_gives_back_each_state(name: str) -> None:
    recording, sheet = Recording(widget(name)), Sheet()
    script = packed(name, recording.head() | recording.file())
    assert packed(name, recording.head() | recording.file()) == script, "the same bytes each time"
    data = unpacked(script)
    marks, states = marks_in(data), rows(data["states"])
    said = [" ".join(data["words"][word] for word in sentence) for sentence in rows(data["sentences"])]
    assert [control["label"] for control in data["controls"]] == [control.label for control in recording.controls]
    for stored, state in zip(states, recording.states(sheet), strict=True):
        if state is None:
            assert not stored
            continue
        sentence, drawing = state
        assert said[stored[0]] == sentence
        if not drawing:
            assert len(stored) == 1, "refused: words, and no picture"
            continue
        assert [value / 10 for value in stored[1:3]] == drawing[:2]
        assert [*marks_of(marks, stored[3:])] == [*marks_of(list(sheet.marks), drawing[2:])]


def test_a_slider_that_ends_earlier_has_no_states_beyond() -> None:
    recording = Recording(widget("ring_stepper"))
    ranks, step = recording.controls
    assert ranks.values == (2, 3, 4, 5) and step.values == tuple(range(9)) and (ranks.start, step.start) == (2, 0)
    there = [state is not None for state in recording.states(Sheet())]
    assert there == [k <= 2 * (p - 1) for p in ranks.values for k in step.values]


@pytest.mark.parametrize("name", ["cost_explorer", "memory_planner", "rank_cube"])
def test_a_large_widget_has_a_file_for_each_option_of_its_first_controls(name: str) -> None:
    recording = Recording(widget(name))
    assert [*recording.files()] == [
        *itertools.product(*(range(len(each.values)) for each in recording.controls[: recording.split]))
    ]
    assert recording.split and "states" not in recording.head()


def test_columns_give_rows_back_and_are_differences() -> None:
    table = [[random.randrange(-99, 99) for _ in range(random.randrange(6))] for _ in range(50)]
    assert rows(columns(table)) == table
    assert columns([[5, 7], [5], [6, 9]]) == [[2, 1, 2], [5, 0, 1], [7, 2]]
    assert rows(columns([])) == []


def test_what_a_sheet_does_not_know_it_refuses() -> None:
    _, ax = canvas(4, 2, Sheet())
    square = FancyBboxPatch((1, 1), 1, 1, boxstyle="sawtooth,pad=0.1")
    for artist, words in (
        (Circle((1, 1), 0.5), "a Circle cannot be drawn"),
        (Rectangle((1, 1), 1, 1, angle=30), "Rectangle.* cannot be drawn"),
        (square, "FancyBboxPatch.* cannot be drawn"),
        (Rectangle((1, 1), 1, 1, hatch="*"), r"hatch '\*'.*repeat one of"),
        (Rectangle((1, 1), 1, 1, hatch="/-"), "hatch '/-'.*repeat one of"),
        (PolyCollection([[(0, 0), (1, 0), (1, 1)]], hatch="O"), "hatch 'O'"),
    ):
        with pytest.raises(TypeError, match=words):
            ax.add_artist(artist)
    with pytest.raises(TypeError, match="formula"):
        label(ax, 1, 1, "$x^2$")
    with pytest.raises(TypeError, match="limits"):
        ax.set(xlim=(0, 1), ylim=(0, 1))
    with pytest.raises(TypeError):
        ax.text(1, 1, "turned", rotation=90)
    with pytest.raises(AttributeError, match="imshow"):
        ax.imshow([[0]])


def test_parts_are_drawn_once_and_marks_kept_once() -> None:
    sheet, drawings = Sheet(), []
    for _ in range(2):
        _, ax = canvas(4, 2, sheet)
        box(ax, 1, 1, 1, 0.5, "rank 1", rank=1)
        arrow(ax, (2, 1), (3, 1), "there", both=True, bend=0.2)
        drawings.append(sheet.take())
    assert drawings[0] == drawings[1] == [288, 144, *drawings[0][2:]] and len(drawings[0]) == 4
    whole = [*marks_of(list(sheet.marks), drawings[0][2:])]
    assert [mark[0] for mark in whole] == ["r", "r", "t", "p", "p", "p", "t"], "box, hatch, text; shaft, heads, text"
    box_, hatch, text, shaft, *heads, _ = whole
    assert box_[3:7] == hatch[3:7] == (72, -108, 72, 36)
    styles = list(sheet.styles)
    assert styles[hatch[2]].hatch and styles[box_[2]].hatch is None
    assert styles[shaft[2]].fill == "none" and all(styles[head[2]].fill != "none" for head in heads)
    assert text[3] == 108 and -90 < text[4] < -84 and list(sheet.looks)[text[2]][5], "centred, on a plate"


def test_a_part_that_fails_leaves_the_sheet_usable() -> None:
    sheet = Sheet()
    _, ax = canvas(4, 2, sheet)
    with pytest.raises(ValueError, match="too small to read"):
        box(ax, 1, 1, 1, 1, "tiny", size=3)
    box(ax, 1, 1, 1, 1, "fine")
    assert [mark[0] for mark in marks_of(list(sheet.marks), sheet.take()[2:])] == ["r", "t"]


def test_heights_do_not_change_a_mark() -> None:
    sheet, places = Sheet(), []
    for height in (2, 5):
        _, ax = canvas(4, height, sheet)
        box(ax, 1, 1, 1, 0.5)
        places.append(sheet.take())
    assert places[0][2:] == places[1][2:] and places[0][1] != places[1][1]


def test_figures_are_drawn_as_before() -> None:
    """`repeatable` is for Sheets: on Axes each call draws."""
    figure = Figure()
    _, ax = canvas(4, 2, figure)
    for _ in range(2):
        box(ax, 1, 1, 1, 0.5, "twice")
    assert len(ax.texts) == 2 and len(ax.patches) + len(ax.artists) == 2


def test_a_bent_arrow_is_a_curve() -> None:
    sheet = Sheet()
    _, ax = canvas(4, 2, sheet)
    ax.add_artist(FancyArrowPatch((1, 1), (3, 1), arrowstyle="-|>", mutation_scale=11, connectionstyle="arc3,rad=0.3"))
    shaft, head = (mark[3] for mark in sheet.marks)
    assert re.fullmatch(r"M[-\d. ]+Q[-\d. ]+", shaft) and head.endswith("Z")
