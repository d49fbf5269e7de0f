"""Does the cost model predict tplearn itself? Decode on 1, 2 and 4 ranks: `python benchmarks/cost.py`.

One session does all of it, in turns: what else happens on the machine meets both sides alike. Three things are measured
that are not the model's decode, each on 1, 2 and 4 ranks at once: an all-reduce of 1 KB to 1 MB (α and β), one token's
products with more weights than a cache holds (the memory's bandwidth), and a decode step of a model of the same layers
that is hardly wider than one head (what a layer takes that no rank divides). `tplearn.planning.decode_time` adds them
up. Then a random Llama of 230 MB in float32 decodes. One thread a rank; on 2 cores, 4 ranks share.

α is measured as decode meets it: each rank comes from products of its own, so one waits for the other. In a loop of
all-reduces alone it is a quarter of that or less, where neighbours take cores away.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
import torch.distributed as dist
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig, lay_out_for_decoding
from tplearn.parallel import KVCache, transport
from tplearn.parallel.place import Place
from tplearn.planning import ACCELERATORS, Accelerator, bytes_sent, decode_time, fit_alpha_beta

CONFIG = LlamaConfig(768, 2048, 8, 12, 4, vocab_size=4096)
NARROW = LlamaConfig(16, 16, 8, 4, 4, vocab_size=16, head_dim=4)
FLOAT = 4  # bytes
TPS, ROUNDS, STEPS, CONTEXT = (1, 2, 4), 16, 4, 64
SIZES, MEETINGS = [4**k for k in range(5, 11)], 8
Work = Callable[[], object]


def timed(work: Work) -> float:
    """Seconds on this rank."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Text:
    """A prompt that is read, and then one token after the other."""

    def __init__(self, model: Llama) -> None:
        lay_out_for_decoding(model)
        self.model, self.caches = model, [KVCache(CONTEXT + 2 * ROUNDS * STEPS) for _ in model.layers]
        self.new = self(torch.arange(CONTEXT)[None] % 16)

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.model(tokens, self.caches, last=True)[:, -1].argmax(-1, keepdim=True)

    def go_on(self) -> None:
        """STEPS tokens more."""
        for _ in range(STEPS):
            self.new = self(self.new)


def works_of(tp: int, rank: int, group: dist.ProcessGroup) -> dict[str, Work]:
    """What is timed on the first tp ranks, a group. All ranks call this; the others get nothing to do."""
    alone = [dist.new_group([one]) for one in range(max(TPS))][rank]
    if rank >= tp:
        return {}
    wide, narrow = Text(Llama(CONFIG, group)), Text(Llama(NARROW, alone))
    inputs, place = torch.ones(1, 1, CONFIG.hidden_size), Place.of(group)
    weights = torch.ones(48, CONFIG.intermediate_size // tp, CONFIG.hidden_size)  # 302 MB over tp
    works: dict[str, Work] = {
        "read": lambda: [F.linear(inputs, weight) for weight in weights],
        "narrow": narrow.go_on,
        "decode": wide.go_on,
    }
    if tp > 1:
        share = weights[: 2 * MEETINGS].unflatten(0, (MEETINGS, 2))  # about half a layer between two all-reduces

        def meet(message: Tensor | None) -> None:
            for first, second in share:
                F.linear(inputs, first), F.linear(inputs, second)
                if message is not None:
                    transport.carry_all_reduce(message, "sum", place)

        works["products"] = partial(meet, None)
        for size in SIZES:
            works[f"all_reduce {size}"] = partial(meet, torch.ones(size // FLOAT))
    return works


@torch.inference_mode()
def measure() -> dict[int, dict[str, float]]:
    """Seconds of each work, by tp, in turns over all of them."""
    torch.set_num_threads(1)
    groups = {tp: dist.new_group(list(range(tp))) for tp in TPS}
    works = {tp: works_of(tp, dist.get_rank(), group) for tp, group in groups.items()}
    taken: dict[int, dict[str, list[float]]] = {tp: {name: [] for name in works[tp]} for tp in TPS}
    for counts in (False, *[True] * (ROUNDS - 1)):  # one round to warm up
        for tp in TPS:
            dist.barrier()
            for name, work in works[tp].items():
                dist.barrier(groups[tp])  # so that no work waits for the one before
                seconds = timed(work)
                if counts:
                    taken[tp][name].append(seconds)
    return {tp: {name: statistics.median(all_) for name, all_ in by_name.items()} for tp, by_name in taken.items()}


def machine(tp: int, seconds: dict[str, float]) -> Accelerator:
    """This machine when tp ranks work, as the cost model sees it."""
    read = 48 * (CONFIG.intermediate_size // tp) * CONFIG.hidden_size * FLOAT / seconds["read"]
    found = replace(
        ACCELERATORS["A100"],
        name="this machine",
        memory_bandwidth=read,
        memory_fraction=1.0,
        peak_flops=1e30,  # one token's products wait for the memory
        layer_seconds=seconds["narrow"] / STEPS / NARROW.num_hidden_layers,
    )
    if tp == 1:
        return found
    meetings = [(seconds[f"all_reduce {size}"] - seconds["products"]) / MEETINGS for size in SIZES]
    alpha, beta = fit_alpha_beta(SIZES, [max(meeting, 1e-6) for meeting in meetings])
    # decode_time sends bf16; float32 is twice as much, which is half the bandwidth
    bandwidth = bytes_sent("all_reduce", 1, tp) / max(beta, 1e-12) / 2
    return replace(found, node_alpha=alpha, node_bandwidth=bandwidth, link_fraction=1.0)


def main() -> None:
    """Print what was fitted, what is predicted and measured, and the median error."""
    console = Console(width=120)
    measured = run_ranks(measure, max(TPS), record=False, timeout=1200).values[0]
    fits = Table("ranks", "reads, GB/s a rank", "a layer, µs", "α, µs", "β, ns/B")
    table = Table("tp", "weights", "KV cache", "layers", "collectives", "predicted, ms", "measured, ms", "error")
    errors = []
    for tp in TPS:
        card = machine(tp, measured[tp])
        parts = decode_time(CONFIG, card, tp, 1, CONTEXT + ROUNDS * STEPS // 2, FLOAT, FLOAT)
        real = measured[tp]["decode"] / STEPS
        errors.append(parts.total / real - 1)
        line = [card.node_alpha * 1e6, bytes_sent("all_reduce", 1, tp) / card.node_bandwidth / 2 * 1e9]
        shown = [f"{number:.2f}" for number in line] if tp > 1 else ["", ""]
        fits.add_row(str(tp), f"{card.read_bandwidth / 1e9:.1f}", f"{card.layer_seconds * 1e6:.0f}", *shown)
        summands = (parts.weights, parts.kv_cache, parts.layers, parts.collectives, parts.total, real)
        table.add_row(str(tp), *(f"{second * 1e3:.2f}" for second in summands), f"{errors[-1]:+.0%}")
    console.print(fits)
    console.print(table)
    console.print(f"median error {statistics.median(map(abs, errors)):.0%} (aim: at most 20 %)")


if __name__ == "__main__":
    sys.exit(main())
