"""The ledger against its target: choose where f, g and a gather stand in an MLP, and see what crosses the wire."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.style import GREEN, GREY, HIGHLIGHT, RED, arrow, box, canvas, label

TOKENS, HIDDEN, FFN = 4, 8, 32  # float64
F_PLACES = ("one for both", "one each", "none")
MIDDLES = ("stays cut", "gathered, then cut")
G_PLACES = ("after down", "none")
Row = tuple[str, int]


@dataclass(frozen=True)
class Outcome:
    """Rank 0's rows (op, bytes), forward and backward, and whether y and dx come out right."""

    forward: tuple[Row, ...]
    backward: tuple[Row, ...]
    y_right: bool
    dx_right: bool

    @property
    def bytes(self) -> int:
        """All that this rank hands to collectives."""
        return sum(size for _, size in self.forward + self.backward)


def outcome(f: str, middle: str, g: str, tp: int) -> Outcome:
    """What rank 0's ledger shows for one MLP, forward and back. ValueError for a place that does not exist."""
    for name, word, known in (("f", f, F_PLACES), ("middle", middle, MIDDLES), ("g", g, G_PLACES)):
        if word not in known:
            raise ValueError(f"{name} = {word!r} is none of: {', '.join(known)}")
    if tp == 1:
        return Outcome((), (), True, True)
    reduce, gather = ("all_reduce", TOKENS * HIDDEN * 8), ("all_gather", TOKENS * FFN // tp * 8)
    gathers = (gather,) if middle == MIDDLES[1] else ()
    count = {F_PLACES[0]: 1, F_PLACES[1]: 2, F_PLACES[2]: 0}[f]
    sums = (reduce,) if g == G_PLACES[0] else ()
    return Outcome((*gathers, *sums), (*gathers, *(reduce,) * count), bool(sums), count > 0)


def draw(figure: Figure, f: str = F_PLACES[0], middle: str = MIDDLES[0], g: str = G_PLACES[0], tp: int = 2) -> str:
    """Draw one rank's way through the MLP, its ledger beside the minimum, and say what came out."""
    made, least = outcome(f, middle, g, tp), outcome(F_PLACES[0], MIDDLES[0], G_PLACES[0], tp)
    _, ax = canvas(10, 4.35, figure)
    _way(ax, f, middle, g, tp)
    for x, name in ((0.2, "ledger of a rank"), (1.95, "this MLP"), (6.5, "the minimum")):
        label(ax, x, 2.0, name, size=11, bold=True, ha="left", va="baseline")
    for y, name, rows, due in (
        (1.42, "forward", made.forward, least.forward),
        (0.88, "backward", made.backward, least.backward),
    ):
        label(ax, 0.2, y + 0.22, name, ha="left")
        _rows(ax, 1.95, y, rows)
        _rows(ax, 6.5, y, due)
    verdict, why = _verdict(made, least)
    label(ax, 0.2, 0.58, verdict, size=11, bold=True, ha="left", colour=RED if "✗" in verdict else GREEN)
    label(ax, 0.2, 0.24, why, ha="left")
    return f"f: {f}; activations: {middle}; g: {g}; tp {tp}. {verdict}. {why}"


def _way(ax: Axes, f: str, middle: str, g: str, tp: int) -> None:
    """x to y, left to right; where ranks talk the box is bold, and where they should and do not it is dashed."""
    whose = "the only rank" if tp == 1 else f"one of {tp} ranks"
    label(ax, 0.2, 4.12, f"{whose}: its way from x to y; f, g, gather: ranks talk", size=11, bold=True, ha="left")
    gate_y, up_y, mid = 3.5, 2.8, 3.15
    box(ax, 0.2, mid - 0.25, 0.6, 0.5, "x")
    for y, name in ((gate_y, "gate"), (up_y, "up")):
        box(ax, 2.45, y - 0.25, 0.95, 0.5, name, rank=0)
        arrow(ax, (3.4, y), (3.9, mid))
    if f == F_PLACES[1]:
        for y in (gate_y, up_y):
            _talk(ax, 1.4, y, "f", True)
            arrow(ax, (0.8, mid), (1.4, y))
            arrow(ax, (1.9, y), (2.45, y))
    else:
        _talk(ax, 1.2, mid, "f", f == F_PLACES[0])
        arrow(ax, (0.8, mid), (1.2, mid))
        for y in (gate_y, up_y):
            arrow(ax, (1.7, mid), (2.45, y))
    if f != F_PLACES[2]:
        label(ax, 1.5, 2.42, "sums dx, backward", size=9.5)
    box(ax, 3.9, mid - 0.35, 1.2, 0.7, "silu(gate)\n· up", rank=0)
    label(ax, 4.5, 2.62, f"[{TOKENS}, {FFN // tp}]", size=9.5)
    if middle == MIDDLES[1]:
        box(ax, 5.4, mid - 0.35, 0.95, 0.7, "gather,\ncut", face=HIGHLIGHT, bold=True)
        arrow(ax, (5.1, mid), (5.4, mid))
    arrow(ax, (6.35 if middle == MIDDLES[1] else 5.1, mid), (6.7, mid))
    box(ax, 6.7, mid - 0.25, 0.95, 0.5, "down", rank=0)
    _talk(ax, 8.05, mid, "g", g == G_PLACES[0])
    if g == G_PLACES[0]:
        label(ax, 8.3, 2.7, "sums y, forward", size=9.5)
    box(ax, 9.0, mid - 0.25, 0.6, 0.5, "y")
    arrow(ax, (7.65, mid), (8.05, mid))
    arrow(ax, (8.55, mid), (9.0, mid))


def _talk(ax: Axes, x: float, y: float, name: str, there: bool) -> None:
    """f or g, or the dashed gap where it is missing."""
    if there:
        box(ax, x, y - 0.22, 0.5, 0.44, name, face=HIGHLIGHT, bold=True)
    else:
        box(ax, x, y - 0.22, 0.5, 0.44, f"no {name}", face="#ffffff", edge=RED, dashed=True, size=9)


def _rows(ax: Axes, x: float, y: float, rows: tuple[Row, ...]) -> None:
    """Boxes side by side, one for each row of the ledger."""
    if not rows:
        label(ax, x, y + 0.22, "nothing", ha="left", colour=GREY)
    for k, (op, size) in enumerate(rows):
        box(ax, x + 1.22 * k, y, 1.14, 0.46, f"{op.replace('_', '-')}\n{size} B", face=HIGHLIGHT, size=9)


def _verdict(made: Outcome, least: Outcome) -> tuple[str, str]:
    """The three verdicts of a check, and a sentence that says why."""
    exact = (made.forward, made.backward) == (least.forward, least.backward)
    marks = ["✓" if right else "✗" for right in (made.y_right, made.dx_right, exact)]
    head = "   ".join(f"{name} {mark}" for name, mark in zip(("y", "dx", "ledger"), marks, strict=True))
    head += f"   {made.bytes} bytes" + ("" if exact else f", the minimum is {least.bytes}")
    why = []
    if not made.y_right:
        why.append("Without g each rank keeps its own partial of y.")
    if not made.dx_right:
        why.append("Without f each rank keeps its own partial of dx.")
    if not why and [op for op, _ in made.backward].count("all_reduce") > 1:
        why.append("Each f sums a gradient of its own; with one f the two are added on the rank first.")
    if made.y_right and made.dx_right and any(op == "all_gather" for op, _ in made.forward):
        why.append("down wants its input cut, and so it was.")
    if not least.bytes:
        why = ["On one rank nothing is cut: f and g send nothing."]
    return head, " ".join(why) or "g sums y on the way forward, f sums dx on the way back: 1 + 1 all-reduces."


def show():  # noqa: ANN201 (ipywidgets is only imported when a widget is wanted)
    """The widget: where f and g stand, what happens to the activations, and over how many ranks."""
    from tplearn.show.widgets.picture import Picture, choice, slider

    return Picture(
        draw,
        {
            "f": choice(list(F_PLACES), F_PLACES[0], "f"),
            "middle": choice(list(MIDDLES), MIDDLES[0], "activations"),
            "g": choice(list(G_PLACES), G_PLACES[0], "g"),
            "tp": slider([1, 2, 4, 8], 2, "tp"),
        },
    )
