"""Drawings and sentences as tables of whole numbers, and those as a script: what player.js reads.

A book has a quarter of a million drawings. Alike things stand one above the other, and each is told by its difference.
"""

import base64
import json
import re
import zlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from tplearn.show.sheet import Sheet

MOST_NUMBERS = 100  # of a path; in a longer one neighbours repeat each other more than paths do
NUMBER = re.compile(r"-?[\d.]+")
KINDS = ("boxes", "texts", "traces", "parts")
BOXES, TEXTS, TRACES, PARTS = range(len(KINDS))
State = tuple[str, Sequence[float]] | None


def tables(sheet: Sheet, states: Iterable[State]) -> dict[str, Any]:
    """What was drawn on `sheet`, for a page. states: (sentence, what `Sheet.take` gave), (sentence, ()), or None.

    Tables of numbers are stored as `columns`; lengths are in tenths of a point.

    words, paths: strings. styles, looks: as a Sheet has them. sentences: of words, by their places.
    boxes: (z, style, x, y, width, height, radius); texts: (z, look, x, y, word, ...); traces: (z, style, path,
    the numbers that stand for each # of the path, ...); parts: (mark, ...). Marks are counted through these four.
    states: (sentence, width, height, mark, ...), (sentence,) where nothing is drawn, () for None.
    """
    words, paths, sentences = Places(), Places(), Places()
    told = [() if state is None else (sentences[words.of(state[0])], *state[1]) for state in states]
    found = [_row(mark, words, paths) for mark in sheet.marks]
    alike = sorted(range(len(found)), key=lambda mark: found[mark][:2])
    place = {mark: number for number, mark in enumerate(alike)}
    rows: list[list[tuple[int, ...]]] = [[] for _ in KINDS]
    for mark in alike:
        kind, _, row = found[mark]
        rows[kind].append(tuple(place[each] for each in row) if kind == PARTS else row)
    moved = [(*state[:1], *map(_tenths, state[1:3]), *(place[mark] for mark in state[3:])) for state in told]
    strings = {"words": words, "paths": paths, "styles": sheet.styles, "looks": sheet.looks}
    numbers = {"sentences": [*sentences], **dict(zip(KINDS, rows, strict=True)), "states": moved}
    return {name: [*table] for name, table in strings.items()} | {
        name: columns(table) for name, table in numbers.items()
    }


class Places(dict[Hashable, int]):
    """The place of each value in the order of first appearance."""

    def __missing__(self, value: Hashable) -> int:
        self[value] = len(self)
        return self[value]

    def of(self, text: str) -> tuple[int, ...]:
        """The places of a text's words."""
        return tuple(self[word] for word in text.split(" "))


def _row(mark: tuple, words: Places, paths: Places) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """A mark of a Sheet as its kind, what marks that are stored side by side have in common, and its table's row."""
    match mark:
        case ("r", z, style, *box):
            return BOXES, (style,), (_tenths(z), style, *map(_tenths, box))
        case ("t", z, look, x, y, text):
            return TEXTS, (look,), (_tenths(z), look, _tenths(x), _tenths(y), *words.of(text))
        case ("p", z, style, path):
            numbers = NUMBER.findall(path)
            if len(numbers) > MOST_NUMBERS:
                return TRACES, (), (_tenths(z), style, paths[path])
            form = paths[NUMBER.sub("#", path)]
            return TRACES, (form, style), (_tenths(z), style, form, *(_tenths(float(number)) for number in numbers))
    return PARTS, (), mark


def _tenths(value: float) -> int:
    return round(10 * value)


def columns(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """[lengths of the rows, first numbers, second numbers, ...], each number as its difference from the one above.

    Neighbouring states differ in few things, and those move by even steps: so written, they shrink to a fifth.
    """
    found: list[list[int]] = [[] for _ in range(max(map(len, rows), default=0))]
    above = [0] * len(found)
    for row in rows:
        for k, number in enumerate(row):
            found[k].append(number - above[k])
            above[k] = number
    return [[len(row) for row in rows], *found]


def packed(name: str, data: Mapping[str, Any]) -> str:
    """A script that hands `data` to the page under `name`: deflated, for states repeat each other."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    deflate = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    return f'tpBundle("{name}", "{base64.b64encode(deflate.compress(text) + deflate.flush()).decode()}");\n'
