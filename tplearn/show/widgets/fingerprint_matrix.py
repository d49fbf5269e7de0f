"""Fingerprint matrix: every exhibit of the museum by aspects, on a chosen number of ranks, in either precision."""

from matplotlib.figure import Figure

from tplearn.museum import ASPECTS, EXHIBITS, Fingerprint, words
from tplearn.show.style import GREY, INK, RED, box, canvas, label

ROOMS = ("all", *dict.fromkeys(exhibit.room for exhibit in EXHIBITS))
PRECISIONS = {"float64": False, "bfloat16": True}
WIDTHS = (1.35, 2.55, 2.15, 1.35, 1.35, 0.85, 0.85)
OFF, CHEAPER = "#f9d6d2", "#fff3bf"
SHORT = {"all-reduce": "AR", "all-gather": "AG", "reduce-scatter": "RS"}
ROW, LEFT = 0.31, 0.75


def is_off(aspect: str, text: str) -> bool:
    """Whether a cell says that something is wrong: a number, more bytes or more memory, but no cheaper ledger."""
    return text.startswith("✗") or (aspect in ("forward", "backward", "after") and text.startswith(("+", "−")))


def draw(
    figure: Figure, fingerprints: dict[str, Fingerprint], tp: int = 4, room: str = "all", bfloat16: bool = False
) -> str:
    """Draw the exhibits of a room as rows of signs, and say how many of them show something, and how many where."""
    chosen = [one.name for one in EXHIBITS if room in ("all", one.room) and one.name in fingerprints]
    rows = {name: words(fingerprints[name][tp], tp, bfloat16) for name in chosen}
    height = ROW * (len(rows) + 1) + 0.75
    _, ax = canvas(LEFT + sum(WIDTHS) + 0.15, height, figure)
    top = height - ROW - 0.1
    plain: dict[str, list[tuple[float, float]]] = {"✓": [], "–": []}  # most cells: one artist for each kind
    for column, (aspect, width) in enumerate(zip(ASPECTS, WIDTHS, strict=True)):
        x = LEFT + sum(WIDTHS[:column])
        label(ax, x + width / 2, top + 0.1, aspect, bold=True, va="baseline")
        for row, (name, told) in enumerate(rows.items(), start=1):
            y, text = top - ROW * row, told[aspect]
            off = is_off(aspect, text)
            if not column:
                label(ax, LEFT / 2, y + ROW / 2, name, bold=True)
            if text in plain:
                plain[text].append((x + width / 2, y + ROW / 2))
                continue
            box(ax, x, y, width, ROW, face=OFF if off else CHEAPER, edge=GREY, line=0.5)
            for long, short in SHORT.items():
                text = text.replace(long, short)
            label(ax, x + width / 2, y + ROW / 2, text, size=9, colour=RED if off else INK, bold=off)
    for sign, places in plain.items():
        if places:
            ax.plot(*zip(*places, strict=True), linestyle="", marker=f"${sign}$", color=GREY, markersize=6)
    lines = [top - ROW * row for row in range(len(rows) + 1)]
    ax.hlines(lines, LEFT, LEFT + sum(WIDTHS), colors=GREY, linewidth=0.4)
    shown = {name: [aspect for aspect in ASPECTS if is_off(aspect, told[aspect])] for name, told in rows.items()}
    precision = "bfloat16" if bfloat16 else "float64"
    ranks = f"{tp} rank{'s' * (tp > 1)}"
    signs = "✗: not the twin's, or more than is due; +, −: too many, too few; AR: all-reduce, AG: all-gather"
    label(ax, 0.15, 0.3, f"{ranks}, {precision}. {signs}", ha="left", size=9, colour=GREY)
    marked = [name for name, aspects in shown.items() if aspects]
    by_aspect = {aspect: sum(aspect in aspects for aspects in shown.values()) for aspect in ASPECTS}
    counted = ", ".join(f"{aspect} {count}" for aspect, count in by_aspect.items() if count) or "nothing"
    return f"On {ranks} in {precision}, {len(marked)} of {len(rows)} exhibits show something: {counted}."


def show(fingerprints: dict[str, Fingerprint]):  # noqa: ANN201 (ipywidgets is only imported when a widget is wanted)
    """The widget: how many ranks, which room, and in which precision errors are read."""
    from functools import partial

    from tplearn.show.widgets.picture import Picture, choice, slider

    tps = sorted(next(iter(fingerprints.values())))
    return Picture(
        partial(draw, fingerprints=fingerprints),
        {
            "tp": slider(tps, tps[-1], "tp"),
            "room": choice(list(ROOMS), "all", "room"),
            "bfloat16": choice(PRECISIONS, False, "precision"),
        },
    )
