"""Folders on ranks: what each rank reads, what saving and resharding keep, and one error that all ranks raise."""

import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.llama.on_ranks import logits, resave, shard
from tests.llama.peer import MODELS, make, save
from tplearn import RankFailed, run_ranks
from tplearn.llama import Llama, generate
from tplearn.llama.files import INDEX, SINGLE

LLAMA3, NINE, QWEN, UNTIED, GIVEN = MODELS


@pytest.mark.parametrize(("name", "tp"), [(LLAMA3, 2), (LLAMA3, 8), (NINE, 3), (QWEN, 4), (GIVEN, 4)])
def test_each_rank_reads_its_own_bytes(name: str, tp: int, tmp_path: Path) -> None:
    folder = save(make(name, 1, torch.float32), tmp_path)
    whole = shard(folder)[2]
    for read, held, dense in run_ranks(shard, tp, folder).values:
        assert read == held
        assert all(torch.equal(dense[key], whole[key]) for key in whole)


def test_a_model_in_many_files(tmp_path: Path) -> None:
    judge = make(UNTIED, 2, torch.float32)
    folder = save(judge, tmp_path, max_shard_size="50KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert_same(judge, run_ranks(logits, 2, folder, torch.arange(9)[None]).values[0])


def test_fused_projections(tmp_path: Path) -> None:
    judge = make(QWEN, 3, torch.float32)
    tensors = load_file(save(judge, tmp_path) / SINGLE)
    for layer in range(3):
        for fused, parts in (
            ("self_attn.qkv_proj", "self_attn.{}_proj:q:k:v"),
            ("mlp.gate_up_proj", "mlp.{}_proj:gate:up"),
        ):
            form, *names = parts.split(":")
            for kind in ("weight", "bias"):
                keys = [f"model.layers.{layer}.{form.format(name)}.{kind}" for name in names]
                if keys[0] in tensors:
                    tensors[f"model.layers.{layer}.{fused}.{kind}"] = torch.cat([tensors.pop(key) for key in keys])
    save_file(tensors, tmp_path / SINGLE)
    assert_same(judge, run_ranks(logits, 4, tmp_path, torch.arange(9)[None]).values[0])


def assert_same(judge: torch.nn.Module, own: Tensor) -> None:
    with torch.no_grad():
        assert (judge(torch.arange(9)[None]).logits - own).abs().max() < 1e-4


@pytest.mark.parametrize("name", [LLAMA3, QWEN])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_two_to_four_and_back_keeps_every_bit(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    judge = make(name, 4, dtype)
    first = save(judge, tmp_path / "first")
    run_ranks(resave, 2, first, tmp_path / "two", dtype, 50_000)
    run_ranks(resave, 4, tmp_path / "two", tmp_path / "four", dtype, 1 << 30)
    run_ranks(resave, 2, tmp_path / "four", tmp_path / "again", dtype, 1 << 30)
    due = load_file(first / SINGLE)
    last = load_file(tmp_path / "again" / SINGLE)
    assert due.keys() == last.keys()
    assert all(torch.equal(due[key], last[key]) and due[key].dtype == last[key].dtype for key in due)
    read = [type(judge).from_pretrained(path, dtype=dtype) for path in (first, tmp_path / "two", tmp_path / "again")]
    with torch.no_grad():  # and transformers reads what was written
        before, *after = (model(torch.arange(9)[None]).logits for model in read)
    assert all(torch.equal(logits, before) for logits in after)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(make(LLAMA3, 5, torch.float32), tmp_path / "model")


def refused(folder: Path, tp: int = 2) -> str:
    """The message that every rank stops with, and run_ranks gives once."""
    with pytest.raises(RankFailed) as caught:
        run_ranks(logits, tp, folder, torch.arange(9)[None])
    messages = {traceback.strip().splitlines()[-1] for traceback in caught.value.tracebacks.values()}
    assert len(messages) == 1, messages
    return messages.pop()


def test_a_truncated_file(folder: Path) -> None:
    file = folder / SINGLE
    file.write_bytes(file.read_bytes()[:-100])
    assert f"ValueError: {file} is damaged: " in refused(folder)


def test_a_missing_file(tmp_path: Path) -> None:
    folder = save(make(LLAMA3, 5, torch.float32), tmp_path, max_shard_size="50KB")
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    assert refused(folder) == f"ValueError: {gone} is missing, and {INDEX} names it; a complete download works"


def test_a_missing_tensor_and_a_wrong_shape(folder: Path) -> None:
    tensors = load_file(folder / SINGLE)
    save_file({key: t for key, t in tensors.items() if key != "model.norm.weight"}, folder / SINGLE)
    assert f"ValueError: {folder} has no tensor 'model.norm.weight', which config.json asks for" in refused(folder)
    tensors["model.norm.weight"] = torch.ones(63)
    save_file(tensors, folder / SINGLE)
    assert "model.norm.weight has shape (63,); config.json asks for (64,)" in refused(folder)


def test_ranks_that_do_not_divide_the_heads(folder: Path) -> None:
    assert "num_heads = 8" in refused(folder, 3) and "1, 2, 4, 8" in refused(folder, 3)


def test_numbers_that_are_not_finite_are_warned_of(folder: Path) -> None:
    tensors = load_file(folder / SINGLE)
    tensors["model.layers.1.mlp.down_proj.weight"][3, 4] = torch.nan
    save_file(tensors, folder / SINGLE)
    with pytest.warns(UserWarning, match=r"layers.1.mlp.down_proj.weight of .* has numbers that are NaN or infinite"):
        Llama.from_pretrained(folder)


def test_prompts_that_do_not_fit(folder: Path) -> None:
    model = Llama.from_pretrained(folder)
    with pytest.raises(ValueError, match="a prompt of 250 tokens and 7 new ones do not work; .* up to 256 together"):
        generate(model, torch.zeros(1, 250, dtype=torch.long), 7)
    with pytest.raises(ValueError, match="257 tokens are more than the model allows: up to 256 work"):
        model(torch.zeros(1, 257, dtype=torch.long))
    with pytest.raises(ValueError, match="a prompt of 0 tokens"):
        generate(model, torch.zeros(1, 0, dtype=torch.long), 7)
    with pytest.raises(ValueError, match="temperature = 0 does not work"):
        generate(model, torch.zeros(1, 1, dtype=torch.long), 7, temperature=0)
    with pytest.raises(ValueError, match="top_p = 2 is no share"):
        generate(model, torch.zeros(1, 1, dtype=torch.long), 7, temperature=1.0, top_p=2)


def test_a_whole_folder_loads_without_a_warning(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Llama.from_pretrained(folder)
