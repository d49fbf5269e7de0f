"""Record chapter 16's links into links.json: `python figures/recorded/links.py`, about a minute.

Two ranks all-reduce 1 KB to 64 MB, by gloo and by the memory that they share, all sizes in turns. Then a Llama's block
reads 512 tokens, cut over the two: how much of its time do its two all-reduces in shared memory take, and how fast does
a core multiply? Whatever else the machine does can only add to a time, so the shortest counts.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn import functional as F

from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig, rope
from tplearn.parallel import reduce_from_group

SIZES = [2**k for k in range(10, 27)]  # bytes
SMALL, FEW, MANY = 2**20, 8, 40  # up to SMALL a size is measured MANY times, above it FEW
CONFIG = LlamaConfig(1024, 2816, 1, 16, 8, vocab_size=64)
TOKENS, CALLS = 512, 4


def seconds_of(work: Callable[[], object], calls: int = 1) -> float:
    """Of one call among so many. One before them lets the ranks meet: who comes first to a barrier leaves it late."""
    dist.barrier()
    work()
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


@torch.inference_mode()
def all_reduces() -> dict[str, list[float]]:
    """{"gloo" or "shared memory": seconds by size}."""
    torch.set_num_threads(1)
    messages = {size: torch.ones(size // 4) for size in SIZES}
    ways = {"gloo": dist.all_reduce, "shared memory": reduce_from_group}
    taken = {way: {size: [] for size in SIZES} for way in ways}
    for turn in range(MANY + 2):  # two to warm up
        for size in (size for size in SIZES if size <= SMALL or turn < FEW + 2):
            for way, run in ways.items():
                seconds = seconds_of(partial(run, messages[size]), CALLS)
                if turn >= 2:
                    taken[way][size].append(seconds)
                messages[size].fill_(1.0)
    return {way: [min(times) for times in by_size.values()] for way, by_size in taken.items()}


@torch.inference_mode()
def block() -> tuple[float, float]:
    """The two all-reduces' share of a block's forward pass at tp 2, and FLOP/s of a rank in the gate's product."""
    torch.set_num_threads(1)
    model, x = Llama(CONFIG), torch.randn(1, TOKENS, CONFIG.hidden_size)
    cos, sin = rope.tables(model.frequencies, 0, TOKENS, x)
    weight = torch.randn(CONFIG.intermediate_size // 2, CONFIG.hidden_size)
    works = (
        lambda: model.layers[0](x, cos, sin),
        lambda: (reduce_from_group(x), reduce_from_group(x)),
        lambda: F.linear(x, weight),
    )
    turns = [[seconds_of(work) for work in works] for _ in range(MANY)]
    whole, sums, product = map(min, zip(*turns, strict=True))
    return sums / whole, 2 * TOKENS * weight.numel() / product


def record() -> dict[str, object]:
    """What `links.json` holds, measured now."""
    seconds = run_ranks(all_reduces, 2, record=False, timeout=600).values[0]
    share, rate = run_ranks(block, 2, record=False, timeout=600).values[0]
    return {
        "bytes": SIZES,
        "seconds": {way: [float(f"{one:.3g}") for one in times] for way, times in seconds.items()},
        "share of a block": round(share, 4),
        "GFLOP/s": round(rate / 1e9, 1),
    }


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")
