"""Chapter 02: a matrix multiplication Y = X A, cut in its columns, its rows, or its batch."""

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tplearn.show.style import GREY, HIGHLIGHT, INK, arrow, box, canvas, label, legend_of_ranks
from tplearn.sizes import require_divisible

ENDINGS = {
    "columns of A": "concatenate",
    "rows of A": "sum",
    "rows of X": "concatenate",
}
BASES = (2.75, 0.3)  # the bottoms of the two cuts in the picture, in inches


def draw_where_to_cut() -> Figure:
    """Y = X A, with A cut in its columns and in its rows: what does each rank get, and what is left to do?"""
    figure = _two_cuts()
    ax = figure.axes[0]
    unknown = {"face": "white", "edge": GREY, "dashed": True, "size": 13}
    for base in BASES:
        box(ax, 5.2, base + 0.35, 1.6, 0.8, "?", **unknown)
        box(ax, 7.85, base + 0.25, 2.0, 1.0, "?", rounded=True, **unknown)
    return figure


def draw_two_cuts() -> Figure:
    """Y = X A cut two ways: columns of A leave shards of Y, side by side; rows of A leave partials, to be summed."""
    figure = _two_cuts()
    ax = figure.axes[0]
    endings = ("shards, side by side:\nall-gather, or\nleave Y cut", "partials:\nall-reduce (the sum)")
    for base, ending in zip(BASES, endings, strict=True):
        box(ax, 7.85, base + 0.25, 2.0, 1.0, ending, face=HIGHLIGHT, rounded=True)
    _matrix(ax, 5.2, BASES[0] + 0.35, 1.6, 0.8, cut="across", name="Y")
    box(ax, 5.42, BASES[1] + 0.57, 1.6, 0.8, rank=1)
    label(ax, 6.22, BASES[1] + 1.17, "partial of rank 1", size=9.5, backed=True)
    box(ax, 5.2, BASES[1] + 0.15, 1.6, 0.8, "partial of rank 0", rank=0, size=9.5)
    return figure


def _two_cuts() -> Figure:
    """X and A of both cuts, and arrows to what comes of them."""
    figure, ax = canvas(10, 4.9)
    for base, kind in zip(BASES, ("columns", "rows"), strict=True):
        columns = kind == "columns"
        label(ax, 0.2, base + 1.95, f"Cut the {kind} of A", size=12, bold=True, ha="left")
        _matrix(ax, 0.5, base + 0.35, 1.5, 0.8, cut=None if columns else "across", name="X")
        label(ax, 2.35, base + 0.75, "×", size=15)
        _matrix(ax, 2.7, base, 1.6, 1.5, cut="across" if columns else "down", name="A")
        label(ax, 4.7, base + 0.75, "=", size=14)
        arrow(ax, (7.25, base + 0.75), (7.75, base + 0.75))
    legend_of_ranks(ax, 7.9, 4.6, range(2))
    return figure


def _matrix(ax: Axes, x: float, y: float, width: float, height: float, cut: str | None, name: str) -> None:
    """A matrix of two shards: `across` puts them side by side, `down` on top of each other, None leaves it whole."""
    if cut is None:
        box(ax, x, y, width, height, f"{name}, all of it,\non both ranks", size=9.5)
    elif cut == "across":
        for rank in range(2):
            box(ax, x + rank * width / 2, y, width / 2, height, f"{name}{'₀₁'[rank]}", rank=rank, size=11)
    else:
        for rank in range(2):
            box(ax, x, y + (1 - rank) * height / 2, width, height / 2, f"{name}{'₀₁'[rank]}", rank=rank, size=11)


def draw_tiles() -> Figure:
    """X is 4×6 and A is 6×8, cut in the columns of A over 2 ranks: each rank computes a 4×4 shard of Y."""
    figure = Figure(facecolor="white")
    paint_tiles(figure, cut="columns of A", tp=2, batch=4, inner=6, out=8)
    return figure


def paint_tiles(figure: Figure, *, cut: str, tp: int, batch: int, inner: int, out: int) -> str:
    """Draw X [batch, inner] · A [inner, out] = Y with the given cut over tp ranks on `figure`; say what it shows.

    cut: a key of ENDINGS. Raises ValueError where the cut dimension does not divide by tp, or the cut is unknown.
    """
    if cut not in ENDINGS:
        raise ValueError(f"cut = {cut!r} is none of: {', '.join(ENDINGS)}")
    names = {
        "columns of A": ("columns of A", out),
        "rows of A": ("rows of A", inner),
        "rows of X": ("rows of X", batch),
    }
    require_divisible(*names[cut], tp)
    cuts = {"batch": 1, "inner": 1, "out": 1} | {{"columns of A": "out", "rows of A": "inner"}.get(cut, "batch"): tp}
    m, k, n = batch // cuts["batch"], inner // cuts["inner"], out // cuts["out"]
    _, ax = canvas(10, 4.2, figure)
    unit = min(5.9 / (inner + 2 * out), 2.3 / max(batch, inner))
    middle, x = 2.45, 0.35
    for name, rows, columns, cut_rows, cut_columns in (
        ("X", batch, inner, cuts["batch"], cuts["inner"]),
        ("A", inner, out, cuts["inner"], cuts["out"]),
        ("Y", batch, out, cuts["batch"], cuts["out"]),
    ):
        width, height = columns * unit, rows * unit
        label(ax, x + width / 2, 3.95, f"{name}  [{rows}×{columns}]", size=11, bold=True)
        if name == "Y" and cut == "rows of A":
            _partials(ax, x, middle, width, height, tp)
        else:
            _grid(ax, x, middle - height / 2, width, height, (rows, columns), (cut_rows, cut_columns))
        x += width + 0.55
        if name != "Y":
            label(ax, x - 0.28, middle, "×" if name == "X" else "=", size=16)
    share = f"Each rank computes [{m}×{k}] × [{k}×{n}] = [{m}×{n}]"
    lines = {
        "columns of A": "a shard of Y, finished. It needed all of X.\n"
        f"Ending: concatenate (all-gather of {m}×{n} shards), or leave Y cut and send nothing.",
        "rows of A": f"a partial of Y: right shape, unfinished numbers. It needed only {k} columns of X.\n"
        f"Ending: sum (all-reduce of {m}×{n} partials).",
        "rows of X": "finished rows of Y.\n"
        "Ending: none needed. But every rank holds all of A: this is data parallelism, and no weight is saved.",
    }
    box(ax, 0.2, 0.12, 9.6, 0.78, face=HIGHLIGHT, rounded=True)
    text = (
        f"{share}: {lines[cut]}"
        if tp > 1
        else f"One rank computes [{m}×{k}] × [{k}×{n}]: nothing is cut, nobody talks."
    )
    label(ax, 0.4, 0.51, text, size=9.5, ha="left")
    legend_of_ranks(ax, 9.95 - min(tp, 8) * 0.95 if tp > 2 else 8.0, 1.0, range(tp))
    return text.replace("\n", " ")


def _grid(
    ax: Axes, x: float, y: float, width: float, height: float, entries: tuple[int, int], cuts: tuple[int, int]
) -> None:
    """A matrix as cells; cut along its rows or columns, the shards wear their rank's colour, hatch and number."""
    (rows, columns), (row_cuts, column_cuts) = entries, cuts
    shards = max(cuts)
    shard_height, shard_width = height / row_cuts, width / column_cuts
    for rank in range(shards):
        left = x + (rank * shard_width if column_cuts > 1 else 0)
        bottom = y + (height - (rank + 1) * shard_height if row_cuts > 1 else 0)
        text, owner = (str(rank), rank) if shards > 1 else ("all", None)
        box(ax, left, bottom, shard_width, shard_height, text, rank=owner)
    lines = [[(x + c * width / columns, y), (x + c * width / columns, y + height)] for c in range(1, columns)]
    lines += [[(x, y + r * height / rows), (x + width, y + r * height / rows)] for r in range(1, rows)]
    ax.add_artist(LineCollection(lines, colors=GREY, linewidths=0.35, zorder=4))


def _partials(ax: Axes, x: float, middle: float, width: float, height: float, tp: int) -> None:
    """tp full-size partials, one under the other, with a plus sign: what is left after cutting the rows of A."""
    shift = 0.2 if tp <= 4 else 0.12
    for rank in reversed(range(tp)):
        left, bottom = x + rank * shift, middle - height / 2 + (rank - (tp - 1) / 2) * shift
        box(ax, left, bottom, width, height, rank=rank)
    text = " + ".join(map(str, range(tp))) if tp > 1 else "all"
    label(ax, x + width / 2, middle - (tp - 1) / 2 * shift, text, size=11, backed=True, colour=INK)
