"""A Llama with real weights, cut over ranks: configuration, model, checkpoints, generation."""

from pathlib import Path

from tplearn.llama.config import LlamaConfig
from tplearn.llama.generate import generate
from tplearn.llama.generation_config import GenerationConfig
from tplearn.llama.layout import lay_out_for_decoding
from tplearn.llama.model import Block, Llama
from tplearn.llama.rope_config import RopeScaling
from tplearn.llama.tokenizer import load_tokenizer

TINY_LLAMA = Path(__file__).parent / "tiny-llama"  # a small trained model that comes with the package

__all__ = [
    "TINY_LLAMA",
    "Block",
    "GenerationConfig",
    "Llama",
    "LlamaConfig",
    "RopeScaling",
    "generate",
    "lay_out_for_decoding",
    "load_tokenizer",
]
