"""The picture of chapter 17's second widget: ranks of four dimensions in nodes of eight, and the groups of one rank."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tplearn.show.mesh import DP_COLOUR, TP_COLOUR
from tplearn.show.style import GREEN, GREY, INK, RED, box, canvas, label, repeatable
from tplearn.sizes import require_rank, require_size

NODE = 8  # ranks in one node
MOST = 256  # ranks that are drawn
ORDERS = ("dp, pp, cp, tp", "pp, dp, cp, tp", "dp, pp, tp, cp", "tp, cp, pp, dp")
LETTERS = {"tp": (0, TP_COLOUR), "cp": (1, "#8a5a00"), "pp": (2, "#0f6b4a"), "dp": (3, DP_COLOUR)}  # name: tint, ink
CELL, HIGH, ACROSS = 0.345, 0.3, 4  # of a rank; nodes are ACROSS by 2 ranks
GAP, NODES_A_ROW, BELOW = 0.12, 6, 1.5


@dataclass(frozen=True)
class Layout:
    """Sizes by name, the outermost first: along the last name ranks are neighbours, as in `init_device_mesh`."""

    sizes: Mapping[str, int]

    def __post_init__(self) -> None:
        for name, size in self.sizes.items():
            require_size(name, size)

    @property
    def ranks(self) -> int:
        """All of them."""
        return math.prod(self.sizes.values())

    def group(self, name: str, rank: int) -> list[int]:
        """The ranks that differ from this one along `name` only. Raises ValueError for a rank that does not exist."""
        require_rank("rank", rank, self.ranks)
        sizes = list(self.sizes.values())
        dim = list(self.sizes).index(name)
        apart = math.prod(sizes[dim + 1 :])  # of neighbours along `name`
        first = rank - rank // apart % sizes[dim] * apart
        return list(range(first, first + sizes[dim] * apart, apart))

    def nodes(self, name: str) -> int:
        """Nodes that a group along `name` lies on, at most."""
        return _most_nodes(tuple(self.sizes.values()), list(self.sizes).index(name))


@lru_cache(maxsize=64)  # of a layout, whichever rank is chosen
def _most_nodes(sizes: tuple[int, ...], dim: int) -> int:
    groups = torch.arange(math.prod(sizes)).view(*sizes).movedim(dim, -1).reshape(-1, sizes[dim])
    return max(len(set(group)) for group in (groups // NODE).tolist())


def paint_cube(figure: Figure, *, dp: int, pp: int, cp: int, tp: int, order: str, rank: int) -> str:
    """Draw all ranks in their nodes, and this rank's four groups; return who they are and which cross nodes.

    Raises ValueError for a rank that does not exist, and for more ranks than can be drawn.
    """
    if order not in ORDERS:
        raise ValueError(f"order = {order!r} is none; orders that work: {' · '.join(ORDERS)}")
    sizes = {"dp": dp, "pp": pp, "cp": cp, "tp": tp}
    layout = Layout({name: sizes[name] for name in order.split(", ")})
    if layout.ranks > MOST:
        product = " · ".join(map(str, layout.sizes.values()))
        raise ValueError(f"{product} = {layout.ranks} ranks are too many to draw; sizes whose product is {MOST} work")
    groups = {name: layout.group(name, rank) for name in LETTERS}
    count = math.ceil(layout.ranks / NODE)
    top = BELOW + math.ceil(count / NODES_A_ROW) * (2 * HIGH + 0.34)
    _, ax = canvas(NODES_A_ROW * (ACROSS * CELL + GAP) + 0.4, top + 0.5, figure)
    head = f"{layout.ranks} ranks: mesh {tuple(layout.sizes.values())}, named ({order}); node = {NODE} ranks"
    label(ax, 0.15, top + 0.28, head, ha="left", bold=True, size=11)
    _nodes(ax, layout.ranks, count, top)
    _marks(ax, groups, rank, top)
    for line, (name, group) in enumerate(groups.items()):
        y, (tint, ink) = BELOW - 0.42 - 0.29 * line, LETTERS[name]
        box(ax, 0.15, y - 0.1, 0.28, 0.2, rank=tint)
        label(ax, 0.55, y, f"{name}  {_ranks(group)}", ha="left", colour=ink, bold=True)
        mark, colour = _verdict(layout, name)
        label(ax, 4.6, y, mark + _place(layout, name), ha="left", colour=colour)
    words = "; ".join(f"{name} {_ranks(group)} ({_place(layout, name)})" for name, group in groups.items())
    nodes = f"{count} node{'s' if count > 1 else ''}"
    return f"{layout.ranks} ranks on {nodes}. Groups of rank {rank}: {words}."


def _corner(rank: int, top: float) -> tuple[float, float]:
    """The lower left corner of a rank's cell."""
    node, place = divmod(rank, NODE)
    row, column = divmod(node, NODES_A_ROW)
    x = 0.15 + column * (ACROSS * CELL + GAP) + place % ACROSS * CELL
    return x, top - row * (2 * HIGH + 0.34) - 0.22 - (place // ACROSS + 1) * HIGH


@repeatable
def _nodes(ax: Axes, ranks: int, count: int, top: float) -> None:
    """A frame for each node, with its number and a line for each cell."""
    lines = []
    for rank in range(ranks):
        x, y = _corner(rank, top)
        lines.append([(x, y), (x + CELL, y), (x + CELL, y + HIGH), (x, y + HIGH), (x, y)])
    ax.add_collection(LineCollection(lines, colors="#c3c8ce", linewidths=0.7, zorder=1), autolim=False)
    for node in range(count):
        x, y = _corner(node * NODE, top)
        wide, high = (ACROSS * CELL, 2 * HIGH) if ranks >= NODE else (min(ranks, ACROSS) * CELL, HIGH)
        high = 2 * HIGH if ranks > ACROSS else high
        box(ax, x, y + HIGH - high, wide, high, face="none", line=1.3)
        label(ax, x + 0.02, y + HIGH + 0.1, f"node {node}", ha="left", size=9, colour=GREY)


def _marks(ax: Axes, groups: dict[str, list[int]], rank: int, top: float) -> None:
    """The members of the groups, in their tints, with their numbers; the rank itself dark."""
    for name, group in groups.items():
        for member in group:
            if member != rank:
                box(ax, *_corner(member, top), CELL, HIGH, str(member), rank=LETTERS[name][0], size=9)
    box(ax, *_corner(rank, top), CELL, HIGH, str(rank), face=INK, colour="white", size=9, bold=True)


def _ranks(group: list[int]) -> str:
    if len(group) == 1:
        return "by itself"
    return ", ".join(map(str, group if len(group) <= 8 else [*group[:4], "…", group[-1]]))


def _place(layout: Layout, name: str) -> str:
    if layout.sizes[name] == 1:
        return "nothing to send"
    nodes = layout.nodes(name)
    return "inside one node" if nodes == 1 else f"across {nodes} nodes"


def _verdict(layout: Layout, name: str) -> tuple[str, str]:
    """A mark and its colour. Only tp is judged: it talks in every layer. The others may cross nodes."""
    if layout.sizes[name] == 1:
        return "", GREY
    if name != "tp":
        return "", INK
    return ("✓ ", GREEN) if layout.nodes(name) == 1 else ("✗ ", RED)
