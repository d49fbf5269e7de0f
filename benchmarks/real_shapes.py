"""Published shapes with random bfloat16 weights, tp 2, against transformers: `python benchmarks/real_shapes.py`.

Llama-3.2-1B and Qwen2.5-0.5B: each is written once, loaded by both (as float32, so that rounding does not hide a
mistake), compared on one text, and asked for a few tokens in bfloat16. Needs about 12 GB of memory and 3 GB of disk.
"""

import resource
import sys
import tempfile
from pathlib import Path

import torch
from peer_models import transformers_model
from rich.console import Console
from rich.table import Table
from torch import Tensor

from tplearn import run_ranks
from tplearn.llama import Llama, LlamaConfig, RopeScaling, generate
from tplearn.llama.agreement import agreement

LLAMA = LlamaConfig(
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=16,
    num_attention_heads=32,
    num_key_value_heads=8,
    vocab_size=128_256,
    max_position_embeddings=131_072,
    rms_norm_eps=1e-5,
    rope_theta=500_000.0,
    rope_scaling=RopeScaling(32.0, 1.0, 4.0, 8192),
    tie_word_embeddings=True,
)
QWEN = LlamaConfig(
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    vocab_size=151_936,
    max_position_embeddings=32_768,
    rope_theta=1_000_000.0,
    tie_word_embeddings=True,
    qkv_bias=True,
)
TP, TOKENS, NEW = 2, 64, 16


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
    import torch.distributed as dist

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
    for name, config in {"Llama-3.2-1B": LLAMA, "Qwen2.5-0.5B": QWEN}.items():
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home)
            (parameters,) = run_ranks(write, 1, folder, config, record=False, timeout=600).values
            ids = torch.randint(config.vocab_size, (1, TOKENS), generator=torch.Generator().manual_seed(1))
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
