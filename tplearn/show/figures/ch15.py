"""Figures of chapter 15: weights with annotations, eight devices on four meshes, copies of KV heads, three levels."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.show.figures.ch15_ledger import TINY
from tplearn.show.figures.ch15_levels import paint_levels
from tplearn.show.figures.ch15_mesh import Mesh, paint_mesh
from tplearn.show.figures.layer_rows import paint_layer
from tplearn.show.style import GREEN, GREY, INK, RED, box, canvas, label
from tplearn.show.widgets.compiled_mesh import draw, recorded

COLUMN, ROW = 'P("model", None)', 'P(None, "model")'
CELL = 0.56  # of figure ch15_kv_copy: the width of a device, in inches


def draw_annotated() -> Figure:
    """One layer whose seven weights say how they are cut and whose norms are whole: of the arrows nothing is said."""
    figure, ax = canvas(10.4, 4.75)
    paint_layer(ax, COLUMN, ROW, norm="P()")
    label(ax, 0.15, 0.18, "grey: cut along the axis “model”; white, P(): whole on each device", ha="left", size=9.5)
    label(ax, 10.25, 0.18, "where are the all-reduces?", ha="right", bold=True)
    return figure


def draw_meshes() -> Figure:
    """Eight devices on the meshes 1×8, 2×4, 4×2 and 8×1: each one's texts and part of a weight, and who sums."""
    figure, ax = canvas(10.4, 5.55)
    for mesh, x, y in (("1x8", 0.15, 5.0), ("2x4", 0.15, 3.4), ("4x2", 5.2, 3.4), ("8x1", 8.95, 5.0)):
        paint_mesh(ax, x, y, Mesh.of(mesh))
    label(ax, 0.15, 1.15, "bracket: the group of an all-reduce, a row of the mesh", ha="left")
    label(ax, 0.15, 0.85, "same hatch in one mesh: the same part of a weight", ha="left")
    label(ax, 0.15, 0.3, "batch × model, 8 texts", ha="left", bold=True)
    return figure


def draw_kv_copy() -> Figure:
    """Four KV heads on eight devices: one axis of 8 cuts each head in two, a mesh kv 4 × copy 2 copies whole heads."""
    figure, ax = canvas(10.4, 3.75)
    for y, text in ((2.62, "device"), (2.17, "query head"), (1.52, "KV head")):
        label(ax, 0.12, y, text, ha="left")
    for left, copies in ((1.15, False), (5.85, True)):
        _kv_devices(ax, left, copies)
    label(ax, 1.15, 3.5, "one axis, model 8", ha="left", bold=True, size=11)
    label(ax, 5.85, 3.5, "two axes, kv 4 × copy 2", ha="left", bold=True, size=11)
    label(ax, 1.15, 3.15, 'q, k, v: P("model", None)', ha="left", mono=True, size=9)
    label(ax, 5.85, 3.15, 'q: P(("kv", "copy"), None)   k, v: P("kv", None)', ha="left", mono=True, size=9)
    return figure


def _kv_devices(ax: Axes, left: float, copies: bool) -> None:
    """A column for each device, a bracket over the two that share a KV head, and what attention then needs."""
    for device in range(8):
        x, kv = left + device * CELL, device // 2
        label(ax, x + CELL / 2, 2.62, str(device))
        box(ax, x + 0.03, 1.98, CELL - 0.06, 0.38, f"q{device}", rank=kv, size=9.5)
        text = f"kv{kv}" if copies else f"½\nkv{kv}"
        box(
            ax, x + 0.03, 1.25, CELL - 0.06, 0.55, text, rank=kv, size=9, dashed=not copies, edge=INK if copies else RED
        )
    for kv in range(4):
        x = left + 2 * kv * CELL
        ax.plot([x + 0.06, x + 0.06, x + 1.06, x + 1.06], [1.15, 1.05, 1.05, 1.15], color=GREY, linewidth=1.2)
        label(ax, x + 0.56, 0.88, "whole: 2×" if copies else "cut in 2", size=9, colour=GREY)
    words = "✓ each query head finds its KV head at home" if copies else "✗ heads lie across devices: they must be sent"
    label(ax, left, 0.5, words, ha="left", bold=True, colour=GREEN if copies else RED, size=9.5)
    ops = {
        op: counts[0] for op, counts in recorded()[TINY]["meshes"]["1x(4x2)" if copies else "1x8"]["forward"].items()
    }
    sums, others = ops["all_reduce"], sum(ops.values()) - ops["all_reduce"]
    told = f"{TINY}, forward: {sums} all-reduces" + (f" and {others} others" if others else "")
    label(ax, left, 0.2, told, ha="left", size=9.5)


def draw_levels() -> Figure:
    """Three levels: mark weights, write endings that a type checker asks for, or write f and g and every message."""
    figure, ax = canvas(10.4, 4.6)
    paint_levels(ax)
    return figure


def draw_mesh_picker() -> Figure:
    """Qwen2.5-7B on a mesh 1×8, where layers by hand refuse 28 query heads: the compiler cuts it, and what it costs."""
    figure = Figure(facecolor="white")
    draw(figure, model="Qwen2.5-7B", mesh="1x8", phase="forward")
    return figure
