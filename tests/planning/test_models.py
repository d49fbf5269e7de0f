"""Shapes from real config.json files: as many parameters as transformers has, and every wrong field is named."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from tplearn.planning import ModelShape, kv_cache_bytes_per_token, parameter_count, shape_from_config

SIZES = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "vocab_size": 101}
HEADS = {"num_attention_heads": 6, "num_key_value_heads": 2}


@pytest.mark.parametrize("kind", [LlamaConfig, Qwen2Config, MistralConfig], ids=lambda kind: kind.model_type)
@pytest.mark.parametrize("tied", [False, True])
def test_a_config_json_has_the_parameters_of_transformers(kind: type, tied: bool, tmp_path: Path) -> None:
    config = kind(**SIZES, **HEADS, tie_word_embeddings=tied)
    config.save_pretrained(tmp_path)
    shape = shape_from_config("mine", json.loads((tmp_path / "config.json").read_text()))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert parameter_count(shape) == sum(parameter.numel() for parameter in model.parameters())
    assert shape.qkv_bias == any(name.endswith("q_proj.bias") for name, _ in model.named_parameters())
    assert (shape.name, shape.head_dim) == ("mine", 8)
    assert kv_cache_bytes_per_token(shape) == 2 * 3 * 2 * 8 * 2


LLAMA = SIZES | HEADS | {"model_type": "llama"}


def test_what_a_file_leaves_out() -> None:
    few = {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}
    shape = shape_from_config("few", few)
    assert (shape.num_key_value_heads, shape.head_dim, shape.tie_word_embeddings, shape.qkv_bias) == (
        6,
        8,
        False,
        False,
    )
    assert shape_from_config("null", LLAMA | {"head_dim": None, "num_key_value_heads": None}) == shape
    assert shape_from_config("given", LLAMA | {"head_dim": 20}).head_dim == 20
    assert shape == ModelShape(48, 80, 3, 6, 6, None, 101) and shape.name != ModelShape(48, 80, 3, 6, 6, 8, 101).name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model_type": "gpt2"},
            "config of mine: model_type = 'gpt2' is not supported; types that work: llama, mistral,",
        ),
        ({"model_type": None}, "model_type = None is not supported"),
        ({"hidden_size": None, "vocab_size": None}, "config of mine does not say hidden_size, vocab_size"),
        ({"hidden_size": "48"}, "hidden_size = '48' is not supported; whole numbers from 1 work"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = 0 is not supported; whole numbers from 1 work"),
        ({"num_hidden_layers": True}, "num_hidden_layers = True is not supported"),
        ({"attention_bias": True}, "attention_bias = True is not supported; value that works: False"),
        ({"mlp_bias": True}, "mlp_bias = True is not supported"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings = 1 is not supported; true and false work"),
        (
            {"num_key_value_heads": 4},
            "config of mine: num_key_value_heads = 4 does not divide num_attention_heads = 6; ",
        ),
        (
            {"hidden_size": 50},
            "config of mine: hidden_size = 50 does not divide by num_attention_heads = 6; with head_dim",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_a_file_may_not_say(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        shape_from_config("mine", LLAMA | changes)


def test_other_families_fix_their_biases_in_code() -> None:
    for family in ("qwen2", "mistral"):
        shape = shape_from_config("x", LLAMA | {"model_type": family, "attention_bias": True})
        assert shape.qkv_bias == (family == "qwen2")
        without = {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}
        with pytest.raises(ValueError, match="config of x does not say num_key_value_heads"):
            shape_from_config("x", without | {"model_type": family})
