"""Folders that cannot be used: one sentence that names the file and what is the matter, and no number is guessed."""

import json
import os
import re
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.llama.folders import (
    GONE,
    LFS,
    Edit,
    Tensors,
    add,
    all_of,
    as_folder,
    config,
    cut,
    generation,
    index,
    link,
    remove,
    rename,
    shards,
    text,
    weights,
    write_model,
    write_tensors,
)
from tplearn.llama import Llama, load_tokenizer
from tplearn.llama.corpus import train_tokenizer
from tplearn.llama.files import INDEX, SINGLE

MANY, TIED, QWEN2 = {"max_shard_size": "50KB"}, {"tie_word_embeddings": True}, {"family": "qwen2"}
CONFIG, GENERATION, TOKENIZER = "config.json", "generation_config.json", "tokenizer.json"
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
Q = "model.layers.0.self_attn.q_proj"


def first_shard(change) -> Edit:  # noqa: ANN001
    return lambda folder: change(shards(folder)[0])


def quantized(dtype: torch.dtype, *beside: str, with_config: dict | None = None) -> Edit:
    """Projections in another dtype, each with a scale beside it."""

    def change(old: Tensors) -> Tensors:
        new = {name: tensor.to(dtype) if "proj" in name else tensor for name, tensor in old.items()}
        return new | {name.replace("weight", end): torch.ones(1) for name in old if "proj" in name for end in beside}

    return all_of(weights(change), *([config(quantization_config=with_config)] if with_config else []))


def packed(*names: str) -> Edit:
    """Without `weight`: what GPTQ, AWQ and others have in its place."""

    def change(old: Tensors) -> Tensors:
        new = {name: tensor for name, tensor in old.items() if "proj" not in name}
        return new | {name.replace("weight", end): torch.ones(2, 2) for name in old if "proj" in name for end in names}

    return weights(change)


def swapped(folder: Path) -> None:
    """The same tensor in two files of an index."""
    first, second = shards(folder)[:2]
    write_tensors(second, load_file(second) | load_file(first))


def bytes_of(**header: object) -> bytes:
    content = json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content


# Each: what write_model gets, what is changed then, the file that is named, and a pattern of what is said of it.
REFUSED: dict[str, tuple[dict, Edit, str, str]] = {
    # config.json as a file
    "no config": (
        {},
        remove(CONFIG),
        "",
        r"is no model folder: it has no config.json; it has generation_config.json, mod",
    ),
    "config: a folder": ({}, as_folder(CONFIG), CONFIG, "is a folder; a file works"),
    "config: a pipe": ({}, lambda at: (remove(CONFIG)(at), os.mkfifo(at / CONFIG)), CONFIG, "is no regular file"),
    "config: empty": ({}, text(CONFIG, ""), CONFIG, "is empty"),
    "config: blank": ({}, text(CONFIG, "\n"), CONFIG, "is damaged: it is not JSON: Expecting value"),
    "config: a list": ({}, text(CONFIG, "[1, 2]"), CONFIG, r"holds a list; a JSON object \(\{…\}\) works"),
    "config: a text": ({}, text(CONFIG, '"llama"'), CONFIG, "holds a text; a JSON object"),
    "config: a number": ({}, text(CONFIG, "17"), CONFIG, "holds a number; a JSON object"),
    "config: null": ({}, text(CONFIG, "null"), CONFIG, "holds null; a JSON object"),
    "config: cut off": ({}, cut(CONFIG, 100), CONFIG, "is damaged: it is not JSON"),
    "config: a web page": ({}, text(CONFIG, "<html>404</html>"), CONFIG, "is damaged: it is not JSON"),
    "config: latin-1": ({}, text(CONFIG, b'{"a": "\xe9"}'), CONFIG, "is damaged: byte 7 is not UTF-8 text"),
    "config: too deep": ({}, text(CONFIG, "[" * 100_000), CONFIG, "is damaged: it is not JSON"),
    "config: a pointer": (
        {},
        text(CONFIG, LFS),
        CONFIG,
        "is a Git LFS pointer, not the file itself; `git lfs pull` in",
    ),
    "config: a broken link": ({}, link(CONFIG, "../blobs/0a"), CONFIG, r"is a broken link: \.\./blobs/0a is not there"),
    "config: a link to itself": ({}, link(CONFIG, CONFIG), CONFIG, "cannot be read: Too many levels of symbolic"),
    "an adapter's folder": (
        {},
        all_of(remove(CONFIG), text("adapter_config.json", "{}")),
        "",
        "it has an adapter_config.json: an adapter must be merged into its model first",
    ),
    "an adapter in the folder": (
        {},
        text("adapter_config.json", "{}"),
        "adapter_config.json",
        "the adapter would be left",
    ),
    # weights as files
    "no weights": (
        {},
        remove(SINGLE),
        "",
        "has neither model.safetensors nor model.safetensors.index.json; only safetens",
    ),
    "pickle": ({}, lambda at: (at / SINGLE).rename(at / "pytorch_model.bin"), "", "it has .*pytorch_model.bin"),
    "a variant": (
        {},
        lambda at: (at / SINGLE).rename(at / "model.fp16.safetensors"),
        "",
        "it has .*model.fp16.safetens",
    ),
    "weights: a pointer": ({}, text(SINGLE, LFS), SINGLE, "is a Git LFS pointer"),
    "weights: empty": ({}, text(SINGLE, ""), SINGLE, "is empty"),
    "weights: a folder": ({}, as_folder(SINGLE), SINGLE, "is a folder; a file works"),
    "weights: a broken link": (
        {},
        link(SINGLE, "../../blobs/0a"),
        SINGLE,
        r"is a broken link: \.\./\.\./blobs/0a is not",
    ),
    "weights: a link into a file": ({}, link(SINGLE, "config.json/x"), SINGLE, "cannot be read: Not a directory"),
    "weights: cut in the header": ({}, cut(SINGLE, 50), SINGLE, "is damaged: "),
    "weights: cut in the length": ({}, cut(SINGLE, 5), SINGLE, "is damaged: "),
    "weights: cut in the numbers": ({}, cut(SINGLE, -1), SINGLE, "is damaged: "),
    "weights: a web page": ({}, text(SINGLE, "<!DOCTYPE html><p>Access denied</p>"), SINGLE, "is damaged: "),
    "weights: a header of no tensors": ({}, text(SINGLE, bytes_of()), "", "has no tensor 'model.embed_tokens.weight'"),
    "weights: a wrong header": ({}, text(SINGLE, bytes_of(x=5)), SINGLE, "is damaged: "),
    "weights: beyond the end": (
        {},
        text(SINGLE, bytes_of(x={"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]})),
        SINGLE,
        "is damaged: ",
    ),
    "index: cut off": (MANY, cut(INDEX, 100), INDEX, "is damaged: it is not JSON"),
    "index: a list": (MANY, text(INDEX, "[]"), INDEX, "holds a list"),
    "index: a pointer": (MANY, text(INDEX, LFS), INDEX, "is a Git LFS pointer"),
    "index: no map": (
        MANY,
        index(lambda content: content.pop("weight_map")),
        INDEX,
        "is damaged: it has no weight_map",
    ),
    "index: an empty map": (MANY, index(lambda content: content["weight_map"].clear()), INDEX, "has no weight_map"),
    "index: a list as map": (MANY, index(lambda content: content.update(weight_map=["a"])), INDEX, "has no weight_map"),
    "index: a number as file": (
        MANY,
        index(lambda content: content["weight_map"].update(x=5)),
        INDEX,
        "names the file 5; only files in the same folder work",
    ),
    "index: out of the folder": (
        MANY,
        index(lambda content: content["weight_map"].update(x="../x.safetensors")),
        INDEX,
        r"names the file '\.\./x.safetensors'; only files in the same folder work",
    ),
    "index: pickle": (
        MANY,
        index(lambda content: content["weight_map"].update(x="x.bin")),
        INDEX,
        "names the file 'x.bin'",
    ),
    "a file is missing": (
        MANY,
        first_shard(Path.unlink),
        "model-00001-of-00006.safetensors",
        "is missing, and model.saf",
    ),
    "a file is a pointer": (
        MANY,
        first_shard(lambda at: at.write_text(LFS)),
        "model-00001-of-00006.safetensors",
        "LFS",
    ),
    "a file is cut off": (
        MANY,
        first_shard(lambda at: at.write_bytes(at.read_bytes()[:-9])),
        "model-00001-of-00006.safetensors",
        "is damaged",
    ),
    "a tensor twice": (
        MANY,
        swapped,
        "model-00001-of-00006.safetensors",
        "model.embed_tokens.weight is in .*; one of them",
    ),
    # the tensors in them
    "a tensor is missing": (
        {},
        weights(lambda old: {k: t for k, t in old.items() if k != f"{Q}.weight"}),
        "",
        f"no tensor '{Q}",
    ),
    "missing, though in the index": (
        MANY,
        first_shard(lambda at: write_tensors(at, {k: t for k, t in load_file(at).items() if "embed" not in k})),
        "",
        "no tensor 'model.embed_tokens.weight', .*; by model.safetensors.index.json it is in model-00001-of-00006",
    ),
    "no head": (
        {},
        weights(lambda old: {k: t for k, t in old.items() if "head" not in k}),
        "",
        "'lm_head.weight'.*tie_word_emb",
    ),
    "tied, neither": (
        TIED,
        weights(lambda old: {k: t for k, t in old.items() if "embed" not in k}),
        "",
        "'model.embed_tok",
    ),
    "one number too few": (
        {},
        weights(lambda old: old | {"model.norm.weight": torch.ones(63)}),
        SINGLE,
        r"model.norm.weight has shape \(63,\); config.json asks for \(64,\)",
    ),
    "a transposed matrix": (
        {},
        weights(lambda old: old | {"model.layers.1.mlp.down_proj.weight": torch.ones(96, 64)}),
        SINGLE,
        r"down_proj.weight has shape \(96, 64\); config.json asks for \(64, 96\)",
    ),
    "one dimension too many": (
        {},
        weights(lambda old: old | {"model.norm.weight": torch.ones(64, 1)}),
        SINGLE,
        r"\(64, 1\)",
    ),
    "a single number": (
        {},
        weights(lambda old: old | {"model.norm.weight": torch.ones(())}),
        SINGLE,
        r"has shape \(\)",
    ),
    "more words than config.json": ({}, config(vocab_size=95), SINGLE, r"\(96, 64\); config.json asks for \(95, 64\)"),
    "a tied head of another size": (
        TIED,
        add(lm_head__weight=torch.ones(90, 64)),
        SINGLE,
        r"lm_head.weight has shape \(90",
    ),
    "compiled": (
        {},
        rename(lambda name: f"_orig_mod.{name}"),
        "",
        "it has _orig_mod.model.embed_tokens.weight: names wit",
    ),
    "from a trainer": (
        {},
        rename(lambda name: f"module.{name}"),
        "",
        "it has module.model.embed_tokens.weight: names with",
    ),
    "from a larger model": ({}, rename(lambda name: f"language_model.{name}"), "", "it has language_model.model.embed"),
    "model. three times": (
        {},
        rename(lambda name: f"model.model.{name}"),
        "",
        "it has model.model.model.embed_tokens.weight",
    ),
    "Meta's names": (
        {},
        rename(
            lambda name: name.replace("model.embed_tokens", "tok_embeddings").replace(
                "self_attn.q_proj", "attention.wq"
            )
        ),
        "",
        "no tensor 'model.embed_tokens.weight', which config.json asks for .*; it has .*tok_embeddings|and 1[0-9] more",
    ),
    "two names of one tensor": (
        {},
        add(norm__weight=torch.ones(64)),
        SINGLE,
        "norm.weight both stand for model.norm.weight",
    ),
    "fused and apart": (
        {},
        weights(lambda old: old | {f"{Q[:-6]}qkv_proj.weight": torch.ones(128, 64)}),
        SINGLE,
        "also holds model.layers.0.self_attn.k_proj.weight",
    ),
    "a tensor too many": (
        {},
        add(score__weight=torch.ones(2, 64)),
        SINGLE,
        "also holds score.weight, which no part of",
    ),
    "a bias of the head": ({}, add(lm_head__bias=torch.ones(96)), SINGLE, "also holds lm_head.bias, which no part of"),
    "a llama with biases": (
        QWEN2,
        config(model_type="llama"),
        SINGLE,
        r"q_proj.bias.* \(model_type = llama, num_hidden",
    ),
    "a qwen2 without": ({}, config(model_type="qwen2"), "", r"no tensor '.*q_proj.bias', .* \(model_type = qwen2"),
    "a layer too many": (
        {},
        config(num_hidden_layers=1),
        SINGLE,
        "model.layers.1.* and 6 more, .*num_hidden_layers = 1",
    ),
    "a layer too few": ({}, config(num_hidden_layers=3), "", "no tensor 'model.layers.2.* num_hidden_layers = 3"),
    "layers without end": ({}, config(num_hidden_layers=10**12), "", "no tensor 'model.layers.2"),
    "an adapter's tensors": (
        {},
        weights(lambda old: old | {f"{Q}.lora_A.weight": torch.ones(4, 64)}),
        SINGLE,
        "also holds .*lora_A.weight",
    ),
    "trained with LoRA": (
        {},
        rename(lambda name: name.replace("q_proj.weight", "q_proj.base_layer.weight")),
        "",
        "no tensor '.*q_proj.weight'",
    ),
    # quantized
    "FP8": (
        {},
        quantized(torch.float8_e4m3fn, "weight_scale"),
        SINGLE,
        "is stored as F8_E4M3; quantized weights are not",
    ),
    "FP8, named": (
        {},
        quantized(torch.float8_e4m3fn, "weight_scale_inv", with_config={"quant_method": "fp8"}),
        CONFIG,
        "quantization_config names the method 'fp8'; quantized weights are not supported",
    ),
    "FP8, other format": ({}, quantized(torch.float8_e5m2), SINGLE, "is stored as F8_E5M2"),
    "int8": ({}, quantized(torch.int8, "weight_scale"), SINGLE, "is stored as I8; quantized"),
    "bytes": ({}, quantized(torch.uint8), SINGLE, "is stored as U8; quantized"),
    "int64": ({}, quantized(torch.int64), SINGLE, "is stored as I64; quantized"),
    "true and false": ({}, quantized(torch.bool), SINGLE, "is stored as BOOL; quantized"),
    "complex": ({}, quantized(torch.complex64), SINGLE, "is stored as C64"),
    "scales of plain weights": (
        {},
        quantized(torch.bfloat16, "weight_scale"),
        SINGLE,
        "weight_scale.*: quantized weights",
    ),
    "scales of the cache": (
        {},
        add(model__layers__0__self_attn__k_scale=torch.ones(1)),
        SINGLE,
        "k_scale: quantized weights",
    ),
    "GPTQ": (
        {},
        all_of(
            packed("qweight", "qzeros", "scales", "g_idx"),
            config(quantization_config={"bits": 4, "quant_method": "gptq"}),
        ),
        CONFIG,
        "names the method 'gptq'",
    ),
    "GPTQ, not named": (
        {},
        packed("qweight", "qzeros", "scales", "g_idx"),
        "",
        r"q_proj.weight', .*q_proj.qweight.*: quantized",
    ),
    "compressed tensors": (
        {},
        packed("weight_packed", "weight_scale"),
        "",
        "q_proj.weight_packed.*: quantized weights",
    ),
    "bitsandbytes": (
        {},
        config(quantization_config={"load_in_4bit": True, "quant_method": "bitsandbytes"}),
        CONFIG,
        "'bitsa",
    ),
    "quantized, no method": ({}, config(quantization_config={}), CONFIG, "quantization_config names the method None"),
    "compression_config": (
        {},
        config(compression_config={"quant_method": "x"}),
        CONFIG,
        "compression_config names the method 'x'",
    ),
    # config.json: the family and what is built of it
    "no family": (
        {},
        config(model_type=GONE),
        CONFIG,
        "model_type = None is not supported; types that work: llama, qwen2",
    ),
    "another family": ({}, config(model_type="mistral"), CONFIG, "model_type = 'mistral' is not supported"),
    "a list as family": ({}, config(model_type=["llama"]), CONFIG, r"model_type = \['llama'\] is not supported"),
    "biases": (
        {},
        config(attention_bias=True),
        CONFIG,
        "attention_bias = True is not supported; value that works: False",
    ),
    "biases in the MLP": (
        {},
        config(mlp_bias=True),
        CONFIG,
        "mlp_bias = True is not supported; value that works: False",
    ),
    "another activation": ({}, config(hidden_act="gelu"), CONFIG, "hidden_act = 'gelu' is not supported"),
    "attention both ways": (
        {},
        config(is_causal=False),
        CONFIG,
        "is_causal = False is not supported; value that works: True",
    ),
    "chunks": (
        {},
        config(attention_chunk_size=8),
        CONFIG,
        "attention_chunk_size = 8 is not supported; a file without it",
    ),
    "layers that differ": ({}, config(per_layer_config={"0": {}}), CONFIG, r"per_layer_config = \{'0': \{\}\} is not"),
    "another config": ({}, config(configuration_files=["config.4.0.0.json"]), CONFIG, "configuration_files = "),
    "other weights": (
        {},
        config(transformers_weights="w.safetensors"),
        CONFIG,
        "transformers_weights = 'w.safetensors'",
    ),
    "part of a head turned": (
        {},
        config(partial_rotary_factor=0.5),
        CONFIG,
        "partial_rotary_factor = 0.5 is not supported",
    ),
    # config.json: rotary positions
    **{
        f"rope: {kind}": (
            {},
            config(rope_parameters={"rope_type": kind, "factor": 2.0}),
            CONFIG,
            f"rope_type = {kind!r} is not",
        )
        for kind in ("yarn", "linear", "dynamic", "longrope", "proportional", None, 3)
    },
    "rope: old, linear": (
        {},
        config(rope_scaling={"type": "linear", "factor": 2.0}),
        CONFIG,
        "'linear' is not supported",
    ),
    "rope: a list": ({}, config(rope_parameters=[1]), CONFIG, r"rope_parameters = \[1\] is not supported; an object"),
    "rope: a number": ({}, config(rope_scaling=2.0), CONFIG, "rope_scaling = 2.0 is not supported; an object"),
    "rope: for each layer": (
        {},
        config(rope_parameters={"full_attention": {"rope_theta": 9.0}}),
        CONFIG,
        "one setting for all",
    ),
    "rope: part of a head": (
        {},
        config(rope_parameters={"partial_rotary_factor": 0.25}),
        CONFIG,
        "partial_rotary_factor = 0.25",
    ),
    "rope: no factor": (
        {},
        config(rope_parameters={"rope_type": "llama3"}),
        CONFIG,
        "does not say factor, low_freq_factor, high",
    ),
    "rope: factor 0": (
        {},
        config(rope_parameters=LLAMA3 | {"factor": 0}),
        CONFIG,
        "factor = 0 is not supported; numbers above 0",
    ),
    "rope: factor a text": (
        {},
        config(rope_parameters=LLAMA3 | {"factor": "8"}),
        CONFIG,
        "factor = '8' is not supported",
    ),
    "rope: high below low": (
        {},
        config(rope_parameters=LLAMA3 | {"high_freq_factor": 0.5}),
        CONFIG,
        "low_freq_factor = 1.0, high_freq_factor = 0.5; 0 < low < high works",
    ),
    "rope: original length 0": (
        {},
        config(rope_parameters=LLAMA3 | {"original_max_position_embeddings": 0}),
        CONFIG,
        "original_max_position_embeddings = 0 is not supported; whole numbers from 1 work",
    ),
    "rope: theta 0": ({}, config(rope_parameters={"rope_theta": 0}), CONFIG, "rope_theta = 0 is not supported"),
    "rope: theta a text": (
        {},
        config(rope_parameters=GONE, rope_theta="1e4"),
        CONFIG,
        "rope_theta = '1e4' is not supported",
    ),
    "rope: theta no number": (
        {},
        config(rope_parameters={"rope_theta": float("nan")}),
        CONFIG,
        "rope_theta = nan is not",
    ),
    # config.json: sizes
    **{
        f"{name} = {value!r}": (
            {},
            config(**{name: value}),
            CONFIG,
            re.escape(f"{name} = {value!r} is not supported; whole numbers"),
        )
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "head_dim", "max_position_embeddings")
        for value in (0, -1, 64.0, "64", True, [64])
    },
    **{
        f"no {name}": ({}, config(**{name: GONE}), CONFIG, f"config.json does not say {name}")
        for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    },
    "no KV heads, qwen2": (QWEN2, config(num_key_value_heads=GONE), CONFIG, "does not say num_key_value_heads"),
    "KV heads that do not divide": (
        {},
        config(num_key_value_heads=3),
        CONFIG,
        "num_key_value_heads = 3 does not divide num_att",
    ),
    "heads that do not divide": (
        {},
        config(num_attention_heads=6, head_dim=GONE),
        CONFIG,
        "hidden_size = 64 does not divide by",
    ),
    "an odd head": ({}, config(head_dim=15), CONFIG, "head_dim = 15 cannot be turned in pairs"),
    "eps below 0": (
        {},
        config(rms_norm_eps=-1e-6),
        CONFIG,
        "rms_norm_eps = -1e-06 is not supported; numbers from 0 work",
    ),
    "eps a text": ({}, config(rms_norm_eps="1e-6"), CONFIG, "rms_norm_eps = '1e-6' is not supported"),
    "eps without end": ({}, config(rms_norm_eps=float("inf")), CONFIG, "rms_norm_eps = inf is not supported"),
    "tied a text": (
        {},
        config(tie_word_embeddings="yes"),
        CONFIG,
        "tie_word_embeddings = 'yes' is not supported; true and",
    ),
    "a token a text": ({}, config(bos_token_id="1"), CONFIG, "bos_token_id = '1' is not supported; a token id"),
    # config.json: windows
    "chunked layers": (
        QWEN2,
        config(layer_types=["full_attention", "chunked_attention"]),
        CONFIG,
        "layer_types = .*; 2 of full_",
    ),
    "a layer type too few": (
        QWEN2,
        config(layer_types=["full_attention"]),
        CONFIG,
        "layer_types = .*one for each layer",
    ),
    "layer types a text": (QWEN2, config(layer_types="full_attention"), CONFIG, "layer_types = 'full_attention'"),
    "sliding, no window": (
        QWEN2,
        config(layer_types=["sliding_attention"] * 2),
        CONFIG,
        "sliding_attention needs a sliding_w",
    ),
    "a window of 0": (
        QWEN2,
        config(use_sliding_window=True, sliding_window=0),
        CONFIG,
        "sliding_window = 0 is not supported",
    ),
    "a window a text": ({}, config(sliding_window="8"), CONFIG, "sliding_window = '8' is not supported"),
    # generation_config.json
    "generation: cut off": ({}, cut(GENERATION, 20), GENERATION, "is damaged: it is not JSON"),
    "generation: a list": ({}, text(GENERATION, "[]"), GENERATION, "holds a list"),
    "generation: a pointer": ({}, text(GENERATION, LFS), GENERATION, "is a Git LFS pointer"),
    "generation: a folder": ({}, as_folder(GENERATION), GENERATION, "is a folder"),
    "generation: a broken link": ({}, link(GENERATION, "../0a"), GENERATION, "is a broken link"),
    "generation: end a text": ({}, generation(eos_token_id="2"), GENERATION, "eos_token_id = '2' is not supported"),
    "generation: ends in lists": ({}, generation(eos_token_id=[[2]]), GENERATION, r"eos_token_id = \[\[2\]\] is not"),
    "generation: penalty 0": (
        {},
        generation(repetition_penalty=0.0),
        GENERATION,
        "repetition_penalty = 0.0 is not supported",
    ),
}


@pytest.mark.parametrize(("how", "change", "file", "said"), REFUSED.values(), ids=REFUSED)
def test_one_sentence_names_the_file(how: dict, change: Edit, file: str, said: str, tmp_path: Path) -> None:
    write_model(tmp_path, **how)
    change(tmp_path)
    with pytest.raises(ValueError, match=said) as caught:
        Llama.from_pretrained(tmp_path)
    assert type(caught.value) is ValueError
    assert str(tmp_path / file) in str(caught.value) and "\n" not in str(caught.value)


def test_folders_that_are_none(tmp_path: Path) -> None:
    write_model(tmp_path / "hub" / "snapshots" / "4d7a")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    for folder, said in {
        "absent": r"absent does not exist; a folder with a config.json works \(nothing is downloaded: `hf download",
        "link": r"link is a broken link: nowhere is not there",
        "empty": "empty is no model folder: it has no config.json; it is empty",
        "hub": r"hub is no model folder: .*; it is a hub cache, whose snapshots work: .*hub/snapshots/4d7a$",
        "hub/snapshots/4d7a/config.json": r"config.json is a file; the folder that holds it works: .*/4d7a$",
        "hub/snapshots/4d7a/config.json/x": "cannot be read: Not a directory",
    }.items():
        for read in (Llama.from_pretrained, load_tokenizer):
            with pytest.raises(ValueError, match=said):
                read(tmp_path / folder)
    with pytest.raises(ValueError, match="meta-llama/Llama-3.2-1B does not exist; .*nothing is downloaded"):
        Llama.from_pretrained("meta-llama/Llama-3.2-1B")


TOKENIZERS: dict[str, tuple[Edit, str]] = {
    "none": (remove(TOKENIZER), r"has no tokenizer.json; token ids work"),
    "a pointer": (text(TOKENIZER, LFS), r"tokenizer.json is a Git LFS pointer"),
    "empty": (text(TOKENIZER, ""), r"tokenizer.json is empty"),
    "cut off": (cut(TOKENIZER, 300), r"tokenizer.json is damaged: "),
    "a folder": (as_folder(TOKENIZER), r"tokenizer.json is a folder"),
    "a broken link": (link(TOKENIZER, "../0a"), r"tokenizer.json is a broken link"),
    "no JSON": (text(TOKENIZER, "<html>"), r"tokenizer.json is damaged: "),
    "latin-1": (text(TOKENIZER, b'{"a": "\xe9"}'), r"tokenizer.json is damaged: "),
    "another JSON": (text(TOKENIZER, '{"version": "1.0"}'), r"tokenizer.json is damaged: "),
    "no model inside": (text(TOKENIZER, '{"version": "1.0", "model": {"type": "X"}}'), r"tokenizer.json is damaged: "),
}


@pytest.mark.parametrize(("change", "said"), TOKENIZERS.values(), ids=TOKENIZERS)
def test_tokenizers(change: Edit, said: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("{}")
    train_tokenizer(["hello world. " * 9], 280).save(str(tmp_path / TOKENIZER))
    assert load_tokenizer(tmp_path).decode(load_tokenizer(tmp_path).encode("hello world").ids) == "hello world"
    change(tmp_path)
    with pytest.raises(ValueError, match=said) as caught:
        load_tokenizer(tmp_path)
    assert type(caught.value) is ValueError and str(tmp_path) in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="permissions are Unix'")
@pytest.mark.parametrize("name", [CONFIG, GENERATION, SINGLE, TOKENIZER, ""], ids=lambda name: name or "the folder")
def test_what_may_not_be_read(name: str, tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    train_tokenizer(["hello world. " * 9], 280).save(str(tmp_path / "model" / TOKENIZER))
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        folder = (tmp_path / "model").rename(Path(open_to_all) / "model")
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)
        (folder / name).chmod(0)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            with pytest.raises(ValueError, match="cannot be read: Permission denied") as caught:
                load_tokenizer(folder) if name == TOKENIZER else Llama.from_pretrained(folder)
        finally:
            if root:
                os.seteuid(0)
            (folder / name).chmod(0o755)
        assert str(folder / name) in str(caught.value)
