"""Figures of chapter 05: the ledger of a real ring, groups in the wrong order, ranks as a grid."""

import torch
import torch.distributed as dist
from matplotlib.figure import Figure

from tplearn.ranks import Ledger, run_ranks
from tplearn.show.lanes import LANE, draw_messages, draw_tags, lane_y
from tplearn.show.mesh import draw_mesh
from tplearn.show.style import GREEN, HIGHLIGHT, INK, RED, arrow, box, canvas, label

WORLD_SIZE = 4
WAITING = {0: "{0, 1}", 1: "{1, 2}", 2: "{0, 2}"}


def draw_ring_ledger() -> Figure:
    """Ring all-reduce on four real ranks: in each of six steps every rank sends a quarter to its right neighbour."""
    rows = _ring_ledger().rows
    figure, ax = canvas(10.1, 3.35)
    left, bottom = 0.2, 0.25
    right = draw_messages(ax, rows, WORLD_SIZE, left, bottom)
    top = bottom + WORLD_SIZE * LANE
    half = (left + 1.03 + right) / 2 - 0.13
    for start, end, text in (
        (left + 1.0, half - 0.1, "reduce-scatter: add what arrives"),
        (half, right - 0.36, "all-gather: pass on what arrived"),
    ):
        label(ax, (start + end) / 2, top + 0.38, text, size=11, bold=True)
        ax.plot([start, end], [top + 0.17, top + 0.17], color=INK, linewidth=1.6)
    return figure


def draw_nobody_above() -> Figure:
    """One process with four ranks and a loop above them; and four processes, with wires and nobody above."""
    figure, ax = canvas(9.6, 2.75)
    label(ax, 2.2, 2.5, "chapter 04: one process", size=11, bold=True)
    box(ax, 0.2, 0.25, 4.0, 2.0, face="#ffffff")
    box(ax, 1.35, 1.6, 1.7, 0.42, "for rank in …", face=HIGHLIGHT, size=10)
    for rank in range(4):
        x = 0.36 + rank * 0.95
        box(ax, x, 0.5, 0.83, 0.46, f"rank {rank}", rank=rank, size=10)
        arrow(ax, (2.2 + (rank - 1.5) * 0.35, 1.57), (x + 0.415, 0.99))
    label(ax, 7.1, 2.5, "now: four processes", size=11, bold=True)
    for rank in range(4):
        x = 4.85 + rank * 1.2
        box(ax, x - 0.1, 0.25, 1.03, 1.1, face="#ffffff")
        box(ax, x, 0.5, 0.83, 0.46, f"rank {rank}", rank=rank, size=10)
    label(ax, 7.1, 1.81, "?", size=15, bold=True)
    return figure


def draw_group_order() -> Figure:
    """Three ranks, three pairs. Left: each begins with another pair, all wait in a circle. Right: one order."""
    figure, ax = canvas(10.0, 3.75)
    bottom = 0.85
    label(ax, 2.4, 3.45, "each begins with the pair to its right", size=11, bold=True)
    draw_tags(ax, 3, 0.2, 3.5, bottom, dict.fromkeys(range(3), 1.6))
    for rank, pair in WAITING.items():
        y = lane_y(rank, 3, bottom)
        box(ax, 1.6, y - 0.2, 1.3, 0.4, f"waits in {pair}", face="#fbe3e1", edge=RED, size=9.5)
    for rank in (0, 1):
        arrow(ax, (2.25, lane_y(rank, 3, bottom) - 0.2), (2.25, lane_y(rank + 1, 3, bottom) + 0.2), colour=RED)
    arrow(ax, (2.9, lane_y(2, 3, bottom)), (2.9, lane_y(0, 3, bottom)), colour=RED, bend=0.5)
    label(ax, 3.55, lane_y(1, 3, bottom), "for\nrank 0", size=9.5, ha="left", colour=RED)
    label(ax, 0.2, 0.38, "✗ 0 waits for 1, 1 for 2, 2 for 0", size=10.5, bold=True, ha="left", colour=RED)
    label(ax, 7.4, 3.45, "all go through the pairs in one order", size=11, bold=True)
    draw_tags(ax, 3, 5.0, 9.8, bottom, {})
    for k, pair in enumerate(((0, 1), (1, 2), (0, 2))):
        x = 6.3 + k * 1.2
        label(ax, x + 0.45, 3.02, f"{{{pair[0]}, {pair[1]}}}", size=10)
        high, low = lane_y(pair[0], 3, bottom) + 0.22, lane_y(pair[1], 3, bottom) - 0.22
        box(ax, x, low, 0.9, high - low, face=HIGHLIGHT)
        for rank in range(3):
            y = lane_y(rank, 3, bottom)
            if rank in pair:
                ax.plot([x + 0.45], [y], "o", color=INK, markersize=7, zorder=6)
            elif pair[0] < rank < pair[1]:
                label(ax, x + 0.45, y, "skips", size=9)
    label(ax, 5.0, 0.38, "✓ every pair meets", size=10.5, bold=True, ha="left", colour=GREEN)
    return figure


def draw_device_mesh() -> Figure:
    """Eight ranks in two rows and four columns: rank 5's row is its tensor-parallel group, its column the other."""
    return draw_mesh(None, 8, 4, 5)


def _ring_ledger() -> Ledger:
    """The true ledger of the chapter's ring all-reduce: twelve float64 numbers on four ranks."""
    return run_ranks(_ring_all_reduce, WORLD_SIZE).ledger


def _ring_all_reduce() -> None:
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(torch.ones(12, dtype=torch.float64).reshape(p, -1))
    for step in range(2 * (p - 1)):
        arrived = torch.empty_like(chunks[0])
        works = [dist.isend(chunks[(rank - step - 1) % p], dst=(rank + 1) % p), dist.irecv(arrived, src=(rank - 1) % p)]
        for work in works:
            work.wait()
        index = (rank - step - 2) % p
        chunks[index] = chunks[index] + arrived if step < p - 1 else arrived
