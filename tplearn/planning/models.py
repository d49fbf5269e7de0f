"""A model's shape: the eight numbers that fix its weights and its KV cache."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a Llama-family decoder, named as in a Hugging Face `config.json`.

    Attention has `num_attention_heads` query heads and `num_key_value_heads` key and value heads, each `head_dim` wide
    (not always `hidden_size / num_attention_heads`). The MLP is SwiGLU: gate, up and down. Norms are RMSNorm, two a
    layer and one at the end. `qkv_bias` is Qwen2's: biases on q, k and v alone.

    Raises:
        ValueError: a size below 1, or query heads that KV heads do not divide.
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool = False
    qkv_bias: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        for field in SIZES:
            if getattr(self, field) < 1:
                raise ValueError(f"{field} = {getattr(self, field)} is not a size; use 1 or more")
        heads, kv_heads = self.num_attention_heads, self.num_key_value_heads
        if heads % kv_heads:
            works = ", ".join(str(size) for size in range(1, heads + 1) if heads % size == 0)
            raise ValueError(
                f"num_key_value_heads = {kv_heads} does not divide num_attention_heads = {heads}; "
                f"sizes that work: {works}"
            )


SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
)


def shape_from_config(name: str, config: Mapping[str, object]) -> ModelShape:
    """Read a `ModelShape` from a `config.json`; `head_dim` is hidden / heads where the file names none."""
    sizes = {field: int(config[field]) for field in SIZES if field != "head_dim"}  # type: ignore[call-overload]
    head_dim = config.get("head_dim") or sizes["hidden_size"] // sizes["num_attention_heads"]
    return ModelShape(
        **sizes,
        head_dim=int(head_dim),  # type: ignore[call-overload]
        tie_word_embeddings=bool(config["tie_word_embeddings"]),
        qkv_bias=bool(config.get("qkv_bias", False)),
        name=name,
    )


def read_configs() -> dict[str, dict[str, object]]:
    """The entries of `models.json`, by model name, with every field that the file holds (RoPE, eps, parameters)."""
    entries = json.loads(files("tplearn.planning").joinpath("models.json").read_text(encoding="utf-8"))
    return {name: entry for name, entry in entries.items() if not name.startswith("_")}


MODELS: Mapping[str, ModelShape] = MappingProxyType(
    {name: shape_from_config(name, entry) for name, entry in read_configs().items()}
)
"""Shapes of public models, by name."""
