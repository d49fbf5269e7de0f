"""Prefill and greedy decode of a 254 M model on 2 cores, tplearn against transformers: `python benchmarks/generate.py`.

A prompt of 512 tokens, then one token at a time, float32, one thread a rank. All contestants of a table run in one
session, in turns of a few tokens; a number is a median on rank 0. Where one process works alone the others wait.

Why not nearer to the limit: norms, rotary positions and the interpreter's own work for some thirty operators a layer
are not cut, so every rank does all of it, and four ranks on two cores do it twice on each core. And the fewer columns a
row-parallel shard has, the slower one token's product reads it row by row: the last two lines measure that, and what
`lay_out_for_decoding`, which `tplearn generate` calls after loading, makes of it.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from peer_models import CONFIG, make_checkpoint, transformers_model
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from tplearn import run_ranks
from tplearn.llama import Llama, lay_out_for_decoding
from tplearn.parallel import KVCache, transport
from tplearn.parallel.place import Place

PROMPT, TOKENS, BURST, ROUNDS = 512, 32, 8, 6
Step = Callable[[Tensor], Tensor]  # new tokens [1, n] -> logits of the last one


def tplearn_text(model: Llama) -> Step:
    """A text that begins; each call goes on with it."""
    lay_out_for_decoding(model)
    caches = [KVCache(PROMPT + TOKENS) for _ in model.layers]
    return lambda new: model(new, caches, last=True)[:, -1]


def transformers_text(model: torch.nn.Module) -> Step:
    """The same with transformers' own cache."""
    import transformers

    cache = transformers.DynamicCache(config=model.config)
    return lambda new: model(new, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]


class Text:
    """A prompt, then one token after the other; how long each took."""

    def __init__(self, step: Step) -> None:
        self.step, self.new, self.taken = step, torch.arange(PROMPT)[None] % 1000, []

    @torch.inference_mode()
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            start = time.perf_counter()
            self.new = self.step(self.new).argmax(-1, keepdim=True)
            self.taken.append(time.perf_counter() - start)


def turns(contestants: dict[str, tuple[Callable[[], Step], int, bool, bool]]) -> dict[str, tuple[float, float]]:
    """Medians of (prefill, decode step). A contestant: (begins a text, threads, alone on rank 0, by shared memory).

    In turns all read the prompt, and in turns they write some tokens, again and again: what else happens on the
    machine meets all alike.
    """
    prefills: dict[str, list[float]] = {name: [] for name in contestants}
    decodes: dict[str, list[float]] = {name: [] for name in contestants}
    limit = transport.LIMIT
    for counts in (False, *[True] * ROUNDS):  # one round to warm up
        texts = {name: Text(begin()) for name, (begin, *_) in contestants.items() if takes_part(contestants[name])}
        for steps in (1, *[BURST] * (TOKENS // BURST)):
            for name, (_, threads, _, shared) in contestants.items():
                dist.barrier()
                torch.set_num_threads(threads)
                transport.LIMIT = limit if shared else 0
                if name in texts:
                    texts[name].go_on(steps)
        for name, text in texts.items():
            if counts:
                prefills[name].append(text.taken[0])
                decodes[name] += text.taken[1:]
    return {name: (statistics.median(prefills[name]), statistics.median(decodes[name])) for name in texts}


def takes_part(contestant: tuple[Callable[[], Step], int, bool, bool]) -> bool:
    """Whether this rank does: those that work alone do so on rank 0."""
    _, _, alone, _ = contestant
    return not alone or dist.get_rank() == 0


def against_transformers(folder: Path) -> tuple[dict[str, tuple[float, float]], float, float]:
    """Both libraries at tp 2 and alone; and the two parts of the limit (see `limits`)."""
    alone = [dist.new_group([rank]) for rank in range(2)][dist.get_rank()]
    cut, theirs = Llama.from_pretrained(folder), transformers_model(folder, cut=True)
    contestants = {
        "tplearn, tp 2": (lambda: tplearn_text(cut), 1, False, True),
        "tplearn, tp 2, gloo only": (lambda: tplearn_text(cut), 1, False, False),
        "transformers, tp 2": (lambda: transformers_text(theirs), 1, False, True),
    }
    if dist.get_rank() == 0:
        whole, their_whole = Llama.from_pretrained(folder, alone), transformers_model(folder, cut=False)
    else:
        whole = their_whole = None
    for threads in (1, 2):
        word = f"alone, {threads} thread{'s' if threads > 1 else ''}"
        contestants[f"tplearn {word}"] = (lambda: tplearn_text(whole), threads, True, True)
        contestants[f"transformers {word}"] = (lambda: transformers_text(their_whole), threads, True, True)
    return turns(contestants), *limits(cut)


def limits(model: Llama) -> tuple[float, float]:
    """Seconds that a decode step cannot go below: to read a rank's weights once, and to exchange what it must."""
    torch.set_num_threads(1)
    numbers = torch.ones(1 << 27)  # 512 MB, far more than a cache holds
    read = min(timed(numbers.sum) for _ in range(5)) / numbers.nbytes
    weights = sum(parameter.nbytes for name, parameter in model.named_parameters() if "embed" not in name)
    message = torch.ones(1, 1, CONFIG.hidden_size)
    exchanges = [timed(lambda: transport.carry_all_reduce(message, "sum", Place.of())) for _ in range(500)]
    return read * weights, statistics.median(exchanges) * (2 * CONFIG.num_hidden_layers + 1)


@torch.inference_mode()
def reading_speed(ranks: int, by_column: bool) -> float:
    """GB/s at which one token's product reads o_proj's weights, cut over so many ranks; one thread."""
    torch.set_num_threads(1)
    rows, columns = CONFIG.hidden_size, CONFIG.hidden_size // ranks
    x, number = torch.ones(1, 1, columns), 64 * ranks  # 256 MB, far more than a cache holds
    weights = torch.ones(number, columns, rows).mT if by_column else torch.ones(number, rows, columns)
    return weights.nbytes / 1e9 / min(timed(lambda: [F.linear(x, weight) for weight in weights]) for _ in range(5))


def timed(work: Callable[[], object]) -> float:
    """Seconds on this rank."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def four_on_two(folder: Path) -> dict[str, tuple[float, float]]:
    """Four ranks on two cores against one."""
    alone = [dist.new_group([rank]) for rank in range(4)][dist.get_rank()]
    cut, whole, theirs = Llama.from_pretrained(folder), None, None
    if dist.get_rank() == 0:
        whole, theirs = Llama.from_pretrained(folder, alone), transformers_model(folder, cut=False)
    return turns(
        {
            "tplearn, tp 4 on 2 cores": (lambda: tplearn_text(cut), 1, False, True),
            "tplearn alone, 1 thread": (lambda: tplearn_text(whole), 1, True, True),
            "transformers alone, 1 thread": (lambda: transformers_text(theirs), 1, True, True),
        }
    )


def rows(taken: dict[str, tuple[float, float]]) -> Iterator[tuple[str, str, str]]:
    """For a table."""
    for name, (prefill, decode) in taken.items():
        yield name, f"{prefill * 1000:.0f}", f"{decode * 1000:.1f}"


def main() -> None:
    """Print the tables and the ratios that have an aim."""
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(Path(folder))
        taken, read, exchange = run_ranks(against_transformers, 2, Path(folder), record=False, timeout=1200).values[0]
        four = run_ranks(four_on_two, 4, Path(folder), record=False, timeout=600).values[0]
    for part in (taken, four):
        table = Table("contestant", f"prefill of {PROMPT} tokens, ms", "decode, ms a token")
        for row in rows(part):
            table.add_row(*row)
        console.print(table)
    prefill, decode = ({name: times[part] for name, times in taken.items()} for part in (0, 1))
    best = min(prefill[f"{name} alone, 2 threads"] for name in ("tplearn", "transformers"))
    own, limit, alone = decode["tplearn, tp 2"], read + exchange, "tplearn alone, 1 thread"
    of_four = four["tplearn, tp 4 on 2 cores"][1]
    ratios = {
        "prefill / fastest single process on 2 threads (aim: at most 1.05×)": prefill["tplearn, tp 2"] / best,
        "decode: transformers tp 2 / tplearn tp 2 (aim: at least 2.2×)": decode["transformers, tp 2"] / own,
        "decode: tplearn on 1 thread / tp 2 (aim: at least 1.4×; 2 is the limit)": decode[alone] / own,
        "decode: transformers on 1 thread / tp 2 (aim: at least 1.4×)": decode["transformers alone, 1 thread"] / own,
        "decode: gloo only / shared memory": decode["tplearn, tp 2, gloo only"] / own,
        "decode at tp 4 on 2 cores: tplearn on 1 thread / tp 4 (aim: at least 1×)": four[alone][1] / of_four,
        "decode at tp 4 on 2 cores: transformers on 1 thread / tp 4": four["transformers alone, 1 thread"][1] / of_four,
        f"decode / limit ({read * 1000:.1f} ms to read the weights, {exchange * 1000:.1f} ms to exchange)": own / limit,
    }
    for name, ratio in ratios.items():
        console.print(f"{ratio:5.2f}×  {name}")
    for by_column, word in ((False, "row by row"), (True, "column by column")):
        speeds = ", ".join(f"{reading_speed(ranks, by_column):.1f} ({ranks})" for ranks in (1, 2, 4))
        console.print(f"GB/s, o_proj's weights read {word} (ranks that it is cut over): {speeds}")


if __name__ == "__main__":
    sys.exit(main())
