"""One layer of a Llama in two rows, attention and MLP, with what is said of each weight under its name."""

from matplotlib.axes import Axes

from tplearn.show.style import arrow, box, label

CUT = "#dfe3e8"  # a module that is cut
HALVES = (
    ("attention", "input_\nlayernorm", ("q_proj", "k_proj", "v_proj"), "heads", "o_proj"),
    ("MLP", "post_attention_\nlayernorm", ("gate_proj", "up_proj"), "silu(gate)\n· up", "down_proj"),
)


def paint_layer(ax: Axes, column: str, row: str, norm: str = "") -> None:
    """Both halves on a canvas of 10.4 × 4.75: `column`, `row` and `norm` stand under the names of such modules."""
    for y, half in zip((3.55, 1.4), HALVES, strict=True):
        _half(ax, y, *half, said=(norm, column, row))


def _half(
    ax: Axes,
    y: float,
    name: str,
    norm: str,
    columns: tuple[str, ...],
    inside: str,
    row: str,
    said: tuple[str, str, str],
) -> None:
    """Norm, the column cuts above one another, what lies inside, the row cut, plus."""
    label(ax, 0.15, y + 0.95, name, ha="left", bold=True)
    box(ax, 0.6, y - 0.38, 1.5, 0.76, face="#ffffff")
    label(ax, 1.35, y + (0.11 if said[0] else 0), norm, size=9)
    label(ax, 1.35, y - 0.24, said[0], size=9, mono=True)
    arrow(ax, (0.15, y), (0.6, y))
    gap = 0.66 if len(columns) == 3 else 0.8
    places = [y + gap * (k - (len(columns) - 1) / 2) for k in reversed(range(len(columns)))]
    for place, column in zip(places, columns, strict=True):
        _weight(ax, 2.95, place, column, said[1])
        arrow(ax, (2.1, y), (2.95, place))
        arrow(ax, (4.65, place), (5.35, y))
    box(ax, 5.35, y - 0.35, 1.15, 0.7, inside, face="#ffffff", size=9.5)
    arrow(ax, (6.5, y), (7.1, y))
    _weight(ax, 7.1, y, row, said[2])
    arrow(ax, (8.8, y), (9.4, y))
    box(ax, 9.4, y - 0.22, 0.44, 0.44, "+", face="#ffffff")
    arrow(ax, (9.84, y), (10.3, y))


def _weight(ax: Axes, x: float, y: float, name: str, said: str) -> None:
    box(ax, x, y - 0.27, 1.7, 0.54, face=CUT)
    label(ax, x + 0.85, y + 0.12, name, size=9.5)
    label(ax, x + 0.85, y - 0.13, said, size=9, mono=True)
