"""`tplearn train`: a tokenizer and a Llama from text, on tensor-parallel ranks, into a Hugging Face folder."""

import json
import lzma
import math
import os
import platform
from dataclasses import asdict, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tplearn.commands.group import number_of_ranks, on_ranks, own_device, require_device
from tplearn.commands.options import require, require_cut, require_seed
from tplearn.commands.progress import progress, terminal
from tplearn.llama import LlamaConfig
from tplearn.llama.corpus import END, files_below, standard_library, token_stream, train_tokenizer
from tplearn.llama.files import CONFIG, GENERATION, INDEX, SINGLE, TOKENIZER, there
from tplearn.llama.model import Llama
from tplearn.llama.train import Recipe, bits_per_byte, train
from tplearn.parallel.partition import partitions

# Eight heads, so that it can be cut over eight ranks; 3.2 million parameters.
TINY = LlamaConfig(
    hidden_size=192,
    intermediate_size=512,
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=4,
    vocab_size=4096,
    max_position_embeddings=256,
    tie_word_embeddings=True,
    bos_token_id=0,
    eos_token_id=(0,),
)
TOKENIZER_CLASS, TRAINING = "tokenizer_config.json", "training.json"
WRITTEN = (CONFIG, GENERATION, SINGLE, INDEX, TOKENIZER, TOKENIZER_CLASS, TRAINING)
LOOKS = 10  # at the held-out texts, during training
EVERY = 10  # steps that one number of the loss curve stands for


def train_folder(
    out: Path, tp: int | None, data: Path | None, config: LlamaConfig, recipe: Recipe, device: str = "auto"
) -> dict:
    """Train and write everything into `out`; returns what training.json holds.

    Raises ValueError, before a rank starts, where `out` cannot be written or already holds a model, there is too little
    text, or the model cannot be cut over so many ranks.
    """
    require_device(device)
    require("length", recipe.length, recipe.length <= config.max_length, f"up to {config.limit} work")
    ranks = number_of_ranks(tp, "tp")
    require_cut(config, ranks, f"--tp {tp}" if tp else "torchrun")
    _require_new(out)
    texts, held = standard_library() if data is None else _hold_out(files_below(data))
    tokenizer = train_tokenizer(texts, config.vocab_size)
    stream = token_stream(tokenizer, texts)
    enough = f"the text has {len(stream)} tokens; shorter windows work, or more text"
    require("length", recipe.length, recipe.length < len(stream), enough)
    config = replace(config, vocab_size=tokenizer.get_vocab_size())
    _make(out)
    return on_ranks(_on_ranks, ranks, device, out, stream, held, tokenizer.to_str(), config, recipe, terminal())


def recipe_of(steps: int, batch: int, length: int, seed: int) -> Recipe:
    """From the options of the command. Raises ValueError in their words."""
    for option, value in (("steps", steps), ("batch", batch), ("length", length)):
        require(option, value, value >= 1, "numbers from 1 work")
    require_seed(seed)
    return Recipe(steps=steps, batch=batch, length=length, seed=seed)


def _require_new(out: Path) -> None:
    """Raises ValueError where writing into `out` would cost what it holds."""
    if any(there(out / name) for name in WRITTEN):
        raise ValueError(f"--out {out}: it already holds a model; an empty or a new folder works")


def _make(out: Path) -> None:
    """Make the folder, before hours of training; ValueError where that cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        writable = os.access(out, os.W_OK)
    except OSError as error:
        raise ValueError(f"--out {out}: it cannot be made: {error.strerror}") from None
    require("out", out, writable, "it cannot be written; a folder of your own works")


def _hold_out(texts: list[str]) -> tuple[list[str], list[str]]:
    """Every tenth text is held out."""
    held = texts[9::10] or texts[-1:]
    return [text for text in texts if text not in held] or texts, held


def _on_ranks(
    out: Path, stream: Tensor, held: list[str], words: str, config: LlamaConfig, recipe: Recipe, screen: str | None
) -> dict:
    tokenizer = Tokenizer.from_str(words)
    torch.manual_seed(recipe.seed)
    model = Llama(config).to(own_device())
    losses, looks = [], []
    sample = held[:: max(1, len(held) // 8)]
    with progress("training", recipe.steps, screen) as show:

        def report(step: int, loss: float) -> None:
            losses.append(loss)
            if (step + 1) % max(1, recipe.steps // LOOKS) == 0:
                looks.append((step + 1, round(held_out_bits(model, tokenizer, sample, recipe.length), 3)))
            show(step + 1, f"loss {loss:.2f}" + (f", held-out {looks[-1][1]:.2f} bits a byte" if looks else ""))

        train(model, stream.to(own_device()), recipe, report)
    means = [sum(losses[k : k + EVERY]) / len(losses[k : k + EVERY]) for k in range(0, len(losses), EVERY)]
    told = {
        "recipe": asdict(recipe),
        "python": platform.python_version(),
        "parameters": sum(math.prod(partition.dense_shape) for _, _, partition in partitions(model)),
        "tokens": len(stream),
        "losses": [round(mean, 4) for mean in means],
        "held_out": looks,
        "bits_per_byte": round(held_out_bits(model, tokenizer, held, recipe.length), 4),
        "xz_bits_per_byte": round(xz_bits(held), 4),
    }
    model.to(torch.bfloat16).save_pretrained(out)
    if model.embed_tokens.place.rank == 0:
        tokenizer.save(str(out / TOKENIZER))
        class_of_it = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
        (out / TOKENIZER_CLASS).write_text(json.dumps(class_of_it, indent=2) + "\n", encoding="utf-8")
        (out / TRAINING).write_text(json.dumps(told) + "\n", encoding="utf-8")
    return told


def held_out_bits(model: Llama, tokenizer: Tokenizer, texts: list[str], length: int) -> float:
    """Bits a byte of the texts, each from its own start."""
    streams = [token_stream(tokenizer, [text]).to(own_device()) for text in texts]
    return bits_per_byte(model, streams, sum(len(text.encode()) for text in texts), length)


def xz_bits(texts: list[str]) -> float:
    """What `xz -9e` needs for each byte, each text compressed alone."""
    packed = sum(len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) for text in texts)
    return 8 * packed / sum(len(text.encode()) for text in texts)
