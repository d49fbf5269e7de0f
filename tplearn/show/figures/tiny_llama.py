"""The picture of tiny-llama's training, from the training.json beside its weights."""

import json

from matplotlib.figure import Figure

from tplearn.llama import TINY_LLAMA
from tplearn.show.style import GREY, INK, canvas, label

LEFT, RIGHT, LOW, HIGH = 1.0, 8.3, 0.75, 3.6


def draw_losses() -> Figure:
    """The loss of tiny-llama falls over its training steps, and its bits a byte of held-out text below those of xz."""
    told = json.loads((TINY_LLAMA / "training.json").read_text())
    steps, losses, looks, xz = told["recipe"]["steps"], told["losses"], told["held_out"], told["xz_bits_per_byte"]
    figure, ax = canvas(9.8, 4.3)
    top = max(losses)

    def place(step: float, value: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * step / steps, LOW + (HIGH - LOW) * value / top

    each = steps / len(losses)
    curve = [place((number + 0.5) * each, loss) for number, loss in enumerate(losses)]
    ax.plot(*zip(*curve, strict=True), color=GREY, linewidth=1.2)
    points = [place(step, bits) for step, bits in looks]
    ax.plot(*zip(*points, strict=True), "o-", color=INK, linewidth=1.6, markersize=5)
    ax.plot(*zip(place(0, xz), place(steps, xz), strict=True), "--", color=INK, linewidth=1.2)
    label(ax, RIGHT + 0.1, curve[-1][1] + 0.1, "loss,\nnats a token", ha="left")
    label(
        ax, RIGHT + 0.1, points[-1][1] - 0.16, f"held-out text:\n{looks[-1][1]:.2f} bits a byte", ha="left", bold=True
    )
    label(ax, place(0.25 * steps, xz)[0], place(0, xz)[1] + 0.16, f"xz -9e: {xz:.2f} bits a byte", ha="left")
    for value in range(0, int(top) + 1, 2):
        label(ax, LEFT - 0.15, place(0, value)[1], str(value), ha="right")
    for step in (0, steps // 2, steps):
        label(ax, place(step, 0)[0], LOW - 0.25, f"{step:,}")
    label(ax, (LEFT + RIGHT) / 2, 0.2, f"steps of {told['recipe']['batch'] * told['recipe']['length']:,} tokens")
    ax.plot([LEFT, LEFT, RIGHT], [HIGH + 0.1, LOW, LOW], color=INK, linewidth=1.0)
    label(
        ax,
        LEFT,
        HIGH + 0.4,
        f"tiny-llama: {told['parameters'] / 1e6:.1f} million weights, cut over two ranks",
        size=11,
        bold=True,
        ha="left",
    )
    return figure
