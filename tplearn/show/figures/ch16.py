"""Figures of chapter 16: three layouts to choose from, a measured link, a roofline, a slow link, TP beside FSDP."""

import json
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.planning import ACCELERATORS, MODELS, bytes_sent, decode_time, fit_alpha_beta, prefill_time
from tplearn.planning.training_memory import layer_parameters
from tplearn.show.figures.ch13 import RECORDED
from tplearn.show.figures.ch16_explorer import paint_explorer
from tplearn.show.figures.ch16_links import LINKS, matmul_intensity
from tplearn.show.style import GREY, INK, RED, box, canvas, label

FITTED = 2**20  # bytes: up to here the line is fitted
MATRIX = (4096, 14336)  # up of Llama-3.1-8B: in, out
POINTS = {"1 token": 1, "16 tokens": 16, "256 tokens": 256, "4,096 tokens": 4096}
OFFERS = (("tp 16", 16), ("tp 8, 2 replicas", 8), ("tp 4, 4 replicas", 4))
RANKS = 8  # of TP or FSDP
FSDP_OPS = ("all_gather", "all_gather", "reduce_scatter")


def draw_three_offers() -> Figure:
    """Two nodes of eight GPUs, laid out in three ways: one group of 16, two of 8, four of 4. Which is the fastest?"""
    figure, ax = canvas(9.6, 3.75)
    for node in range(2):
        label(ax, 0.1, 2.55 - 1.3 * node, f"node {node}", size=9.5, colour=GREY, ha="left")
    for k, (name, tp) in enumerate(OFFERS):
        x = 0.85 + 2.95 * k
        label(ax, x + 1.27, 3.45, name, bold=True, size=11)
        for node in range(2):
            box(ax, x, 2.0 - 1.3 * node, 2.55, 1.12, face="white", edge=GREY, dashed=True)
        for gpu in range(16):
            node, place = divmod(gpu, 8)
            left, low = x + 0.1 + 0.6 * (place % 4), 2.58 - 1.3 * node - 0.48 * (place // 4)
            box(ax, left, low, 0.52, 0.42, str(gpu), rank=gpu // tp, size=9.5)
    asked = "one model of 70 B parameters: who answers soonest, and who writes the most?"
    label(ax, 4.95, 0.3, asked, size=11, colour=RED, bold=True)
    return figure


def draw_link() -> Figure:
    """All-reduces of two ranks, 1 KB to 64 MB, by gloo and shared memory: points, and lines fitted up to 1 MB."""
    told = json.loads((RECORDED / "links.json").read_text(encoding="utf-8"))
    return link_picture(told["bytes"], told["seconds"])


def link_picture(sizes: Sequence[int], seconds: Mapping[str, Sequence[float]]) -> Figure:
    """Times by size of up to two ways, and for each the line through every second size up to FITTED bytes."""
    figure = Figure(figsize=(8.6, 3.7), facecolor="white", layout="constrained")
    ax = figure.subplots()
    for (way, times), (marker, line) in zip(seconds.items(), (("o", "-"), ("s", "--")), strict=False):
        few = [place for place, size in enumerate(sizes) if size <= FITTED][::2]
        alpha, beta = fit_alpha_beta([sizes[k] for k in few], [times[k] for k in few])
        law = f"{way}: {alpha * 1e6:.0f} µs + {beta * 1e9:.2f} ns · n"
        ax.plot(sizes, [1e3 * (alpha + beta * n) for n in sizes], line, color=INK, linewidth=1.3, label=law)
        held = [k for k in range(len(sizes)) if k not in few]
        for places, face in ((few, "none"), (held, GREY)):
            ax.plot([sizes[k] for k in places], [1e3 * times[k] for k in places], marker, color=GREY, mfc=face)
    if sizes[-1] > FITTED:
        ax.axvline(FITTED, color=RED, linewidth=1.0, linestyle=":")
        ax.text(FITTED * 1.2, 0.012, "beyond 1 MB:\nnot fitted", fontsize=9.5, color=RED, va="bottom")
    ax.set(xscale="log", yscale="log")
    ticks = {2**10: "1 KB", 2**15: "32 KB", 2**20: "1 MB", 2**26: "64 MB"}
    ax.set_xticks([n for n in ticks if n <= sizes[-1]], [name for n, name in ticks.items() if n <= sizes[-1]])
    ax.minorticks_off()
    ax.set_title("ms of an all-reduce, 2 ranks (hollow: fitted; filled: held out)", fontsize=10, loc="left")
    _finished(ax, "bytes of the tensor")
    return figure


def draw_roofline() -> Figure:
    """The roofline of an H100: a slope that memory gives, a roof of 989 TFLOP/s, and a matmul of 1 to 4,096 tokens."""
    card, figure = ACCELERATORS["H100"], Figure(figsize=(8.2, 3.5), facecolor="white", layout="constrained")
    ax, ridge = figure.subplots(), card.peak_flops / card.memory_bandwidth
    ax.plot([0.5, ridge, 2e4], [0.5 * card.memory_bandwidth / 1e12, *[card.peak_flops / 1e12] * 2], color=INK)
    ax.axvline(ridge, color=GREY, linewidth=1.0, linestyle=":")
    ax.text(ridge * 1.15, 1.6, f"ridge: {ridge:.0f} FLOPs a byte", fontsize=9.5, color=GREY)
    ax.text(4, 35, "memory: 3.35 TB/s", fontsize=9.5, color=INK, ha="right")
    ax.text(1e4, 1200, "compute: 989 TFLOP/s", fontsize=9.5, color=INK, ha="center")
    for name, tokens in POINTS.items():
        flops = matmul_intensity(tokens, *MATRIX)
        y = min(card.peak_flops, flops * card.memory_bandwidth) / 1e12
        ax.plot([flops], [y], "o", color=RED)
        ax.text(flops * 1.2, y * 0.5, name, fontsize=9.5, color=RED)
    ax.set(xscale="log", yscale="log", ylim=(1, 2600), xlim=(0.5, 2e4))
    ax.minorticks_off()
    ax.set_title("TFLOP/s that a matmul with [4096, 14336] can reach on an H100", fontsize=10, loc="left")
    _finished(ax, "FLOPs a byte")
    return figure


def draw_slow_link() -> Figure:
    """By tp, on three links: a layer of a prompt, and a token of decode, which takes longer beyond a node of 8."""
    figure = Figure(figsize=(9.6, 3.5), facecolor="white", layout="constrained")
    panels, shape, tps = figure.subplots(1, 2), MODELS["Llama-3.1-70B"], (1, 2, 4, 8, 16)
    layers = shape.num_hidden_layers
    for (name, card), style in zip(LINKS.items(), ("o-", "s--", "x:"), strict=True):
        look = {"color": RED if name == "network alone" else INK, "label": name, "mfc": "none"}
        prompt = [prefill_time(shape, card, tp, 1, 2048).total / layers for tp in tps]
        token = [decode_time(shape, card, tp, 16, 2048).total for tp in tps]
        for ax, seconds in zip(panels, (prompt, token), strict=True):
            ax.plot(tps, [1e3 * one for one in seconds], style, **look)
    panels[0].set_title("ms of a layer, a prompt of 2,048 tokens", fontsize=10, loc="left")
    panels[1].set_title("ms of a token, 16 sequences", fontsize=10, loc="left")
    for ax in panels:
        ax.set(xscale="log", ylim=(0, None))
        ax.set_xticks(tps, map(str, tps))
        ax.minorticks_off()
        _finished(ax, "tp")
    panels[0].get_legend().remove()
    return figure


def draw_tp_or_fsdp() -> Figure:
    """Bytes that a rank sends for a layer of Llama-3.1-8B: TP's grow with the tokens, FSDP's stay; equal at 20,000."""
    figure = Figure(figsize=(8.6, 3.3), facecolor="white", layout="constrained")
    ax, shape, tokens = figure.subplots(), MODELS["Llama-3.1-8B"], [0, 40_000]
    activation = [4 * bytes_sent("all_reduce", 2 * n * shape.hidden_size, RANKS) / 1e9 for n in tokens]
    weights = sum(bytes_sent(op, 2 * layer_parameters(shape, 1), RANKS) for op in FSDP_OPS) / 1e9
    ax.plot(tokens, activation, color=INK, label="TP: 4 all-reduces of [tokens, hidden]")
    ax.plot(
        tokens, [weights] * 2, "--", color=INK, label="FSDP: 2 gathers of the weights,\n1 scatter of their gradients"
    )
    ax.set(xlim=(0, 40_000), ylim=(0, 2.4))
    ax.set_xticks([0, 10_000, 20_000, 30_000, 40_000], ["0", "10,000", "20,000", "30,000", "40,000"])
    ax.set_title("GB that one of 8 ranks sends for a layer, forward and backward", fontsize=10, loc="left")
    _finished(ax, "tokens of a micro-batch")
    return figure


def draw_cost_explorer() -> Figure:
    """Llama-3.1-70B writes 64 texts on H100: a roofline, and where the time of a token goes for tp 1 to 32."""
    figure = Figure(facecolor="white")
    paint_explorer(figure, model="Llama-3.1-70B", card="H100", phase="decode", batch=64, tokens=2048, tp=8)
    return figure


def _finished(ax: Axes, below: str) -> None:
    """Axes as in all charts: no frame, and names beside where there are any."""
    ax.set_xlabel(below, color=GREY)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
