"""Published shapes with random bfloat16 weights, tp 2, against transformers: `python benchmarks/real_shapes.py`.

Llama-3.2-1B and Qwen2.5-0.5B: each is written once, loaded by both (as float32, so that rounding does not hide a
mistake), compared on one text, and asked for a few tokens in bfloat16. Needs about 12 GB of memory and 3 GB of disk.
"""

import resource
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from peer_models import transformers_model
from rich.console import Console
from rich.table import Table
from torch import Tensor

from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig, generate
from tplearn.llama.agreement import agreement
from tplearn.planning.models import read_configs

NAMES = ("Llama-3.2-1B", "Qwen2.5-0.5B")
TP, TOKENS, NEW = 2, 64, 16


def public_config(name: str) -> LlamaConfig:
    """The sizes that a model's public config.json has."""
    return LlamaConfig.from_fields(read_configs()[name])


def write(folder: Path, config: LlamaConfig) -> int:
    """Random weights in the dtype that such checkpoints have; returns their number."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model = Llama(config)
    model.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


@torch.inference_mode()
def ours(folder: Path, ids: Tensor) -> tuple[Tensor | None, Tensor, float]:
    """Logits in float32, tokens in bfloat16, and the largest memory of this process in GB."""
    logits = Llama.from_pretrained(folder)(ids)
    text = generate(Llama.from_pretrained(folder, dtype=torch.bfloat16), ids[:, :8], NEW, eos=())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (logits if dist.get_rank() == 0 else None), text, peak


@torch.inference_mode()
def theirs(folder: Path, ids: Tensor) -> Tensor:
    """transformers' logits in float32, in one process."""
    return transformers_model(folder, cut=False)(ids).logits


def main() -> None:
    """Print one row for each shape."""
    table = Table(
        "shape", "parameters", "max |Δlogit| / max |logit|", "PCC", "top-1", "top-100", "GB a rank", "same text"
    )
    for name in NAMES:
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home)
            (parameters,) = run_ranks(write, 1, folder, public_config(name), record=False, timeout=600).values
            vocab_size = LlamaConfig.from_folder(folder).vocab_size
            ids = torch.randint(vocab_size, (1, TOKENS), generator=torch.Generator().manual_seed(1))
            (logits, text, first), (_, other, second) = run_ranks(
                ours, TP, folder, ids, record=False, timeout=600
            ).values
            (due,) = run_ranks(theirs, 1, folder, ids, record=False, timeout=600).values
        judged = agreement(logits, due)
        difference = judged.max_difference / due.abs().max().item()
        scores = (f"{difference:.1e}", f"{judged.pcc:.9f}", f"{judged.top_1:.0%}", f"{judged.top_100:.1%}")
        peak = f"{max(first, second):.1f}"
        table.add_row(name, f"{parameters:,}", *scores, peak, "yes" if torch.equal(text, other) else "NO")
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
