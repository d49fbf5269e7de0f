"""Text that every machine has: the Python standard library's own sources, and a tokenizer made from it."""

import sysconfig
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from tplearn.llama.files import unreadable

HELD_OUT = ("asyncio", "email", "json")  # never trained on
# Tests are not installed everywhere; encodings are tables of numbers; the rest is not the library's own text.
LEFT_OUT = {"test", "tests", "idle_test", "lib2to3", "encodings", "site-packages", "dist-packages", "__pycache__"}
END = "<|end|>"  # begins and separates files


def standard_library() -> tuple[list[str], list[str]]:
    """(texts to train on, held-out texts), in the order of their paths.

    The sources are under the Python Software Foundation License. Raises ValueError where they are not installed.
    """
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path for path in root.rglob("*.py") if not LEFT_OUT & set(path.relative_to(root).parts))
    held = [path for path in paths if path.relative_to(root).parts[0] in HELD_OUT]
    if not held or len(held) == len(paths):
        raise ValueError(f"{root} holds no sources of the standard library; a Python with its Lib folder works")
    train = [path for path in paths if path not in set(held)]
    return _read(train), _read(held)


def files_below(folder: Path) -> list[str]:
    """The text of every .py, .md and .txt file below a folder, in the order of their paths."""
    endings = {".py", ".md", ".txt"}
    texts = _read(sorted(path for path in folder.rglob("*") if path.suffix in endings and path.is_file()))
    if not texts:
        raise ValueError(f"{folder} holds no text to train on; a folder with .py, .md or .txt files works")
    return texts


def _read(paths: Iterable[Path]) -> list[str]:
    """The texts that are not empty. Raises ValueError where a file cannot be read."""
    texts = []
    for path in paths:
        try:
            texts.append(path.read_text(encoding="utf-8", errors="ignore").replace("\r\n", "\n"))
        except OSError as error:
            raise unreadable(path, error) from None
    return [text for text in texts if text]


def train_tokenizer(texts: list[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE, as GPT-2 and Llama 3 have it: any text can be written with it. Word 0 is END."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_stream(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """[tokens]: every text with END before it."""
    end = tokenizer.token_to_id(END)
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    return torch.tensor([token for text in encoded for token in (end, *text.ids)])
