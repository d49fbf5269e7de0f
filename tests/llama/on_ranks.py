"""What the tests run on ranks: in a file of its own, because a rank imports the file, and transformers is large."""

from pathlib import Path

import torch
from torch import Tensor

from tplearn.llama import Llama, LlamaConfig, generate
from tplearn.llama.checkpoint import Checkpoint
from tplearn.llama.loading import load
from tplearn.llama.tensors import sources
from tplearn.parallel import KVCache, partitions


def logits_and_text(folder: Path, dtype: torch.dtype, ids: Tensor, prompt: int) -> list[Tensor]:
    """Logits at once; in float64 also those of a prompt and then token by token, and 64 greedy tokens behind it."""
    model = Llama.from_pretrained(folder, dtype=dtype)
    with torch.inference_mode():
        whole = model(ids)
        if dtype == torch.float32:
            return [whole]
        caches = [KVCache(ids.shape[1]) for _ in model.layers]
        parts = [model(ids[:, :prompt], caches)]
        parts += [model(ids[:, position : position + 1], caches) for position in range(prompt, ids.shape[1])]
    return [whole, torch.cat(parts, dim=1), generate(model, ids[:, :prompt], 64, eos=())]


def sampled(folder: Path, ids: Tensor, seed: int, temperature: float, top_p: float) -> Tensor:
    return generate(Llama.from_pretrained(folder), ids, 30, temperature=temperature, top_p=top_p, seed=seed, eos=())


def shard(folder: Path) -> tuple[int, int, dict[str, Tensor]]:
    """Bytes read, bytes of this rank's parameters in the file's dtype, and every dense parameter."""
    config, checkpoint = LlamaConfig.from_folder(folder), Checkpoint(folder)
    with torch.device("meta"):
        model = Llama(config)
    load(model, sources(config, checkpoint), checkpoint, torch.float64, torch.device("cpu"))
    held = sum(rows.numel() for _, p, q in partitions(model) for _, rows in q.views(p)) * 4
    return (
        checkpoint.bytes_read,
        held,
        {name: partition.full_tensor(p.detach()) for name, p, partition in partitions(model)},
    )


def logits(folder: Path, ids: Tensor) -> Tensor:
    with torch.inference_mode():
        return Llama.from_pretrained(folder)(ids)


def tied(folder: Path) -> tuple[bool, bool]:
    model = Llama.from_pretrained(folder)
    return model.lm_head.weight is model.embed_tokens.weight, model.config.tie_word_embeddings


def resave(source: Path, target: Path, dtype: torch.dtype, max_file_bytes: int) -> None:
    Llama.from_pretrained(source, dtype=dtype).save_pretrained(target, max_file_bytes)


def greedy(folder: Path, ids: Tensor, new: int) -> Tensor:
    return generate(Llama.from_pretrained(folder), ids, new)
