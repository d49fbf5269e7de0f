"""A Llama with real weights, cut over ranks: configuration, model, checkpoints, generation."""

from pathlib import Path

from tplearn.llama.config import LlamaConfig, RopeScaling
from tplearn.llama.corpus import load_tokenizer
from tplearn.llama.generate import generate
from tplearn.llama.layout import lay_out_for_decoding
from tplearn.llama.model import Block, Llama

TINY_LLAMA = Path(__file__).parent / "tiny-llama"  # a small trained model that comes with the package

__all__ = [
    "TINY_LLAMA",
    "Block",
    "Llama",
    "LlamaConfig",
    "RopeScaling",
    "generate",
    "lay_out_for_decoding",
    "load_tokenizer",
]
