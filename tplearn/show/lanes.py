"""Swim-lanes: one lane per rank, time from left to right, and a bar wherever ranks have to meet."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.ranks.ledger import Row
from tplearn.show.style import GREEN, GREY, HIGHLIGHT, INK, LIGHT, RED, arrow, box, canvas, label

LANE = 0.62  # inches from one lane to the next
TAG = 0.86  # width of the tag "rank 0"
STEP = 1.8  # inches from one appointment to the next


def lane_y(rank: int, world_size: int, bottom: float) -> float:
    """The height of a rank's lane: rank 0 on top."""
    return bottom + (world_size - 1 - rank + 0.5) * LANE


def draw_tags(ax: Axes, world_size: int, left: float, right: float, bottom: float, late: dict[int, float]) -> None:
    """The ranks' tags and their lines, up to `right`, or up to `late[rank]` where a rank stops earlier."""
    for rank in range(world_size):
        y = lane_y(rank, world_size, bottom)
        box(ax, left, y - 0.18, TAG, 0.36, f"rank {rank}", rank=rank, size=10)
        ax.plot([left + TAG, late.get(rank, right)], [y, y], color=GREY, linewidth=1.6, zorder=1)


def draw_appointments(figure: Figure | None, world_size: int, meetings: int, leaver: int | None, after: int) -> Figure:
    """Ranks that are to meet `meetings` times; `leaver` returns after `after` of them (None: nobody does).

    The first appointment that somebody misses never takes place: the others wait in it, the missing one is red.
    Later appointments are not reached. Raises ValueError for a rank or a count that does not exist.
    """
    check_appointments(world_size, meetings, leaver, after)
    held = meetings if leaver is None else after
    left, bottom, first = 0.2, 0.85, TAG + 1.25
    width = left + first + meetings * STEP - 0.85
    figure, ax = canvas(width, bottom + world_size * LANE + 0.75, figure)
    at = [left + first + k * STEP for k in range(meetings)]
    end = at[-1] + 0.7
    broken = held < meetings
    stop = at[held] - 0.46 - (STEP - 0.92) / 2 if broken else end
    late = {rank: stop if rank == leaver else at[held] for rank in range(world_size)} if broken else {}
    draw_tags(ax, world_size, left, end, bottom, late)
    top = lane_y(0, world_size, bottom)
    for k, x in enumerate(at):
        happens = k < held
        label(ax, x, top + 0.62, f"all_reduce #{k}", size=10, bold=happens, colour=INK if k <= held else GREY)
        if k <= held:
            label(
                ax,
                x,
                top + 0.4,
                "takes place" if happens else "never takes place",
                size=9,
                colour=GREEN if happens else RED,
            )
        else:
            label(ax, x, top + 0.4, "not reached", size=9, colour=GREY)
        face, edge = (HIGHLIGHT, INK) if happens else ("white", RED if k == held else GREY)
        low = lane_y(world_size - 1, world_size, bottom) - 0.24
        box(ax, x - 0.46, low, 0.92, top + 0.24 - low, face=face, edge=edge, dashed=not happens, line=1.3)
        for rank in range(world_size):
            y = lane_y(rank, world_size, bottom)
            if happens:
                ax.plot([x], [y], "o", color=INK, markersize=7, zorder=6)
            elif k == held and rank == leaver:
                box(
                    ax,
                    x - 0.42,
                    y - 0.18,
                    0.84,
                    0.36,
                    "✗ missing",
                    face="#fbe3e1",
                    edge=RED,
                    size=9.5,
                    bold=True,
                    colour=RED,
                )
            elif k == held:
                box(ax, x - 0.34, y - 0.15, 0.68, 0.3, "waits", face=LIGHT, size=9.5)
    if broken:
        y = lane_y(leaver, world_size, bottom)
        ax.plot([stop], [y], "s", color=RED, markersize=8, zorder=6)
        label(ax, stop, y - 0.21, "returned", size=9, colour=RED)
    words = verdict(world_size, meetings, leaver, after).split(". ")[0].rstrip(".") + "."
    label(ax, left, 0.38, words, size=10.5, bold=True, ha="left", colour=RED if broken else GREEN)
    return figure


def check_appointments(world_size: int, meetings: int, leaver: int | None, after: int) -> None:
    """Raise ValueError for a rank or a number of appointments that does not exist."""
    if leaver is not None and not 0 <= leaver < world_size:
        raise ValueError(f"leaver = {leaver} is not a rank of {world_size}; ranks that work: 0 to {world_size - 1}")
    if not 0 <= after <= meetings:
        raise ValueError(f"after = {after} is not among {meetings} appointments; numbers that work: 0 to {meetings}")


def verdict(world_size: int, meetings: int, leaver: int | None, after: int) -> str:
    """What `run_ranks` would find, in two sentences; the first names the verdict."""
    if leaver is None or after == meetings:
        return f"✓ Every rank returned. All {meetings} appointments took place."
    waiting = [f"{rank}" for rank in range(world_size) if rank != leaver]
    who = f"Rank {waiting[0]} waits" if len(waiting) == 1 else f"Ranks {', '.join(waiting[:-1])} and {waiting[-1]} wait"
    plural = "" if after == 1 else "s"
    return (
        f"✗ Deadlock: no rank can make progress. {who} in all_reduce #{after}; "
        f"rank {leaver} returned after {after} collective{plural}."
    )


def draw_messages(ax: Axes, rows: list[Row], world_size: int, left: float, bottom: float, step: float = 1.35) -> float:
    """The sends of a ledger as arrows from lane to lane, one column for each rank's k-th send; returns the right edge.

    An arrow starts at the sender's box, which shows the bytes, and ends on the receiver's lane, half a step later.
    """
    sends = [[row for row in rows if row.rank == rank and row.op == "send"] for rank in range(world_size)]
    steps = max(map(len, sends))
    right = left + TAG + 0.55 + steps * step
    draw_tags(ax, world_size, left, right, bottom, {})
    for rank, own in enumerate(sends):
        y = lane_y(rank, world_size, bottom)
        for k, row in enumerate(own):
            x = left + TAG + 0.25 + k * step
            box(ax, x, y - 0.16, 0.62, 0.32, f"{row.bytes} B", rank=rank, size=9)
            arrow(
                ax,
                (x + 0.62, y),
                (x + step - 0.06, lane_y(row.peer, world_size, bottom) + (0.03 if row.peer > rank else -0.03)),
            )
    return right
