"""Controls above one picture that is drawn anew when a control moves: the frame of every widget."""

import html
from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from tplearn.show.style import png_bytes

# draw(figure, **values of the controls) clears the figure, draws on it, and says in a sentence or two what it shows.
Draw = Callable[..., str]


class Picture(ipywidgets.VBox):
    """A row of controls, an image, and the image's meaning in words (for screen readers, and for everybody else).

    draw: see `Draw`. controls: name → ipywidgets control, handed to `draw` by name. One Figure is kept and reused, so
    a redraw takes tens of milliseconds. A ValueError from `draw` is the sentence, right under the controls. The picture
    shows other values than they do, so it is hidden then, and its place stays.
    """

    def __init__(self, draw: Draw, controls: dict[str, ipywidgets.Widget], dpi: int = 80) -> None:
        self.draw, self.controls, self._dpi = draw, controls, dpi
        self._figure = Figure(facecolor="white")
        self._drawn: dict[str, tuple[str, bytes | None]] = {}  # going back to a setting costs nothing
        self.image = ipywidgets.Image(
            format="png", layout=ipywidgets.Layout(max_width="100%", height="auto", order="2")
        )
        self.words = ipywidgets.HTML()
        bar = ipywidgets.HBox(list(controls.values()), layout=ipywidgets.Layout(flex_flow="row wrap", grid_gap="0 1em"))
        super().__init__([bar, self.image, self.words])
        for control in controls.values():
            control.observe(self.redraw, names="value")
        self.redraw()

    def values(self) -> dict[str, Any]:
        """The controls' values, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def redraw(self, change: object = None) -> None:
        """Show the controls' values: in a picture, or in words where `draw` refuses them."""
        values = self.values()
        key = repr(values)
        if key not in self._drawn:
            try:
                sentence = self.draw(self._figure, **values)
                picture = png_bytes(self._figure, self._dpi)
            except ValueError as error:
                sentence, picture = str(error), None
            if len(self._drawn) >= 64:  # some megabytes at most
                self._drawn.pop(next(iter(self._drawn)))
            self._drawn[key] = sentence, picture
        sentence, picture = self._drawn[key]
        refused = picture is None
        if not refused:
            self.image.value = picture
        self.image.layout.visibility = "hidden" if refused else "visible"
        self.words.layout.order = "1" if refused else "3"  # the controls have 0, the picture 2
        self.words.value = f'<p role="status" style="line-height: 1.4">{html.escape(sentence)}</p>'


def slider(values: list[int], value: int, name: str) -> ipywidgets.SelectionSlider:
    """A slider over the given whole numbers only, such as the tp sizes that work."""
    style = {"description_width": "initial"}
    return ipywidgets.SelectionSlider(options=values, value=value, description=name, style=style)


def choice(options: list[str] | dict[str, Any], value: object, name: str) -> ipywidgets.ToggleButtons:
    """A row of buttons, one of them pressed."""
    style = {"description_width": "initial", "button_width": "auto"}
    return ipywidgets.ToggleButtons(options=options, value=value, description=name, style=style)
