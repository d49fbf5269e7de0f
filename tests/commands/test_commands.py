"""generate, verify and train from a shell: what they print, write and refuse, alone and under torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
from typer.testing import CliRunner

from tplearn.cli import app
from tplearn.commands.verify import parse_meshes
from tplearn.llama import TINY_LLAMA

PROMPT = "def read_lines(path):\n"


def call(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `tplearn …`."""
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def torchrun(ranks: int, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    command += ["-m", "tplearn.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_the_text_is_the_same_at_every_size_and_that_of_transformers() -> None:
    texts = [call("generate", "--tp", tp, "--tokens", "24", PROMPT)[1] for tp in ("1", "2", "4", "8")]
    theirs = AutoModelForCausalLM.from_pretrained(TINY_LLAMA, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(TINY_LLAMA)
    ids = words(PROMPT, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        due = theirs.generate(**ids, max_new_tokens=24, do_sample=False)
    assert texts == [words.decode(due[0], skip_special_tokens=True) + "\n"] * 4
    assert texts[0].startswith(PROMPT)


@pytest.mark.slow
def test_under_torchrun_one_rank_speaks() -> None:
    done = torchrun(2, "generate", "--device", "cpu", "--tokens", "6", PROMPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(call("generate", "--tokens", "6", PROMPT)[1])
    assert done.stdout.count(PROMPT) == 1 and done.stderr.count("6 tokens: ") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("generate", "--tp", "3", "x"), "num_heads = 8"),
        (("generate", "--model", "/nowhere", "x"), "/nowhere is no model folder: it has no config.json"),
        (("generate", "--tokens", "1000", "x"), "and 1000 new ones do not work"),
        (("generate", "--dtype", "int8", "x"), "dtype = 'int8' does not exist; values that work: float32, bfloat16"),
        (("generate", "--device", "tpu", "x"), "device = 'tpu' does not exist; values that work: auto, cpu, cuda"),
        (("generate", "--device", "cuda", "x"), "device = 'cuda' needs torchrun and a GPU for each rank"),
        (("verify", "--mesh", "1x8,2x2"), "meshes of the same number of ranks work"),
        (("verify", "--mesh", "eight"), "is no list of meshes; a text such as 1x8,2x4 works"),
        (("verify", "--mesh", "1x3"), "num_heads = 8"),
        (("train", "--out", str(TINY_LLAMA)), "already holds a model; an empty or a new folder works"),
        (("train", "--out", "new", "--length", "999"), "length = 999; up to max_position_embeddings = 256 work"),
        (("train", "--out", "new", "--steps", "0"), "steps = 0; numbers from 1 work"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_cannot_work_is_one_message(words: tuple[str, ...], message: str) -> None:
    code, printed, said = call(*words)
    assert code == 2 and printed == ""
    assert said.startswith("tplearn: ") and message in said and "Traceback" not in said


def test_meshes() -> None:
    assert parse_meshes("1x8,2x4") == [(1, 8), (2, 4)]


@pytest.mark.parametrize("model", ["tiny-llama", "qwen2"])
def test_verify_passes_on_four_meshes_of_eight_ranks(model: str, tmp_path: Path) -> None:
    folder = TINY_LLAMA
    if model == "qwen2":
        torch.manual_seed(0)
        sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 300}
        config = Qwen2Config(**sizes, num_attention_heads=8, num_key_value_heads=2, initializer_range=0.2)
        Qwen2ForCausalLM(config).save_pretrained(folder := tmp_path)
    code, printed, _ = call("verify", "--model", str(folder), "--mesh", "1x8,2x4,4x2,8x1")
    assert code == 0 and printed.count("same") == 4 and "DIFFERENT" not in printed
    assert all(f"mesh {mesh}: what each rank holds" in printed for mesh in ("1 × 8", "2 × 4", "4 × 2", "8 × 1"))
    assert printed.count("rank 7") == 4


def test_train_writes_a_folder_that_can_be_asked(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(12):
        (tmp_path / "data" / f"{number}.txt").write_text("the cat sat on the mat. " * 60)
    out = tmp_path / "model"
    words = ("--tp", "2", "--data", str(tmp_path / "data"), "--steps", "30", "--batch", "4", "--length", "32")
    code, printed, said = call("train", "--out", str(out), *words)
    assert code == 0, said
    assert "bits a byte of held-out text" in printed
    told = json.loads((out / "training.json").read_text())
    assert told["losses"][-1] < told["losses"][0] and len(told["held_out"]) == 10
    code, text, _ = call("generate", "--model", str(out), "--tokens", "8", "the cat")
    assert code == 0 and text.startswith("the cat")
    again = call("train", "--out", str(out), *words)
    assert again[0] == 2 and "already holds a model" in again[2]
