"""Compiled meshes: choose a model and a mesh, and see what JAX's compiler sends, beside layers by hand.

The compiler's side is a record (figures/recorded/compiled_meshes.py), so that looking at it needs no JAX.
"""

import json
from functools import cache

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.figures.ch13 import RECORDED
from tplearn.show.figures.ch15_ledger import TINY, Side, by_hand, compiled, number_bytes, shape_of, verdict
from tplearn.show.figures.ch15_mesh import HIGH, UNDER, WIDE, Mesh, paint_mesh
from tplearn.show.style import GREEN, GREY, HIGHLIGHT, INK, RED, box, canvas, label

MESHES = {name: Mesh.of(name).name for name in ("8x1", "4x2", "2x4", "1x8", "1x(4x2)")}
PHASES = ("forward", "forward + backward")
SIDE, LEFT = 2.3, 6.35  # width of a side of the ledger, and where the first begins


@cache
def recorded() -> dict:
    """The record: {model: {"layers", "texts", "meshes": {mesh: {"numbers", phase: {op: counts}}}}}."""
    return json.loads((RECORDED / "compiled_meshes.json").read_text(encoding="utf-8"))


def draw(figure: Figure, *, model: str, mesh: str, phase: str) -> str:
    """Draw the mesh and both ledgers, and say what they tell. ValueError for what was not recorded."""
    for name, value, works in (("model", model, recorded()), ("mesh", mesh, MESHES), ("phase", phase, PHASES)):
        if value not in works:
            raise ValueError(f"{name} = {value!r} was not compiled; {', '.join(works)} were")
    told, shape = recorded()[model], Mesh.of(mesh)
    texts, tokens = told["texts"]
    sides = (
        compiled(model, told, mesh, phase),
        by_hand(shape_of(model), number_bytes(model), told["texts"], shape, phase),
    )
    rows = max(len(side.rows) for side in sides)
    each = HIGH + (UNDER if shape.model > 1 else 0)
    top = 0.95 + max(shape.batch * each + (0.3 if shape.model == 1 else 0.0), 0.42 * rows + 0.55)
    _, ax = canvas(11.1, top + 0.75, figure)
    bits = 8 * number_bytes(model)
    head = f"{model}, L = {told['layers']}, {texts} texts of {tokens:,} tokens, {bits}-bit numbers: {phase}"
    label(ax, 0.15, top + 0.55, head, ha="left", bold=True, size=11)
    paint_mesh(ax, 0.15, top, shape, min(WIDE, (LEFT - 0.4) / shape.model))
    for place, side in enumerate(sides):
        _ledger(ax, LEFT + place * (SIDE + 0.1), top, side)
    words, good = verdict(*sides)
    label(ax, 0.15, 0.55, words, ha="left", bold=True, colour=GREEN if good else RED)
    label(ax, 0.15, 0.22, "all layers compiled; bytes sent are those of rings", ha="left", size=9.5, colour=GREY)
    said = " ".join(f"{side.name}: {side.said()}." for side in sides)
    return f"{head}, mesh {shape.name}. {said} {words}."


def _ledger(ax: Axes, x: float, top: float, side: Side) -> None:
    """A box for each kind of collective, and under them what a device holds and sends."""
    label(ax, x, top + 0.25, side.name, ha="left", bold=True)
    if side.refusal:
        box(ax, x, top - 0.85, SIDE, 0.82, f"✗ refused\n{side.refusal}", face="#ffffff", edge=RED, size=9)
        return
    for place, text in enumerate(side.rows or ["nothing to send"]):
        face, colour = (HIGHLIGHT, INK) if side.rows else ("#ffffff", GREY)
        box(ax, x, top - 0.36 - 0.42 * place, SIDE, 0.34, text, face=face, size=9.5, colour=colour)
    low = top - 0.42 * max(1, len(side.rows)) - 0.16
    label(ax, x, low, f"a device holds {side.holds}", ha="left", size=9.5)
    label(ax, x, low - 0.26, f"and sends {side.sends}", ha="left", size=9.5)


def show():  # noqa: ANN201 (ipywidgets is only imported when a widget is wanted)
    """The widget: the model, the mesh, and how far it runs."""
    from tplearn.show.widgets.picture import Picture, choice

    return Picture(
        draw,
        {
            "model": choice(list(recorded()), TINY, "model"),
            "mesh": choice({text: name for name, text in MESHES.items()}, "2x4", "batch × model"),
            "phase": choice(list(PHASES), PHASES[0], "runs"),
        },
    )
