"""Folders as they are met: the logits that transformers gets from them, on two ranks."""

import shutil
import warnings
from pathlib import Path

import pytest
import torch

from tests.llama.folders import (
    GONE,
    IDS,
    Edit,
    Tensors,
    add,
    config,
    index,
    link,
    logits,
    rename,
    shards,
    text,
    theirs,
    weights,
    write_model,
    write_tensors,
)
from tests.llama.on_ranks import logits as logits_on_ranks
from tests.llama.on_ranks import tied
from tplearn import run_ranks
from tplearn.llama import Llama
from tplearn.llama.files import SINGLE

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
TIED, MANY = {"tie_word_embeddings": True}, {"max_shard_size": "50KB"}
QWEN2 = {"family": "qwen2"}
INV_FREQ = torch.full((8,), 3.0)


def embedding_as(change: float) -> Edit:
    """A head beside the embedding of a tied model: `change` is added to its last row, which is the last rank's."""

    def with_head(old: Tensors) -> Tensors:
        head = old["model.embed_tokens.weight"].clone()
        head[-1] += change
        return old | {"lm_head.weight": head}

    return weights(with_head)


def hub_cache(folder: Path) -> None:
    """snapshots/REVISION/file → ../../blobs/HASH, and the snapshot in the folder's place."""
    hub = folder.with_name("hub")
    snapshot = hub / "snapshots" / "4d7a"
    snapshot.mkdir(parents=True)
    (hub / "blobs").mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        shutil.move(file, hub / "blobs" / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    folder.rmdir()
    folder.symlink_to(snapshot)


def other_single(folder: Path) -> None:
    """A whole model of other numbers beside the files of an index: transformers reads that."""
    model = write_model(folder.with_name("other"), num_hidden_layers=2, rms_norm_eps=1e-6)
    write_tensors(folder / SINGLE, {name: 2 * tensor for name, tensor in model.state_dict().items()})


# Each: what write_model gets, and what is changed then.
SAME: dict[str, tuple[dict, Edit]] = {
    # names
    "as it is written": ({}, lambda _: None),
    "qwen2, as it is written": (QWEN2, lambda _: None),
    "names of the base model": ({}, rename(lambda name: name.removeprefix("model."))),
    "names of the base model, qwen2, tied": (QWEN2 | TIED, rename(lambda name: name.removeprefix("model."))),
    "some names of the base model": (
        {},
        rename(lambda name: name.removeprefix("model.") if "layers.1." in name else name),
    ),
    "model. twice": ({}, rename(lambda name: f"model.{name}")),
    "the head under model.": ({}, rename(lambda name: name.replace("lm_head", "model.lm_head"))),
    "inverse frequencies of each layer": (
        {},
        add(**{f"model__layers__{number}__self_attn__rotary_emb__inv_freq": INV_FREQ for number in range(2)}),
    ),
    "inverse frequencies of the model": ({}, add(model__rotary_emb__inv_freq=INV_FREQ)),
    # the head
    "tied, no head": (TIED, lambda _: None),
    "tied, an equal head": (TIED, embedding_as(0.0)),
    "tied, a head that differs in its last row": (TIED, embedding_as(1.0)),
    "untied weights, config.json says tied": ({}, config(tie_word_embeddings=True)),
    "tied, the head alone": (TIED, rename(lambda name: name.replace("model.embed_tokens", "lm_head"))),
    "tied, the head alone, model. before it": (
        TIED,
        rename(lambda name: name.replace("model.embed_tokens", "model.lm_head")),
    ),
    # kinds of numbers
    "float16": ({}, weights(lambda old: {name: tensor.half() for name, tensor in old.items()})),
    "bfloat16": (QWEN2, weights(lambda old: {name: tensor.bfloat16() for name, tensor in old.items()})),
    "float64": ({}, weights(lambda old: {name: tensor.double() for name, tensor in old.items()})),
    "mixed": ({}, weights(lambda old: {k: t.double() if "norm" in k else t.bfloat16() for k, t in old.items()})),
    "dtype unknown": ({}, config(dtype=GONE, torch_dtype="float12")),
    # files
    "many files": (MANY, lambda _: None),
    "an index that leaves tensors out": (MANY, index(lambda content: content["weight_map"].pop("model.norm.weight"))),
    "an index that places a tensor wrongly": (
        MANY,
        index(lambda content: content["weight_map"].update({"model.norm.weight": min(content["weight_map"].values())})),
    ),
    "an index with a tensor that is nowhere": (
        MANY,
        index(lambda content: content["weight_map"].update({"model.x": min(content["weight_map"].values())})),
    ),
    "one file beside an index": (MANY, other_single),
    "a broken link beside an index": (MANY, link(SINGLE, "nowhere")),
    "another file that nobody names": ({}, text("consolidated.safetensors", "not read")),
    "a hub cache": ({}, hub_cache),
    "a hub cache, many files": (MANY | QWEN2, hub_cache),
    # config.json: rotary positions
    "rope: nothing": ({}, config(rope_parameters=GONE)),
    "rope: null": ({}, config(rope_parameters=None)),
    "rope: a type": ({}, config(rope_parameters={"rope_type": "default"})),
    "rope: an integer": ({}, config(rope_parameters={"rope_theta": 500})),
    "rope: of transformers 4": ({}, config(rope_parameters=GONE, rope_theta=777.0, rope_scaling=None)),
    "rope: theta inside counts": ({}, config(rope_parameters={"rope_theta": 99.0}, rope_theta=5.0)),
    "rope: llama3": ({}, config(rope_parameters=LLAMA3 | {"rope_type": "llama3", "rope_theta": 5e3})),
    "rope: llama3, no original length": (
        {},
        config(
            rope_parameters=LLAMA3 | {"rope_type": "llama3", "rope_theta": 1e4},
            max_position_embeddings=32,
        ),
    ),
    "rope: llama3, original length beside": (
        QWEN2,
        config(
            rope_parameters=LLAMA3 | {"rope_type": "llama3", "original_max_position_embeddings": 64},
            original_max_position_embeddings=8,
        ),
    ),
    "rope: llama3, of transformers 4": (
        {},
        config(
            rope_parameters=GONE,
            rope_theta=5e5,
            rope_scaling=LLAMA3 | {"type": "llama3", "original_max_position_embeddings": 16},
        ),
    ),
    "rope: rope_scaling counts": (
        {},
        config(
            rope_parameters={"rope_type": "default", "rope_theta": 9.0},
            rope_scaling=LLAMA3 | {"rope_type": "llama3", "original_max_position_embeddings": 16},
        ),
    ),
    # config.json: sizes and more
    "no KV heads": ({"num_key_value_heads": 4}, config(num_key_value_heads=GONE)),
    "KV heads null": (QWEN2 | {"num_key_value_heads": 4}, config(num_key_value_heads=None)),
    "head_dim null": ({}, config(head_dim=None)),
    "head_dim given": ({"head_dim": 24}, lambda _: None),
    "no activation": ({}, config(hidden_act=GONE)),
    "swish": ({}, config(hidden_act="swish")),
    "no eps": ({"rms_norm_eps": 1e-6}, config(rms_norm_eps=GONE)),
    "no length": (QWEN2, config(max_position_embeddings=GONE)),
    "no tie": ({}, config(tie_word_embeddings=GONE)),
    "not quantized": ({}, config(quantization_config=None)),
    "biases that qwen2 has anyway": (QWEN2, config(attention_bias=True, mlp_bias=True)),
    "tokens that no text has": ({}, config(pad_token_id=-1, eos_token_id=[2, 7])),
    "names in another script": ({}, config(_name_or_path="модель/模型")),
    "a field that nobody knows": ({}, config(flavour={"of": ["the", "day"]})),
    # sliding windows: no say, or as long as the text
    "window off": (QWEN2, config(use_sliding_window=False, sliding_window=4)),
    "window above all layers": (QWEN2, config(use_sliding_window=True, sliding_window=4, layer_types=GONE)),
    "window of no layer": (
        QWEN2,
        config(use_sliding_window=True, sliding_window=4, layer_types=["full_attention"] * 2),
    ),
    "window null": (
        QWEN2,
        config(use_sliding_window=True, sliding_window=None, layer_types=GONE, max_window_layers=0),
    ),
    "window as long as the text": (
        QWEN2,
        config(use_sliding_window=True, sliding_window=12, layer_types=GONE, max_window_layers=1),
    ),
    "window of a llama": ({}, config(sliding_window=12)),
}


@pytest.mark.parametrize(("how", "change"), SAME.values(), ids=SAME)
@pytest.mark.filterwarnings("ignore")
def test_the_logits_of_transformers(how: dict, change: Edit, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model(folder, **how)
    change(folder)
    due = logits(theirs(folder))
    for own in run_ranks(logits_on_ranks, 2, folder, IDS).values:
        assert (own - due).abs().max() < 1e-4 * due.abs().max()


# transformers stumbles over these, though it is clear what they say.
CLEAR: dict[str, tuple[dict, Edit]] = {
    "an index without metadata": (MANY, index(lambda content: content.pop("metadata"))),
    "qwen2, head_dim null": (QWEN2, config(head_dim=None)),
    "eps a whole number": ({"rms_norm_eps": 1.0}, config(rms_norm_eps=1)),
    "tie null": ({}, config(tie_word_embeddings=None)),
    "theta null": ({}, config(rope_parameters={"rope_theta": None})),
}


@pytest.mark.parametrize(("how", "change"), CLEAR.values(), ids=CLEAR)
def test_the_logits_that_were_written(how: dict, change: Edit, tmp_path: Path) -> None:
    due = logits(write_model(tmp_path, **how))
    change(tmp_path)
    assert (Llama.from_pretrained(tmp_path)(IDS) - due).abs().max() < 1e-4 * due.abs().max()


def test_variants_are_variants(tmp_path: Path) -> None:
    """The judge sees the difference: theta, scaling and a head of its own change the logits by far more than 1e-4."""
    due = logits(write_model(tmp_path / "model"))
    for name in ("rope: an integer", "rope: llama3", "rope: of transformers 4", "rope: rope_scaling counts"):
        shutil.copytree(tmp_path / "model", tmp_path / name)
        SAME[name][1](tmp_path / name)
        assert (logits(theirs(tmp_path / name)) - due).abs().max() > 1e-2 * due.abs().max(), name


@pytest.mark.parametrize("tp", [1, 2, 3])
@pytest.mark.filterwarnings("ignore")
def test_all_ranks_tie_or_none(tp: int, tmp_path: Path) -> None:
    write_model(tmp_path, **TIED, hidden_size=96, num_attention_heads=6, num_key_value_heads=6)
    embedding_as(0.0)(tmp_path)
    assert set(run_ranks(tied, tp, tmp_path).values) == {(True, True)}
    embedding_as(1.0)(tmp_path)
    assert set(run_ranks(tied, tp, tmp_path).values) == {(False, False)}


def test_a_head_that_differs_is_told_and_kept(tmp_path: Path) -> None:
    write_model(tmp_path / "model", **TIED)
    embedding_as(1.0)(tmp_path / "model")
    with pytest.warns(UserWarning, match="tie_word_embeddings is true, but lm_head.weight is another matrix"):
        model = Llama.from_pretrained(tmp_path / "model")
    model.save_pretrained(tmp_path / "again")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Llama.from_pretrained(tmp_path / "again")
    assert torch.equal(again.lm_head.weight, model.lm_head.weight) and not again.config.tie_word_embeddings
    assert torch.equal(logits(theirs(tmp_path / "again")), logits(theirs(tmp_path / "model")))


def test_a_window_is_a_limit(tmp_path: Path) -> None:
    write_model(tmp_path, "qwen2")
    config(use_sliding_window=True, sliding_window=11, layer_types=GONE, max_window_layers=1)(tmp_path)
    model = Llama.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"12 tokens are more than the model allows: up to 11 \(its sliding window\)"):
        model(IDS)
    due = logits(theirs(tmp_path))
    full = logits(write_model(tmp_path, "qwen2"))
    assert (full - due).abs().max(-1).values.max(0).values[:11].max() < 1e-5 < (full - due)[:, 11].abs().max()
    model.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(theirs(tmp_path / "again")), due)  # the window is kept


def test_a_folder_that_is_saved_into_again(tmp_path: Path) -> None:
    """Nothing of an earlier save is read, or left behind; a file that is a link is not written through."""
    first, second = tmp_path / "first", tmp_path / "second"
    write_model(first, **MANY)
    Llama.from_pretrained(first).save_pretrained(second, max_file_bytes=50_000)
    assert len(shards(second)) > 2
    one = Llama.from_pretrained(second)
    with torch.no_grad():
        one.norm.weight.mul_(2)
    one.save_pretrained(second)
    assert [path.name for path in sorted(second.glob("*.safetensors*"))] == [SINGLE]
    one.save_pretrained(second, max_file_bytes=50_000)
    assert not (second / SINGLE).exists()
    assert torch.equal(Llama.from_pretrained(second)(IDS), one(IDS))
    hub_cache(second)
    blobs = {path: path.read_bytes() for path in (second.resolve().parents[1] / "blobs").iterdir()}
    Llama.from_pretrained(first).save_pretrained(second, max_file_bytes=50_000)
    assert all(path.read_bytes() == content for path, content in blobs.items())
