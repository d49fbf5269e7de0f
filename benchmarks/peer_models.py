"""What benchmarks/load.py and generate.py share: a checkpoint of 254 million parameters, and transformers' own tensor
parallelism inside a rank."""

import logging
import os
import warnings
from pathlib import Path

import torch
import torch.distributed as dist

from tplearn.llama import Llama, LlamaConfig

CONFIG = LlamaConfig(
    hidden_size=1024,
    intermediate_size=2816,
    num_hidden_layers=16,
    num_attention_heads=16,
    num_key_value_heads=8,
    vocab_size=32_000,
    max_position_embeddings=2048,
)


def make_checkpoint(folder: Path) -> None:
    """Random float32 weights, 1.0 GB in one file."""
    torch.manual_seed(0)
    Llama(CONFIG).save_pretrained(folder)


def transformers_model(folder: Path, cut: bool) -> torch.nn.Module:
    """The same folder in transformers: over the ranks of the default group, or whole."""
    if cut:  # transformers asks torchrun's variables where it stands
        os.environ |= {name: str(dist.get_rank()) for name in ("RANK", "LOCAL_RANK")}
        os.environ |= {name: str(dist.get_world_size()) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")}
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    how = {"tp_plan": "auto"} if cut else {}
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **how).eval()
