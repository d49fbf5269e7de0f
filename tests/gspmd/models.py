"""Small model folders to cut over meshes, and what tplearn's own Llama makes of them in one process."""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.llama.folders import write_model
from tplearn.llama import TINY_LLAMA, Llama, LlamaConfig

MESHES = [(2, 4), (1, 8), (4, 2), (8, 1)]  # batch, model
BATCH, SEQ = 8, 32


def write_tiny(folder: Path, layers: int) -> Path:
    """The first layers of tiny-llama."""
    config = json.loads((TINY_LLAMA / "config.json").read_text()) | {"num_hidden_layers": layers}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(TINY_LLAMA / "model.safetensors")
    above = [name for name in tensors if (m := re.search(r"layers\.(\d+)\.", name)) and int(m[1]) >= layers]
    save_file({name: tensors[name] for name in set(tensors) - set(above)}, folder / "model.safetensors")
    return folder


def write_qwen2(folder: Path) -> Path:
    write_model(folder, "qwen2", vocab_size=131, num_attention_heads=8, tie_word_embeddings=True)
    return folder


def texts(config: LlamaConfig, seed: int = 0) -> Tensor:
    """[8, 32] words; the last ones of the vocabulary are among them."""
    ids = torch.randint(config.vocab_size, (BATCH, SEQ), generator=torch.Generator().manual_seed(seed))
    ids[:, -1] = torch.arange(config.vocab_size - BATCH, config.vocab_size)
    return ids


def due_logits(folder: Path, ids: Tensor, dtype: torch.dtype) -> Tensor:
    """Of tplearn's Llama in one process."""
    with torch.no_grad():
        return Llama.from_pretrained(folder, dtype=dtype)(ids)
