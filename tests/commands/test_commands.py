"""generate, verify and train from a shell: what they print, write and refuse, alone and under torchrun."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
from typer.testing import CliRunner

from tplearn.cli import app
from tplearn.commands.verify import parse_meshes
from tplearn.llama import TINY_LLAMA, Llama, LlamaConfig
from tplearn.llama.corpus import train_tokenizer

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


HEADS = "tiny-llama cannot be cut over tp = 3 ranks: num_attention_heads = 8, .*; sizes that work: 1, 2, 4, 8"
REFUSED = [
    (("generate", "--tp", "3", "x"), f"--tp 3: {HEADS}"),
    (("generate", "--tp", "0", "x"), "--tp 0: numbers from 1 work"),
    (("generate", "--tp", "-2", "x"), "--tp -2: numbers from 1 work"),
    (("generate", "--model", "/nowhere", "x"), "/nowhere does not exist; a folder with a config.json works"),
    (("generate", "--model", str(TINY_LLAMA / "config.json"), "x"), "config.json is a file; the folder that holds it"),
    (
        ("generate", "--tokens", "1000", "x"),
        "--tokens 1000: the prompt has 1 tokens, and the model allows 256 together; ",
    ),
    (("generate", "--tokens", "0", "x"), "--tokens 0: numbers from 1 work"),
    (("generate", "x " * 300), r"the prompt has \d+ tokens, and the model allows 256; a shorter one works"),
    (("generate", "\udcff"), r"the prompt '\\udcff' is not UTF-8 text"),
    (("generate", "--dtype", "int8", "x"), "--dtype int8: values that work: float32, bfloat16, float16, float64"),
    (("generate", "--device", "tpu", "x"), "--device tpu: values that work: auto, cpu, cuda"),
    (
        ("generate", "--device", "cuda", "x"),
        "--device cuda: needs torchrun and a GPU for each rank; --device cpu works",
    ),
    (
        ("generate", "--temperature", "0", "x"),
        "--temperature 0: numbers above 0 work; without --temperature the likeliest",
    ),
    (("generate", "--temperature", "-0.5", "x"), "--temperature -0.5: numbers above 0 work"),
    (("generate", "--temperature", "nan", "x"), "--temperature nan: numbers above 0 work"),
    (("generate", "--temperature", "inf", "x"), "--temperature inf: numbers above 0 work"),
    (
        ("generate", "--top-p", "0.5", "x"),
        "--top-p 0.5: tokens are drawn with --temperature only; --temperature 1 works",
    ),
    (("generate", "--top-p", "0", "--temperature", "1", "x"), "--top-p 0: numbers above 0 up to 1 work"),
    (("generate", "--top-p", "1.5", "--temperature", "1", "x"), "--top-p 1.5: numbers above 0 up to 1 work"),
    (("generate", "--seed", "3", "x"), "--seed 3: tokens are drawn with --temperature only"),
    (("generate", "--seed", "-1", "--temperature", "1", "x"), "--seed -1: whole numbers from 0 to 9223372036854775807"),
    (("verify", "--mesh", "1x8,2x2"), "--mesh 1x8,2x2: meshes of the same number of ranks work"),
    (("verify", "--mesh", "eight"), "--mesh eight: a list of batch x model works, such as 1x8,2x4"),
    (("verify", "--mesh", "2x"), "--mesh 2x: a list of batch x model works"),
    (("verify", "--mesh", "0x4"), "--mesh 0x4: a list of batch x model works"),
    (("verify", "--mesh", ""), "--mesh : a list of batch x model works"),
    (("verify", "--mesh", "1x3"), f"--mesh 1x3: {HEADS}"),
    (("verify", "--model", "/nowhere"), "/nowhere does not exist"),
    (("verify", "--device", "tpu"), "--device tpu: values that work"),
    (("train", "--out", str(TINY_LLAMA)), "it already holds a model; an empty or a new folder works"),
    (
        ("train", "--out", str(TINY_LLAMA / "config.json" / "x")),
        "--out .*/config.json/x: it cannot be made: Not a directory",
    ),
    (("train", "--out", "new", "--length", "999"), "--length 999: up to 256 work"),
    (("train", "--out", "new", "--length", "0"), "--length 0: numbers from 1 work"),
    (("train", "--out", "new", "--steps", "0"), "--steps 0: numbers from 1 work"),
    (("train", "--out", "new", "--batch", "-1"), "--batch -1: numbers from 1 work"),
    (("train", "--out", "new", "--seed", "-1"), "--seed -1: whole numbers from 0"),
    (("train", "--out", "new", "--tp", "3"), "--tp 3: this model cannot be cut over tp = 3 ranks"),
    (("train", "--out", "new", "--data", "/nowhere"), "/nowhere holds no text to train on; a folder with .py, .md or"),
    (("train", "--out", "new", "--config", "/nowhere"), "/nowhere does not exist"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(words)[:40] for words, _ in REFUSED])
def test_what_cannot_work_is_one_line_in_the_words_of_the_command(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, said = call(*words)
    assert code == 2 and printed == ""
    assert said.startswith("tplearn: ") and said.count("\n") == 1 and re.search(message, said), said
    assert not re.search(r" = None|\.py:\d|ranks? \d+ raised|Traceback", said), said
    assert not list(tmp_path.iterdir())


def test_a_damaged_folder_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(TINY_LLAMA, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    for words in (("generate", "--tp", "2", "x"), ("verify", "--mesh", "1x2")):
        code, printed, said = call(*words, "--model", str(tmp_path / "model"))
        pointer = f"{tmp_path / 'model' / 'model.safetensors'} is a Git LFS pointer, not the file itself; "
        assert (code, printed, said.count("\n")) == (2, "", 1) and said.startswith(f"tplearn: {pointer}")


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    shutil.copytree(TINY_LLAMA, tmp_path / "model")
    train_tokenizer([Path(__file__).read_text()], 700).save(str(tmp_path / "model" / "tokenizer.json"))
    small = LlamaConfig(32, 48, 1, 2, 2, 300, max_position_embeddings=64)
    Llama(small).save_pretrained(tmp_path / "model")
    code, _, said = call("generate", "--model", str(tmp_path / "model"), "def test_a_tokenizer_of_another_model")
    assert code == 2 and re.search(r"tokenizer.json has the token \d+, and the model's vocab_size is 300; the", said), (
        said
    )


def test_what_the_folder_asks_for_in_vain_is_told_once(tmp_path: Path) -> None:
    shutil.copytree(TINY_LLAMA, tmp_path / "model")
    wishes = {"eos_token_id": 0, "top_k": 20, "no_repeat_ngram_size": 2}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(wishes))
    said = [
        call("generate", "--model", str(tmp_path / "model"), "--tp", "2", "--tokens", "2", *drawn, "x")[2].splitlines()
        for drawn in ((), ("--temperature", "1", "--top-p", "0.9", "--seed", "4"))
    ]
    assert [len(lines) for lines in said] == [2, 2]
    assert said[0][1] == "generation_config.json asks for no_repeat_ngram_size = 2, which is not done here"
    assert said[1][1].startswith("generation_config.json asks for no_repeat_ngram_size = 2, top_k = 20, which")


def test_training_says_what_stands_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "short.txt").write_text("the cat sat. ")
    words = ("train", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "new"))
    code, _, said = call(*words, "--length", "32")
    assert code == 2 and re.search(
        r"^tplearn: --length 32: the text has \d+ tokens; shorter windows work, or more", said
    )
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "model.safetensors").write_text("years of work")
    assert "already holds a model" in call(*words, "--length", "2")[2]
    assert (tmp_path / "new" / "model.safetensors").read_text() == "years of work"


@pytest.mark.slow
def test_under_torchrun_the_number_of_ranks_is_torchruns() -> None:
    done = torchrun(2, "generate", "--tp", "4", "x")
    assert done.returncode and "tplearn: --tp asks for 4 ranks, and torchrun started 2; 2 work" in done.stderr
    done = torchrun(3, "generate", "x")
    assert done.returncode and "tplearn: torchrun: tiny-llama cannot be cut over tp = 3 ranks" in done.stderr


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
