"""The configuration of a Llama or a Qwen2: a shape and what else fixes its numbers, from a config.json and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tplearn.llama.files import CONFIG, model_folder, read_object
from tplearn.llama.rope_config import THETA, RopeScaling, read_rope
from tplearn.llama.window_config import read_window
from tplearn.planning.fields import Fields
from tplearn.planning.models import QKV_BIAS, ModelShape, shape_arguments

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
FAMILIES = f"types that work: {', '.join(ARCHITECTURES)}"
POSITIONS = {"llama": 2048, "qwen2": 32768}  # max_position_embeddings where the file does not say
# What changes the numbers and must be missing or have one certain value, because nothing else is built here.
ONLY = {
    "hidden_act": ("silu", "swish"),
    "is_causal": (True,),
    "attention_chunk_size": (),
    "per_layer_config": (),
    "configuration_files": (),  # names another config.json
    "transformers_weights": (),  # names another model.safetensors
}


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(ModelShape):
    """A shape and what else fixes a Llama's numbers, under Hugging Face's names.

    `model_type` None stands for the family that has, or has not, biases on q, k and v. Layers that `layer_types` calls
    "sliding_attention" see the last `sliding_window` tokens only; here, no text may be longer than that. The token ids
    are those of config.json; where a text ends is the GenerationConfig's to say.

    Raises ValueError where sizes do not fit together, and for a family that is not built here.
    """

    head_dim: int | None = None
    model_type: str | None = None
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = THETA
    rope_scaling: RopeScaling | None = None
    sliding_window: int | None = None
    layer_types: tuple[str, ...] | None = None
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mlp_matrices != 3:
            raise ValueError(f"mlp_matrices = {self.mlp_matrices} is GPT's MLP; a Llama's has 3: gate, up and down")
        if self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim} cannot be turned in pairs (RoPE); even sizes work")
        if self.family not in ARCHITECTURES:
            raise ValueError(f"model_type = {self.model_type!r} is not supported; {FAMILIES}")
        if self.qkv_bias != QKV_BIAS[self.family]:
            raise ValueError(
                f"qkv_bias = {self.qkv_bias} does not exist with model_type = {self.model_type!r}; "
                f"qkv_bias = {not self.qkv_bias} works"
            )

    @property
    def family(self) -> str:
        """Hugging Face's model_type."""
        return self.model_type or ("qwen2" if self.qkv_bias else "llama")

    @property
    def max_length(self) -> int:
        """Tokens that a text may have. Up to here attention is full in every layer, as it is computed here."""
        return min(self.max_position_embeddings, self.sliding_window or self.max_position_embeddings)

    @property
    def limit(self) -> str:
        """max_length in words, for messages."""
        window = " (its sliding window)" if self.max_length == self.sliding_window else ""
        return f"{self.max_length}{window}"

    @staticmethod
    def from_folder(folder: str | Path) -> LlamaConfig:
        """The config.json of a Hugging Face folder. Raises ValueError, naming the file and what does not work in it."""
        path = model_folder(folder) / CONFIG
        return replace(LlamaConfig.from_fields(read_object(path), path), name=path.absolute().parent.name)

    @staticmethod
    def from_fields(fields: dict, source: str | Path = CONFIG) -> LlamaConfig:
        """From the dictionary of a config.json, of transformers 4 or 5. `source` is its path, for messages."""
        config = Fields(fields, source)
        family = config.get("model_type")
        if not isinstance(family, str) or family not in ARCHITECTURES:
            raise config.refuse("model_type", FAMILIES)
        _refuse_quantized(config)
        for name, works in ONLY.items():
            config.only(name, *works)
        shape = shape_arguments(config)
        positions = config.integer("max_position_embeddings", POSITIONS[family])
        theta, scaling = read_rope(config, positions)
        window, layer_types = read_window(config, family, shape["num_hidden_layers"])
        return config.build(
            LlamaConfig,
            **shape,
            model_type=family,
            max_position_embeddings=positions,
            rms_norm_eps=config.number("rms_norm_eps", 1e-6, zero=True),
            rope_theta=theta,
            rope_scaling=scaling,
            sliding_window=window,
            layer_types=layer_types,
            initializer_range=config.number("initializer_range", 0.02, zero=True),
            bos_token_id=config.token("bos_token_id"),
            eos_token_id=config.tokens("eos_token_id"),
            pad_token_id=config.token("pad_token_id"),
        )

    def fields(self) -> dict:
        """What config.json holds; transformers 4 and 5 read it."""
        fields = asdict(self)
        del fields["name"], fields["qkv_bias"], fields["mlp_matrices"]
        if self.sliding_window is None:
            del fields["sliding_window"], fields["layer_types"]
        elif self.family == "qwen2":
            fields["use_sliding_window"] = True
        if self.rope_scaling is not None:
            fields["rope_scaling"] = {"rope_type": "llama3"} | asdict(self.rope_scaling)
        return fields | {
            "architectures": [ARCHITECTURES[self.family]],
            "model_type": self.family,
            "hidden_act": "silu",
            "eos_token_id": list(self.eos_token_id) or None,
        }


def _refuse_quantized(config: Fields) -> None:
    """Raises ValueError, with the method's name, where the weights are no plain numbers."""
    for name in ("quantization_config", "compression_config"):
        found = config.get(name)
        if found is not None:
            method = found.get("quant_method") if isinstance(found, dict) else found
            raise ValueError(
                f"{config.source}: {name} names the method {method!r}; quantized weights are not supported, "
                "the model's folder before quantization works"
            )
