"""Which tensors a checkpoint must hold, under transformers' names, and which stored one stands for each of them."""

import re
from collections.abc import Iterator

from tplearn.llama.checkpoint import Checkpoint
from tplearn.llama.config import LlamaConfig
from tplearn.llama.files import INDEX

Shape = tuple[int, ...]
Sources = dict[str, dict[str, int]]  # of each parameter: the stored tensors that make it up, with the rows of each
PREFIX = "model."  # of everything but the head
EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
READABLE = ("F64", "F32", "F16", "BF16")
# Old files hold tables that every model makes for itself.
HARMLESS = re.compile(r"rotary_emb\.(inv_freq|cos_cached|sin_cached)$")
LAYER = re.compile(r"model\.layers\.(0|[1-9]\d{0,8})\.(.+)")
# What quantized weights have beside them, or in place of `weight`.
QUANTIZED = re.compile(r"(scales?(_inv|_\d+)?|zeros|zero_point|qweight|packed|g_idx|absmax|quant_map|quant_state\b.*)$")
UNQUANTIZED = "quantized weights are not supported, plain ones work"
SHOWN = 3  # names in a message


class TensorNames:
    """The tensors that a configuration asks for."""

    def __init__(self, config: LlamaConfig) -> None:
        self.config = config
        self.table: Shape = (config.vocab_size, config.hidden_size)
        self.layer = _layer(config)
        self.in_layer = {*self.layer, *(part for parts in self.layer.values() for part in parts)}

    def parameters(self) -> Iterator[tuple[str, dict[str, Shape]]]:
        """(parameter of `Llama`, the stored tensors that make it up, one above the other), the head also if tied."""
        yield EMBEDDING.removeprefix(PREFIX), {EMBEDDING: self.table}
        for number in range(self.config.num_hidden_layers):
            at = f"layers.{number}."
            for parameter, parts in self.layer.items():
                yield at + parameter, {f"{PREFIX}{at}{part}": shape for part, shape in parts.items()}
        yield NORM.removeprefix(PREFIX), {NORM: (self.config.hidden_size,)}
        yield HEAD, {HEAD: self.table}

    def knows(self, name: str) -> bool:
        """Whether some parameter is made of a tensor of this name."""
        layer = LAYER.fullmatch(name)
        if layer is None:
            return name in (EMBEDDING, NORM, HEAD)
        return int(layer[1]) < self.config.num_hidden_layers and layer[2] in self.in_layer


def _layer(config: LlamaConfig) -> dict[str, dict[str, Shape]]:
    """Of one layer: each parameter of `Block`, and what it is stored as. Where q, k, v or gate, up are stored as one
    tensor, as the layers here have them, it has the parameter's name."""
    hidden, inner = config.hidden_size, config.intermediate_size
    q, kv = (heads * config.head_dim for heads in (config.num_attention_heads, config.num_key_value_heads))
    rows = {"self_attn.q_proj": q, "self_attn.k_proj": kv, "self_attn.v_proj": kv}
    biases = {"self_attn.qkv_proj.bias": {f"{part}.bias": (size,) for part, size in rows.items()}}
    return {
        "input_layernorm.weight": {"input_layernorm.weight": (hidden,)},
        "self_attn.qkv_proj.weight": {f"{part}.weight": (size, hidden) for part, size in rows.items()},
        **(biases if config.qkv_bias else {}),
        "self_attn.o_proj.weight": {"self_attn.o_proj.weight": (hidden, q)},
        "post_attention_layernorm.weight": {"post_attention_layernorm.weight": (hidden,)},
        "mlp.gate_up_proj.weight": {f"mlp.{part}_proj.weight": (inner, hidden) for part in ("gate", "up")},
        "mlp.down_proj.weight": {"mlp.down_proj.weight": (hidden, inner)},
    }


def sources(config: LlamaConfig, checkpoint: Checkpoint) -> Sources:
    """For each parameter of `Llama` the stored tensors that make it up, one above the other, with the rows of each.

    Every tensor of the files is accounted for. Raises ValueError for one that is missing, stands twice, has another
    shape or no plain numbers, or that nothing here is made for: its numbers would be left out without a word. A tied
    head is listed only where the files hold one beside the embedding.
    """
    names = TensorNames(config)
    stored = _by_standard_name(names, checkpoint)
    if config.tie_word_embeddings and EMBEDDING not in stored and HEAD in stored:
        stored[EMBEDDING] = stored.pop(HEAD)  # safetensors' save_model keeps one name of the two
    found: Sources = {}
    for parameter, parts in names.parameters():
        if parameter == HEAD and config.tie_word_embeddings and HEAD not in stored:
            continue
        whole = PREFIX + parameter
        if len(parts) > 1 and whole in stored:
            parts = {whole: (sum(rows for rows, *_ in parts.values()), *next(iter(parts.values()))[1:])}
        for name, shape in parts.items():
            if name not in stored:
                raise _missing(name, config, checkpoint)
            _require(stored[name], shape, checkpoint)
        found[parameter] = {stored[name]: shape[0] for name, shape in parts.items()}
    used = {name for parts in found.values() for name in parts}
    left = [name for name in checkpoint.tensors if name not in used and not HARMLESS.search(name)]
    if left:
        raise _left_over(left, config, checkpoint)
    return found


def _by_standard_name(names: TensorNames, checkpoint: Checkpoint) -> dict[str, str]:
    """The stored name of each tensor by transformers' one: as there, `model.` may be missing, or stand once too often.

    Raises ValueError where two stand for the same.
    """
    found: dict[str, str] = {}
    for stored in checkpoint.tensors:
        name = stored
        if stored.startswith(PREFIX) and names.knows(stored.removeprefix(PREFIX)):
            name = stored.removeprefix(PREFIX)
        elif names.knows(PREFIX + stored):
            name = PREFIX + stored
        if name in found and names.knows(name):
            raise ValueError(
                f"{checkpoint.tensors[stored].path}: {found[name]} and {stored} both stand for {name}; one works"
            )
        found[name] = stored
    return found


def _require(name: str, shape: Shape, checkpoint: Checkpoint) -> None:
    """Raises ValueError where a stored tensor has other than plain numbers, or another shape."""
    tensor = checkpoint.tensors[name]
    if tensor.dtype not in READABLE:
        raise ValueError(f"{tensor.path}: {name} is stored as {tensor.dtype}; {UNQUANTIZED}: {', '.join(READABLE)}")
    if tensor.shape != shape:
        raise ValueError(f"{tensor.path}: {name} has shape {tensor.shape}; config.json asks for {shape}")


def _missing(name: str, config: LlamaConfig, checkpoint: Checkpoint) -> ValueError:
    """What to raise for a tensor that is not there; it shows what is there in its place."""
    said = f"{checkpoint.folder} has no tensor {name!r}, which config.json asks for ({_asked(config)})"
    module, _, kind = name.removeprefix(PREFIX).rpartition(".")
    if name in checkpoint.indexed:
        return ValueError(f"{said}; by {INDEX} it is in {checkpoint.indexed[name].name}: a fresh download works")
    beside = [other for other in checkpoint.tensors if f".{module}." in f".{other}"]
    if any(other.endswith(f"{module}.{kind}") for other in beside):
        return ValueError(f"{said}; it has {_listed(beside)}: names without a prefix of their own work")
    if any(QUANTIZED.search(other) for other in beside):
        return ValueError(f"{said}; it has {_listed(beside)}: {UNQUANTIZED}")
    if name == HEAD:
        return ValueError(f"{said}; with tie_word_embeddings = true the embedding is the head")
    return ValueError(f"{said}; it has {_listed(list(checkpoint.tensors))}")


def _left_over(names: list[str], config: LlamaConfig, checkpoint: Checkpoint) -> ValueError:
    """What to raise for tensors that nothing would read."""
    said = f"{checkpoint.tensors[names[0]].path} also holds {_listed(names)}"
    if any(QUANTIZED.search(name) for name in names):
        return ValueError(f"{said}: {UNQUANTIZED}")
    return ValueError(
        f"{said}, which no part of the model would read ({_asked(config)}); "
        "a config.json that asks for them works, or files without them"
    )


def _asked(config: LlamaConfig) -> str:
    return f"model_type = {config.family}, num_hidden_layers = {config.num_hidden_layers}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
