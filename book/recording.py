"""A widget as data: its controls, and for every setting of them the drawing and the sentence that `draw` gives.

A page plays it without a kernel (_static/player.js). Nothing is computed there: what was recorded is looked up. The
place of a setting is the number whose digits are the controls' positions; the last control's changes fastest.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets

from book.tables import State, tables
from tplearn.show.sheet import Sheet
from tplearn.show.widgets.picture import Picture

MOST_STATES = 5500  # of a file; a widget with more has a file for each option of its first controls
MOST_CHOICES = 8  # a row of buttons; more of them are a list that unfolds


@dataclass(frozen=True)
class Control:
    """A control: what it is called by `draw` and on the page, its options in order, and at which of them it starts."""

    name: str
    label: str
    kind: str  # "slider", "choice" or "select"
    texts: tuple[str, ...]
    values: tuple[Any, ...]
    start: int

    @staticmethod
    def of(name: str, widget: ipywidgets.Widget) -> "Control":
        """As an ipywidgets control stands now. Raises TypeError for a kind that the page has nothing for."""
        if isinstance(widget, ipywidgets.IntSlider):
            options: Sequence = range(widget.min, widget.max + 1, widget.step)
        elif isinstance(widget, (ipywidgets.SelectionSlider, ipywidgets.ToggleButtons, ipywidgets.Dropdown)):
            options = widget.options
        else:
            raise TypeError(f"the control {name!r} is a {type(widget).__name__}, which the page does not have")
        pairs = options if isinstance(options, Mapping) else {str(value): value for value in options}
        values = tuple(pairs.values())
        kind = "slider" if isinstance(widget, (ipywidgets.IntSlider, ipywidgets.SelectionSlider)) else "choice"
        if isinstance(widget, ipywidgets.Dropdown) or (kind == "choice" and len(values) > MOST_CHOICES):
            kind = "select"
        return Control(name, widget.description, kind, tuple(pairs), values, values.index(widget.value))

    def shown(self) -> dict[str, Any]:
        """What the page is told of it."""
        return {"label": self.label, "kind": self.kind, "options": self.texts, "start": self.start}


class Recording:
    """A widget, ready to be recorded. `controls`: with all options that they ever have. The widget shows nothing more.

    split: how many of the first controls choose a file.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        for widget in picture.controls.values():
            widget.unobserve(picture.redraw, names="value")
        start = self._standing()
        widest = dict(start)
        for name, control in start.items():
            for value in control.values:
                picture.controls[name].value = value
                for other, now in self._standing().items():
                    if len(now.values) > len(widest[other].values):
                        widest[other] = replace(now, start=start[other].start)
            self._set({each.name: each.values[each.start] for each in start.values()})
        self.controls = list(widest.values())
        self.bound = [*widest.values()] != [*start.values()]
        counts = [len(control.values) for control in self.controls]
        self.split = next(k for k in range(len(counts)) if math.prod(counts[k:]) <= MOST_STATES)

    def files(self) -> Iterator[tuple[int, ...]]:
        """The positions of the first controls, one for each file of states: () where one file has all."""
        return itertools.product(*(range(len(control.values)) for control in self.controls[: self.split]))

    def head(self) -> dict[str, Any]:
        """The controls, and how many of them choose a file."""
        return {"controls": [control.shown() for control in self.controls], "split": self.split}

    def states(self, sheet: Sheet, first: tuple[int, ...] = ()) -> Iterator[State]:
        """What a file holds, in order: a sentence and a drawing on `sheet`, which is empty where `draw` refuses.

        None for a setting that the controls do not let one choose: a slider that ends earlier in other company.
        """
        fixed = [[control.values[at]] for control, at in zip(self.controls, first, strict=False)]
        names = [control.name for control in self.controls]
        for values in itertools.product(*fixed, *(control.values for control in self.controls[len(first) :])):
            setting = dict(zip(names, values, strict=True))
            if self.bound and not self._set(setting):
                yield None
                continue
            try:
                sentence = self.picture.draw(sheet, **setting)
            except ValueError as error:
                yield str(error), ()
            else:
                yield sentence, sheet.take()

    def file(self, first: tuple[int, ...] = ()) -> dict[str, Any]:
        """One file's data, see `tables`."""
        sheet = Sheet()
        return tables(sheet, self.states(sheet, first))

    def _standing(self) -> dict[str, Control]:
        return {name: Control.of(name, widget) for name, widget in self.picture.controls.items()}

    def _set(self, setting: Mapping[str, Any]) -> bool:
        """Move the controls; whether they stand there then."""
        for name, value in setting.items():
            self.picture.controls[name].value = value
        return self.picture.values() == setting
