"""What a Hugging Face config.json says about a Llama or a Qwen2, and what of it this package can compute."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
# What must have one certain value, because nothing else is built here. Missing means that value.
ONLY = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "use_sliding_window": False}


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3.1's stretching of slow rotary frequencies (rope_type "llama3")."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama, under Hugging Face's names. Raises ValueError where they do not fit together."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    head_dim: int | None = None
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    tie_word_embeddings: bool = False
    qkv_bias: bool = False
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.head_dim is None:
            if self.hidden_size % self.num_attention_heads:
                raise ValueError(
                    f"hidden_size = {self.hidden_size} does not divide by num_attention_heads = "
                    f"{self.num_attention_heads}; with head_dim given it need not"
                )
            object.__setattr__(self, "head_dim", self.hidden_size // self.num_attention_heads)
        for name in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "vocab_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; sizes from 1 work")

    @staticmethod
    def from_folder(folder: str | Path) -> LlamaConfig:
        """The config.json of a Hugging Face folder. Raises ValueError, naming what is missing or not supported."""
        path = Path(folder) / "config.json"
        try:
            fields = json.loads(path.read_text())
        except FileNotFoundError:
            raise ValueError(f"{folder} is no model folder: it has no config.json") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON: {error}") from None
        return LlamaConfig.from_fields(fields)

    @staticmethod
    def from_fields(fields: dict) -> LlamaConfig:
        """From the dictionary of a config.json, of transformers 4 or 5."""
        kind = fields.get("model_type")
        if kind not in ARCHITECTURES:
            raise ValueError(f"model_type = {kind!r} is not supported; types that work: {', '.join(ARCHITECTURES)}")
        for name, value in ONLY.items():
            if fields.get(name, value) != value:
                raise ValueError(f"{name} = {fields[name]!r} is not supported; value that works: {value!r}")
        rope = fields.get("rope_parameters") or {}  # transformers 5; before, rope_theta and rope_scaling
        theta = rope.get("rope_theta", fields.get("rope_theta", 10_000.0))
        known = {field.name for field in dataclasses.fields(LlamaConfig)}
        given = {name: value for name, value in fields.items() if name in known and value is not None}
        given.setdefault("num_key_value_heads", fields.get("num_attention_heads"))
        given |= {
            "qkv_bias": kind == "qwen2",
            "rope_theta": float(theta),
            "rope_scaling": _rope_scaling(rope or fields.get("rope_scaling") or {}),
            "eos_token_id": _as_tuple(fields.get("eos_token_id")),
        }
        missing = [
            field.name
            for field in dataclasses.fields(LlamaConfig)
            if field.default is dataclasses.MISSING and given.get(field.name) is None
        ]
        if missing:
            raise ValueError(f"config.json does not say {', '.join(missing)}")
        return LlamaConfig(**given)

    def fields(self) -> dict:
        """What config.json holds; transformers 4 and 5 read it."""
        kind = "qwen2" if self.qkv_bias else "llama"
        fields = dataclasses.asdict(self)
        del fields["qkv_bias"]
        scaling = fields["rope_scaling"]
        return fields | {
            "architectures": [ARCHITECTURES[kind]],
            "model_type": kind,
            "hidden_act": "silu",
            "rope_scaling": None if scaling is None else {"rope_type": "llama3", **scaling},
            "eos_token_id": list(self.eos_token_id) or None,
        }


def _rope_scaling(rope: dict) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise ValueError(f"rope_type = {kind!r} is not supported; types that work: default, llama3")
    return RopeScaling(**{field.name: rope[field.name] for field in dataclasses.fields(RopeScaling)})


def _as_tuple(value: int | list[int] | None) -> tuple[int, ...]:
    return () if value is None else tuple(value) if isinstance(value, list) else (value,)
