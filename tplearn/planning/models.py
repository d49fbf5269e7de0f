"""A model's shape: the sizes and flags that fix its weights and its KV cache."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType

from tplearn.planning.fields import Fields
from tplearn.sizes import divisors

# By model_type: whether q, k and v have biases. transformers fixes that in the code of each family.
QKV_BIAS = {"llama": False, "mistral": False, "qwen2": True}


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a Llama-family decoder, named as in a Hugging Face `config.json`.

    Attention has `num_attention_heads` query heads and `num_key_value_heads` key and value heads, each `head_dim` wide
    (not always `hidden_size / num_attention_heads`, as None makes it). The MLP is SwiGLU: gate, up and down. With
    `mlp_matrices` = 2 it is GPT's: up and down, and dropout behind attention and MLP. Norms are RMSNorm, two a layer
    and one at the end. `qkv_bias` is Qwen2's: biases on q, k and v alone.

    Raises:
        ValueError: a size below 1, heads that do not divide, or `mlp_matrices` other than 2 and 3.
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int | None
    vocab_size: int
    tie_word_embeddings: bool = False
    qkv_bias: bool = False
    mlp_matrices: int = field(default=3, kw_only=True)
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for size in SIZES:
            if size == "head_dim" and self.head_dim is None:
                object.__setattr__(self, "head_dim", self._even_head_dim())
            value = getattr(self, size)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{size} = {value!r} is not a size; whole numbers from 1 work")
        if self.mlp_matrices not in (2, 3):
            raise ValueError(f"mlp_matrices = {self.mlp_matrices!r} makes no MLP; 2 (GPT's) and 3 (SwiGLU) work")
        heads, kv_heads = self.num_attention_heads, self.num_key_value_heads
        if heads % kv_heads:
            works = ", ".join(map(str, divisors(heads)))
            raise ValueError(
                f"num_key_value_heads = {kv_heads} does not divide num_attention_heads = {heads}; "
                f"sizes that work: {works}"
            )

    def _even_head_dim(self) -> int:
        hidden, heads = self.hidden_size, self.num_attention_heads
        if hidden % heads:
            raise ValueError(
                f"hidden_size = {hidden} does not divide by num_attention_heads = {heads}; "
                "with head_dim given it need not"
            )
        return hidden // heads


SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
)


def shape_arguments(config: Fields) -> dict[str, int | bool | None]:
    """What `ModelShape` is made of, from the fields of a `config.json`.

    What the file leaves out is what transformers makes of it: as many KV heads as query heads, an untied head.
    Raises ValueError for a family that is not in QKV_BIAS, a missing size, or biases elsewhere.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in QKV_BIAS:
        raise config.refuse("model_type", f"types that work: {', '.join(QKV_BIAS)}")
    if family == "llama":  # in the other families these fields have no say
        config.only("attention_bias", False)
        config.only("mlp_bias", False)
    required = [name for name in SIZES if name not in ("num_key_value_heads", "head_dim")]
    if family != "llama" and "num_key_value_heads" not in config.values:
        required.append("num_key_value_heads")  # transformers would take a number of its own
    config.require(required)
    sizes = {name: config.integer(name) for name in required}
    sizes["num_key_value_heads"] = config.integer("num_key_value_heads", sizes["num_attention_heads"])
    return sizes | {
        "head_dim": None if config.get("head_dim") is None else config.integer("head_dim"),
        "tie_word_embeddings": config.flag("tie_word_embeddings", False),
        "qkv_bias": QKV_BIAS[family],
    }


def shape_from_config(name: str, config: Mapping[str, object]) -> ModelShape:
    """A `ModelShape` from what a `config.json` holds. Raises ValueError, naming the field that does not work."""
    fields = Fields(config, f"config of {name}")
    return fields.build(ModelShape, **shape_arguments(fields), name=name)


def read_configs() -> dict[str, dict[str, object]]:
    """The entries of `models.json`, by model name: each model's config.json, and its number of `parameters`."""
    entries = json.loads(files("tplearn.planning").joinpath("models.json").read_text(encoding="utf-8"))
    return {name: entry for name, entry in entries.items() if not name.startswith("_")}


MODELS: Mapping[str, ModelShape] = MappingProxyType(
    {name: shape_from_config(name, entry) for name, entry in read_configs().items()}
)
"""Shapes of public models, by name."""
