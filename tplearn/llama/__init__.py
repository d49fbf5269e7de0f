"""A Llama with real weights, cut over ranks: configuration, model, checkpoints, generation."""

from tplearn.llama.config import LlamaConfig, RopeScaling
from tplearn.llama.generate import generate
from tplearn.llama.model import Block, Llama

__all__ = ["Block", "Llama", "LlamaConfig", "RopeScaling", "generate"]
