"""`tplearn train`: a tokenizer and a Llama from text, on tensor-parallel ranks, into a Hugging Face folder."""

import json
import lzma
import math
import platform
from dataclasses import asdict, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

from tplearn.commands.group import on_ranks, own_device
from tplearn.commands.progress import progress, terminal
from tplearn.llama import LlamaConfig
from tplearn.llama.corpus import END, files_below, standard_library, token_stream, train_tokenizer
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
LOOKS = 10  # at the held-out texts, during training
EVERY = 10  # steps that one number of the loss curve stands for


def train_folder(
    out: Path, tp: int | None, data: Path | None, config: LlamaConfig, recipe: Recipe, device: str = "auto"
) -> dict:
    """Train and write everything into `out`; returns what training.json holds.

    Raises ValueError where `out` already holds a model, or there is no text to train on.
    """
    if recipe.length > config.max_position_embeddings:
        raise ValueError(
            f"length = {recipe.length}; up to max_position_embeddings = {config.max_position_embeddings} work"
        )
    if (out / "config.json").exists():
        raise ValueError(f"{out} already holds a model; an empty or a new folder works")
    texts, held = standard_library() if data is None else _hold_out(files_below(data))
    tokenizer = train_tokenizer(texts, config.vocab_size)
    config = replace(config, vocab_size=tokenizer.get_vocab_size())
    words = tokenizer.to_str()
    return on_ranks(_on_ranks, tp, device, out, texts, held, words, config, recipe, terminal())


def _hold_out(texts: list[str]) -> tuple[list[str], list[str]]:
    """Every tenth text is held out."""
    held = texts[9::10] or texts[-1:]
    return [text for text in texts if text not in held] or texts, held


def _on_ranks(
    out: Path, texts: list[str], held: list[str], words: str, config: LlamaConfig, recipe: Recipe, screen: str | None
) -> dict:
    tokenizer = Tokenizer.from_str(words)
    torch.manual_seed(recipe.seed)
    model = Llama(config).to(own_device())
    stream = token_stream(tokenizer, texts)
    losses, looks = [], []
    sample = held[:: max(1, len(held) // 8)]
    with progress("training", recipe.steps, screen) as show:

        def report(step: int, loss: float) -> None:
            losses.append(loss)
            if (step + 1) % max(1, recipe.steps // LOOKS) == 0:
                looks.append((step + 1, round(held_out_bits(model, tokenizer, sample, recipe.length), 3)))
            show(step + 1, f"loss {loss:.2f}" + (f", held-out {looks[-1][1]:.2f} bits a byte" if looks else ""))

        train(model, stream, recipe, report)
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
        tokenizer.save(str(out / "tokenizer.json"))
        class_of_it = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
        (out / "tokenizer_config.json").write_text(json.dumps(class_of_it, indent=2) + "\n")
        (out / "training.json").write_text(json.dumps(told) + "\n")
    return told


def held_out_bits(model: Llama, tokenizer: Tokenizer, texts: list[str], length: int) -> float:
    """Bits a byte of the texts, each from its own start."""
    streams = [token_stream(tokenizer, [text]) for text in texts]
    return bits_per_byte(model, streams, sum(len(text.encode()) for text in texts), length)


def xz_bits(texts: list[str]) -> float:
    """What `xz -9e` needs for each byte, each text compressed alone."""
    packed = sum(len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) for text in texts)
    return 8 * packed / sum(len(text.encode()) for text in texts)
