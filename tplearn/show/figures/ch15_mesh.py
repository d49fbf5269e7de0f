"""Eight devices as a mesh: batch down, model along, and in each cell its texts and its part of a weight."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes

from tplearn.show.mesh import TP_COLOUR
from tplearn.show.style import GREY, box, label

WIDE, HIGH, UNDER = 1.03, 0.55, 0.17  # a cell, and the room for a bracket under a row
PARTS = {1: "all", 2: "half", 4: "quarter", 8: "eighth"}
KV_MESHES = {"1x(4x2)": (1, 4, 2)}  # batch, kv, copy
DEVICES, TEXTS = 8, 8


@dataclass(frozen=True)
class Mesh:
    """batch × model devices; with `copies`, model is cut once more into kv × copies."""

    batch: int
    model: int
    copies: int = 1

    @staticmethod
    def of(name: str) -> Mesh:
        """From "2x4", batch × model, or "1x(4x2)", batch × (kv × copy). ValueError where it has not eight devices."""
        if name in KV_MESHES:
            batch, kv, copies = KV_MESHES[name]
            return Mesh(batch, kv * copies, copies)
        batch, _, model = name.partition("x")
        if not (batch.isdecimal() and model.isdecimal() and int(batch) * int(model) == DEVICES):
            works = ", ".join([f"{DEVICES // size}x{size}" for size in PARTS] + list(KV_MESHES))
            raise ValueError(f"mesh = {name!r} is no mesh of {DEVICES} devices; {works} are")
        return Mesh(int(batch), int(model))

    @property
    def name(self) -> str:
        """As the page writes it: "2×4", "1×(kv 4 × copy 2)"."""
        kv = f"(kv {self.model // self.copies} × copy {self.copies})"
        return f"{self.batch}×{self.model if self.copies == 1 else kv}"

    def texts(self, row: int) -> str:
        """The texts of a row's devices: "text 3", "texts 0, 1", "texts 0–3"."""
        each = TEXTS // self.batch
        first, last = row * each, (row + 1) * each - 1
        return f"text {first}" if each == 1 else f"texts {first}{', ' if each == 2 else '–'}{last}"


def paint_mesh(ax: Axes, left: float, top: float, mesh: Mesh, wide: float = WIDE) -> None:
    """The mesh with its name above `top` (inches); colour and hatch say the part of a weight, brackets who sums.

    A device's number is its place in the mesh, row by row; `wide` is its width. With copies, a cell tells its KV heads.
    """
    label(ax, left, top + 0.25, mesh.name, ha="left", bold=True, size=11)
    each = HIGH + (UNDER if mesh.model > 1 else 0)
    for row in range(mesh.batch):
        y = top - row * each - HIGH
        for column in range(mesh.model):
            part = PARTS[mesh.model] + (f" {column}" if mesh.model > 1 else "")
            kv, copy = divmod(column, mesh.copies)
            lines = (f"kv {kv}", f"copy {copy}") if mesh.copies > 1 else (mesh.texts(row), part)
            text = "\n".join((f"device {row * mesh.model + column}", *lines))
            box(ax, left + column * wide, y, wide - 0.06, HIGH - 0.03, text, rank=kv, size=9)
        if mesh.model > 1:
            _bracket(ax, left, left + mesh.model * wide - 0.06, y - 0.04)
    if mesh.model == 1:
        low = top - mesh.batch * each - 0.15
        label(ax, left, low, "groups of one", ha="left", size=9, colour=GREY)


def _bracket(ax: Axes, left: float, right: float, y: float) -> None:
    ax.plot([left, left, right, right], [y, y - 0.07, y - 0.07, y], color=TP_COLOUR, linewidth=1.8, zorder=3)
