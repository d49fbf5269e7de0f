"""The configuration: a shape that planning understands, a family that is kept, and files without circles."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

import tplearn
from tests.llama.folders import config, theirs, write_model
from tplearn.llama import TINY_LLAMA, Llama, LlamaConfig, RopeScaling
from tplearn.planning import ModelShape, max_sequences, parameter_count, tp_sizes, weight_bytes_per_rank

SMALL = LlamaConfig(32, 48, 2, 8, 2, 131)


def test_a_configuration_is_a_shape() -> None:
    tiny = LlamaConfig.from_folder(TINY_LLAMA)
    model = Llama.from_pretrained(TINY_LLAMA)
    assert isinstance(tiny, ModelShape) and tiny.name == "tiny-llama" and tp_sizes(tiny) == [1, 2, 4, 8]
    assert parameter_count(tiny) == sum(parameter.numel() for parameter in model.parameters())
    assert weight_bytes_per_rank(tiny, 1, 4) == sum(parameter.nbytes for parameter in model.parameters())
    assert max_sequences(tiny, 2, 256, 10**8) > 0


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_family_is_kept(family: str, tmp_path: Path) -> None:
    write_model(tmp_path / "first", family)
    read = LlamaConfig.from_folder(tmp_path / "first")
    assert read.model_type == family == replace(read, vocab_size=90).family
    Llama.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    fields = json.loads((tmp_path / "second" / "config.json").read_text())
    assert fields["model_type"] == family and not {"name", "qkv_bias", "mlp_matrices"} & set(fields)
    assert fields["architectures"] == json.loads((tmp_path / "first" / "config.json").read_text())["architectures"]
    assert type(AutoConfig.from_pretrained(tmp_path / "second")) is type(theirs(tmp_path / "first").config)
    assert LlamaConfig.from_folder(tmp_path / "second") == read


def test_a_configuration_made_by_hand_has_the_family_of_its_biases() -> None:
    assert (SMALL.family, replace(SMALL, qkv_bias=True).family) == ("llama", "qwen2")
    assert SMALL.fields()["model_type"] == "llama" and replace(SMALL, qkv_bias=True).fields()["model_type"] == "qwen2"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model_type": "llama", "qkv_bias": True},
            "qkv_bias = True does not exist with model_type = 'llama'; qkv_bias = Fal",
        ),
        ({"model_type": "qwen2"}, "qkv_bias = False does not exist with model_type = 'qwen2'; qkv_bias = True works"),
        ({"model_type": "mistral"}, "model_type = 'mistral' is not supported; types that work: llama, qwen2"),
        ({"mlp_matrices": 2}, "mlp_matrices = 2 is GPT's MLP; a Llama's has 3: gate, up and down"),
        ({"head_dim": 5}, r"head_dim = 5 cannot be turned in pairs \(RoPE\); even sizes work"),
        ({"hidden_size": 30, "head_dim": None}, "hidden_size = 30 does not divide by num_attention_heads = 8"),
        ({"num_key_value_heads": 3}, "num_key_value_heads = 3 does not divide num_attention_heads = 8"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = 0 is not a size; whole numbers from 1 work"),
        ({"vocab_size": 1.5}, "vocab_size = 1.5 is not a size"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_together(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **changes)


def test_scaling_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="low_freq_factor = 4, high_freq_factor = 4; 0 < low < high works"):
        RopeScaling(8, 4, 4, 8192)


def test_numbers_to_compute_in(tmp_path: Path) -> None:
    write_model(tmp_path)
    for dtype in ("float32", torch.int8, torch.float8_e4m3fn, None):
        with pytest.raises(
            ValueError, match="dtype = .* is no dtype to compute in; torch.float32 and torch.bfloat16 work"
        ):
            Llama.from_pretrained(tmp_path, dtype=dtype)
    assert Llama.from_pretrained(tmp_path, dtype=torch.float16).norm.weight.dtype == torch.float16


def test_saving_keeps_what_transformers_computes_with(tmp_path: Path) -> None:
    """Scaling, a window and its layers, tokens: read by transformers from the folder written here as from the first."""
    write_model(tmp_path / "first", "qwen2")
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    config(
        rope_parameters=llama3 | {"rope_theta": 5e3, "original_max_position_embeddings": 16},
        use_sliding_window=True,
        sliding_window=12,
        layer_types=["full_attention", "sliding_attention"],
        pad_token_id=3,
        eos_token_id=[2, 9],
    )(tmp_path / "first")
    Llama.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    first, second = (AutoConfig.from_pretrained(tmp_path / name).to_dict() for name in ("first", "second"))
    kept = set(first) & set(second) - {"dtype", "transformers_version", "name_or_path", "_name_or_path"}
    assert {name: second[name] for name in kept} == {name: first[name] for name in kept}
    assert {"rope_parameters", "sliding_window", "layer_types", "use_sliding_window"} <= kept


def test_files_of_these_floors_import_each_other_without_circles() -> None:
    """Also where only a type is wanted: a file that needs another's type stands above it."""
    root = Path(tplearn.__file__).parent.parent
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for floor in ("planning", "llama")
        for path in (root / "tplearn" / floor).glob("*.py")
        if path.stem != "__init__"
    }
    needs: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        names = {f"{node.module}.{alias.name}" for node in found for alias in node.names} | {
            node.module for node in found
        }
        needs[module] = names & set(modules)
    while done := {module for module, others in needs.items() if not others}:
        needs = {module: others - done for module, others in needs.items() if module not in done}
    assert not needs, f"a circle runs through {sorted(needs)}"
