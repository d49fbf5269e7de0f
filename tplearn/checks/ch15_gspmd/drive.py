"""How chapter 15's functions are watched: result, bytes on a device and ledger of the program that XLA makes.

What imports jax is imported inside: these functions are named where JAX must not be loaded, and run where it is.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from tplearn.checks.inputs import randn
from tplearn.llama.config import LlamaConfig
from tplearn.llama.tensors import HEAD

Axes = str | tuple[str, ...]
# A Qwen2 in small, with biases on q, k and v and a head of its own.
CONFIG = LlamaConfig(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=1,
    num_attention_heads=8,
    num_key_value_heads=4,
    vocab_size=40,
    qkv_bias=True,
)
TEXTS, TOKENS = 4, 3


def model_weights(seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """(the model's parameters by Hugging Face's names, ids [texts, tokens])."""
    generator = Generator().manual_seed(seed)
    hidden, inner, heads = CONFIG.hidden_size, CONFIG.intermediate_size, CONFIG.num_attention_heads * CONFIG.head_dim
    kv = CONFIG.num_key_value_heads * CONFIG.head_dim
    layer = {"input_layernorm.weight": (hidden,), "post_attention_layernorm.weight": (hidden,)}
    for name, rows in (("q", heads), ("k", kv), ("v", kv)):
        layer |= {f"self_attn.{name}_proj.weight": (rows, hidden), f"self_attn.{name}_proj.bias": (rows,)}
    layer |= {"self_attn.o_proj.weight": (hidden, heads), "mlp.gate_proj.weight": (inner, hidden)}
    layer |= {"mlp.up_proj.weight": (inner, hidden), "mlp.down_proj.weight": (hidden, inner)}
    shapes = {f"model.layers.0.{name}": shape for name, shape in layer.items()}
    table = (CONFIG.vocab_size, hidden)
    shapes |= {"model.embed_tokens.weight": table, "model.norm.weight": (hidden,), HEAD: table}
    weights = {name: randn(generator, *shape) / shape[-1] ** 0.5 for name, shape in shapes.items()}
    return weights, torch.randint(CONFIG.vocab_size, (TEXTS, TOKENS), generator=generator)


def of_specs(fn: Callable[..., Any], seed: int, tp_axis: Axes, kv_axis: Axes) -> dict[str, Any]:
    """The model laid out as fn says for each name: logits, ledger, and what `plan_of_specs` sees."""
    from jax.sharding import PartitionSpec

    from tplearn.checks.ch15_gspmd.programs import compiled_and_run, lay, seen_of
    from tplearn.gspmd.model import forward

    mesh, arrays, ids = _laid(fn, seed, tp_axis, kv_axis)
    texts = lay(ids, mesh, PartitionSpec("batch", None))
    logits, seen = compiled_and_run(lambda arrays, ids: forward(arrays, CONFIG, ids), arrays, texts)
    return {"forward": seen_of(logits)} | _plan(arrays) | seen


def plan_of_specs(fn: Callable[..., Any], seed: int, tp_axis: Axes, kv_axis: Axes) -> dict[str, Any]:
    """Where each parameter lies, and its bytes on a device; nothing is compiled."""
    return _plan(_laid(fn, seed, tp_axis, kv_axis)[1])


def _laid(fn: Callable[..., Any], seed: int, tp_axis: Axes, kv_axis: Axes) -> tuple[Any, dict[str, Any], Tensor]:
    """(mesh, the model's arrays on it, ids)."""
    from jax.sharding import PartitionSpec

    from tplearn.checks.ch15_gspmd.programs import lay, require
    from tplearn.gspmd.devices import make_kv_mesh, make_mesh

    mesh = make_mesh(2, 4) if tp_axis == kv_axis else make_kv_mesh(1, 8, CONFIG.num_key_value_heads)
    weights, ids = model_weights(seed)
    specs = {name: require(fn(name, tp_axis, kv_axis), PartitionSpec, f"the result for {name}") for name in weights}
    return mesh, {name: lay(weight, mesh, specs[name]) for name, weight in weights.items()}, ids


def _plan(arrays: dict[str, Any]) -> dict[str, Any]:
    from tplearn.checks.ch15_gspmd.programs import bytes_on_a_device, placement

    return {
        "bytes on a device": {name: bytes_on_a_device(array) for name, array in arrays.items()},
        "placement": {name: placement(array) for name, array in arrays.items()},
    }
