"""The three levels of chapter 15 as a table: what you write, who puts in the messages, what a mistake does."""

from dataclasses import dataclass

from matplotlib.axes import Axes

from tplearn.show.style import GREY, HIGHLIGHT, INK, arrow, box, label

LEFT, WIDE = 1.38, 3.0
ROWS = ((2.72, "you write"), (1.87, "types"), (1.15, "who puts in\nthe messages"), (0.4, "a mistake"))


@dataclass(frozen=True)
class Level:
    """A column of the table; `ending` is the text on the place where a message is due, dashed where nobody wrote it."""

    name: str
    ending: str
    written: bool
    code: str
    types: str
    who: str
    mistake: str


LEVELS = (
    Level(
        "auto",
        "all-reduce",
        False,
        'down: P(None, "model")\n\ny = a @ down.T',
        "nothing is told",
        "the compiler,\nwhere it sees fit",
        "right, but slow:\nmore messages, more bytes",
    ),
    Level(
        "explicit",
        "out_sharding",
        True,
        'down: P(None, "model")\ny = einsum(…, a, down,\n  out_sharding=P("batch"))',
        "R, S and P\nin every array's type",
        "the compiler,\nwhere you write an ending",
        "mostly an error when traced:\nthe type checker asks",
    ),
    Level(
        "shard_map",
        "psum",
        True,
        'x = pcast(x, "model", …)  # f\n…  # shards, as on a rank\ny = psum(y, "model")      # g',
        "shards: local shapes, and\nwhether they vary",
        "you, every one",
        "wrong numbers, as with gloo;\nthe check finds some",
    ),
)


def paint_levels(ax: Axes) -> None:
    """A column for each level: above, the same row cut with its ending; below, the rows of the table."""
    for y, name in ROWS:
        label(ax, 0.12, y, name, ha="left", bold=True)
    for place, level in enumerate(LEVELS):
        x = LEFT + place * WIDE
        label(ax, x + 0.05, 4.38, level.name, ha="left", bold=True, size=11.5)
        _row_cut(ax, x, level)
        box(ax, x + 0.02, 2.3, WIDE - 0.12, 0.84, face="#ffffff", edge=GREY)
        label(ax, x + 0.1, 2.72, level.code, ha="left", mono=True, size=9)
        for (y, _), text in zip(ROWS[1:], (level.types, level.who, level.mistake), strict=True):
            label(ax, x + 0.05, y, text, ha="left", size=9.5)
    for y in (2.2, 1.55, 0.78):
        ax.plot([0.12, 10.28], [y, y], color=GREY, linewidth=0.7)


def _row_cut(ax: Axes, x: float, level: Level) -> None:
    """a, cut, through down_proj: a partial sum, which somebody must end."""
    y = 3.65
    label(ax, x + 0.18, y + 0.18, "S", bold=True)
    arrow(ax, (x + 0.05, y), (x + 0.35, y))
    box(ax, x + 0.35, y - 0.22, 0.6, 0.44, "down", face="#dfe3e8", size=9.5)
    arrow(ax, (x + 0.95, y), (x + 1.3, y))
    label(ax, x + 1.12, y + 0.18, "P", bold=True)
    colour = INK if level.written else GREY
    face = HIGHLIGHT if level.written else "#ffffff"
    box(ax, x + 1.3, y - 0.22, 1.15, 0.44, level.ending, face=face, dashed=not level.written, size=9.5, colour=colour)
    arrow(ax, (x + 2.45, y), (x + 2.8, y))
    label(ax, x + 2.62, y + 0.18, "R", bold=True)
    said = "yours" if level.written else "not in your program"
    label(ax, x + 1.87, y - 0.36, said, size=9, colour=GREY)
