"""The picture of chapter 17's first widget: a step of a pipeline in time, what each rank does and where it waits."""

from collections import defaultdict
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from tplearn.pipeline.kinds import kind_of
from tplearn.pipeline.orders import BACKWARD, FORWARD, OF_INPUT, OF_WEIGHT
from tplearn.pipeline.timeline import Span, alive, idle_share, timeline
from tplearn.show.style import GREY, INK, box, canvas, label

Rectangle = tuple[float, float, float, float]  # left, bottom, width, height

KINDS = {  # letter: colour, from light to dark, and name
    FORWARD: ("#dbe9f6", "forward"),
    BACKWARD: ("#86b6de", "backward"),
    OF_INPUT: ("#a9cdb8", "backward, of the input"),
    OF_WEIGHT: ("#6aa584", "of the weights"),
}
WIDTH, LEFT, RIGHT = 10.2, 1.05, 9.0  # inches: the figure, and the slots in it
LANE, BOX, BELOW = 0.44, 0.36, 0.78
MOST_NUMBERS = 90  # above, text takes longer than a redraw may


def paint_timeline(figure: Figure, *, schedule: str, p: int, m: int, v: int) -> str:
    """Draw a step of m micro-batches on p ranks with v stages each; return what is seen, in words.

    A rank's layers take 1 slot forward and 2 backward for a micro-batch, in all its stages together.
    Raises ValueError where the schedule cannot run with these numbers.
    """
    kind_of(schedule).stages_per_rank(v)
    spans = timeline(schedule, p, m, v, forward=1 / v, backward=2 / v)
    end = max(span.stop for span in spans)
    _, ax = canvas(WIDTH, BELOW + p * LANE + 0.62, figure)
    _lanes(ax, spans, p, end)
    kept = [alive(spans, rank) for rank in range(p)]
    _heads(ax, schedule, p, m, v, kept)
    idle = idle_share(spans)
    stages = f", {v} stages a rank" if v > 1 else ""
    _legend(ax, [letter for letter in KINDS if any(span.action.kind == letter for span in spans)])
    time = f"bubble: {_number(end - 3 * m)} of {_number(end)} slots, {idle:.1%} of the time"
    label(ax, LEFT, 0.2, time, ha="left", bold=True)
    return (
        f"{schedule}, {p} ranks{stages}, {m} micro-batches: a rank works for {3 * m} of {_number(end)} slots, and for "
        f"{idle:.1%} of the time it waits. Micro-batches alive at most, by rank: {', '.join(map(str, kept))}"
        + (f", of 1/{v} of a rank's layers each." if v > 1 else ".")
    )


def _lanes(ax: Axes, spans: list[Span], p: int, end: float) -> None:
    """All actions and gaps as a few collections: one artist for each would be too slow."""
    scale, shapes = (RIGHT - LEFT) / end, defaultdict(list)
    numbered = len(spans) <= MOST_NUMBERS
    for rank in range(p):
        y, free = BELOW + (p - 1 - rank) * LANE, 0.0
        box(ax, 0.15, y, 0.8, BOX, f"rank {rank}", size=9.5)
        for span in (span for span in spans if span.rank == rank):
            if span.start > free + 1e-9:
                shapes["wait"].append((LEFT + free * scale, y, (span.start - free) * scale, BOX))
            at = LEFT + span.start * scale, y, (span.stop - span.start) * scale, BOX
            shapes[span.action.kind].append(at)
            text = f"{span.action.micro_batch}" + "′" * (span.action.stage // p)
            if numbered and at[2] > 0.09 * len(text) + 0.05:
                label(ax, at[0] + at[2] / 2, y + BOX / 2, text, size=9)
            free = span.stop
        if end > free + 1e-9:
            shapes["wait"].append((LEFT + free * scale, y, (end - free) * scale, BOX))
    for kind, rectangles in shapes.items():
        ax.add_collection(_shapes(kind, rectangles), autolim=False)


def _shapes(kind: str, rectangles: Iterable[Rectangle]) -> PolyCollection:
    """Rectangles of one kind of action, or of waiting: white with a hatch."""
    corners = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h)] for x, y, w, h in rectangles]
    if kind == "wait":
        return PolyCollection(corners, facecolor="white", edgecolor=GREY, hatch="////", linewidth=0.6, zorder=1)
    return PolyCollection(corners, facecolor=KINDS[kind][0], edgecolor=INK, linewidth=0.7, zorder=2)


def _heads(ax: Axes, schedule: str, p: int, m: int, v: int, kept: list[int]) -> None:
    top = BELOW + p * LANE
    stages = f", {v} stages a rank" if v > 1 else ""
    label(ax, 0.15, top + 0.42, f"{schedule}: p = {p} ranks{stages}, m = {m}", ha="left", bold=True, size=11)
    label(ax, RIGHT + 0.6, top + 0.14, "alive at most", size=9.5)
    for rank, count in enumerate(kept):
        text = str(count) + (f" of 1/{v}" if v > 1 else "")
        label(ax, RIGHT + 0.6, BELOW + (p - 1 - rank) * LANE + BOX / 2, text, bold=True)


def _legend(ax: Axes, letters: list[str]) -> None:
    x = LEFT
    for kind in (*letters, "wait"):
        ax.add_collection(_shapes(kind, [(x, 0.42, 0.26, 0.2)]), autolim=False)
        text = "waits" if kind == "wait" else KINDS[kind][1]
        label(ax, x + 0.33, 0.52, text, ha="left", size=9.5)
        x += 0.62 + 0.078 * len(text)


def _number(slots: float) -> str:
    """Slots without digits that say nothing: 33, 16.5."""
    return f"{slots:.3g}" if slots < 1000 else f"{slots:.0f}"
