"""A device mesh as a picture: ranks in a grid, a row for each tensor-parallel group, a column for each other."""

from matplotlib.figure import Figure

from tplearn.show.style import GREY, INK, RED, box, canvas, label

CELL_WIDTH, CELL_HEIGHT = 0.98, 0.62
TP_COLOUR, DP_COLOUR = "#0b6aa8", RED


def groups_of(world_size: int, tp: int, rank: int) -> dict[str, list[int]]:
    """The two groups of a rank on a (world_size / tp) × tp grid that is filled row by row.

    ValueError where tp does not divide world_size, or the rank is not there.
    """
    if tp < 1 or world_size % tp:
        sizes = ", ".join(str(size) for size in range(1, world_size + 1) if world_size % size == 0)
        raise ValueError(f"tp = {tp} does not divide world size {world_size}; sizes that work: {sizes}")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank = {rank} is not among {world_size}; ranks that work: 0 to {world_size - 1}")
    row, column = divmod(rank, tp)
    return {"tp": list(range(row * tp, row * tp + tp)), "dp": list(range(column, world_size, tp))}


def draw_mesh(figure: Figure | None, world_size: int, tp: int, rank: int | None = None) -> Figure:
    """The dp × tp grid; with `rank`, that rank's two groups are framed. Colour and hatch tell the shard."""
    marked = groups_of(world_size, tp, rank or 0)
    dp = world_size // tp
    left, bottom = 1.75, 0.95
    right, top = left + tp * CELL_WIDTH, bottom + dp * CELL_HEIGHT
    figure, ax = canvas(max(right + 0.3, 6.6), top + 0.75, figure)
    for number in range(world_size):
        row, column = divmod(number, tp)
        x, y = left + column * CELL_WIDTH, top - (row + 1) * CELL_HEIGHT
        box(
            ax,
            x + 0.06,
            y + 0.06,
            CELL_WIDTH - 0.12,
            CELL_HEIGHT - 0.12,
            f"rank {number}",
            rank=column,
            size=10,
            bold=number == rank,
        )
    for row in range(dp):
        label(ax, left - 0.15, top - (row + 0.5) * CELL_HEIGHT, f"replica {row}", size=10, ha="right")
    for column in range(tp):
        label(ax, left + (column + 0.5) * CELL_WIDTH, top + 0.17, f"shard {column}", size=10)
    label(ax, left, top + 0.5, "tp →", size=10, bold=True, ha="left", colour=TP_COLOUR)
    label(ax, left - 1.5, top + 0.17, "dp ↓", size=10, bold=True, ha="left", colour=DP_COLOUR)
    if rank is not None:
        row, column = divmod(rank, tp)
        frame = {"face": "none", "line": 2.4}
        box(
            ax,
            left + 0.01,
            top - (row + 1) * CELL_HEIGHT + 0.01,
            tp * CELL_WIDTH - 0.02,
            CELL_HEIGHT - 0.02,
            edge=TP_COLOUR,
            **frame,
        )
        box(
            ax,
            left + column * CELL_WIDTH + 0.03,
            bottom + 0.03,
            CELL_WIDTH - 0.06,
            top - bottom - 0.06,
            edge=DP_COLOUR,
            dashed=True,
            **frame,
        )
        who = f"rank {rank}'s"
        label(
            ax,
            0.25,
            0.62,
            f"solid frame, a row: {who} tp group {marked['tp']}, all shards of one layer",
            size=10,
            ha="left",
            colour=TP_COLOUR,
        )
        label(
            ax,
            0.25,
            0.28,
            f"dashed frame, a column: {who} dp group {marked['dp']}, the same shard",
            size=10,
            ha="left",
            colour=DP_COLOUR,
        )
    else:
        label(ax, 0.25, 0.62, "a row: a tp group, all shards of one layer", size=10, ha="left", colour=INK)
        label(ax, 0.25, 0.28, "a column: a dp group, the same shard of every replica", size=10, ha="left", colour=GREY)
    return figure
