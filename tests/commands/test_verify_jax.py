"""`tplearn verify --with jax` and `tplearn plan`: what they print, and what they refuse in one sentence."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from tests.commands.test_commands import call

pytest.importorskip("jax", reason="JAX is not installed; make lab installs it")
pytestmark = pytest.mark.xdist_group("jax")


def cells_of(printed: str) -> list[list[str]]:
    """The cells of every line of every table; a line that goes on with the cell above begins with an empty one."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]


@pytest.fixture(scope="module")
def verified() -> str:
    code, printed, said = call("verify", "--with", "jax", "--mesh", "1x8,2x4,4x2,8x1", "--layers", "2")
    assert code == 0, said
    return printed


def test_all_meshes_agree_and_the_one_of_copies_stands_beside(verified: str) -> None:
    meshes = ["1 × 8", "1 × (kv 4 × copy 2)", "2 × 4", "4 × 2", "8 × 1"]
    verdicts = [cells for cells in cells_of(verified) if cells[-1] in ("same", "DIFFERENT")]
    assert [cells[0] for cells in verdicts] == meshes
    assert all(cells[3:] == ["100.0%", "100.0%", "same"] for cells in verdicts)
    assert "a mesh of kv × copy, with copies of them, stands beside" in verified


def test_the_collectives_are_counted_by_op_shape_and_groups(verified: str) -> None:
    lines = cells_of(verified)
    assert "by hand (chapter 11): 2 · 2 + 1 = 5 all_reduce" in verified
    assert ["2 × 4", "5", "all_reduce", "4×32×192 float32", "0–3 | 4–7"] in lines
    assert ["1 × (kv 4 × copy 2)", "5", "all_reduce", "8×32×192 float32", "0–7"] in lines
    assert ["8 × 1", "0", "none", "", ""] in lines
    first = next(place for place, cells in enumerate(lines) if cells[:2] == ["1 × 8", "4"])
    others = next(place for place, cells in enumerate(lines) if place > first and cells[0])
    counted = [(cells[1], cells[2]) for cells in lines[first:others] if cells[1]]
    assert {op: sum(int(n) for n, name in counted if name == op) for _, op in counted} == {
        "all_gather": 4,
        "all_reduce": 5,
        "all_to_all": 6,
        "collective_permute": 4,
    }


def test_the_bytes_are_those_of_the_layers_that_were_asked_for(verified: str) -> None:
    taken = {cells[0]: cells[-1] for cells in cells_of(verified) if re.fullmatch(r"[\d,]{6,}", cells[-1])}
    assert taken["2 × 4"] == "1,601,280" and taken["1 × (kv 4 × copy 2)"] == "839,424"


def test_the_drawing_shows_what_each_device_holds(verified: str) -> None:
    cells = cells_of(verified)
    assert ["heads 2–3, KV 1, ffn 128–255, words 1024–2047", "device 1", "device 5"] in cells
    assert ["heads 3, KV 1, ffn 192–255, words 1536–2047", "device 3"] in cells, "a copy of KV head 1"
    assert ["heads 1, KV rows 12–23 (of 24 a head), ffn 64–127, words 512–1023", "device 1"] in cells, "half a KV head"
    assert all(f"mesh {mesh}: what each device holds" in verified for mesh in ("1 × 8", "2 × 4", "4 × 2", "8 × 1"))


def test_a_qwen2_with_biases_and_an_odd_vocabulary(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 131}
    config = Qwen2Config(**sizes, num_attention_heads=8, num_key_value_heads=2, initializer_range=0.2)
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    code, printed, said = call("verify", "--with", "jax", "--model", str(tmp_path), "--mesh", "2x4", "--batch", "2")
    assert code == 0 and printed.count("same") == 2, said
    assert "logits of 2 × 32 × 131" in printed and "words 99–130" in printed
    assert "mesh 2 × (kv 2 × copy 2): what each device holds" in printed


def test_a_real_size_is_compiled_without_weights() -> None:
    code, printed, said = call("plan", "--with", "jax", "--model", "llama-3.1-8b", "--mesh", "2x4,1x8", "--layers", "1")
    assert code == 0, said
    assert said.splitlines() == [f"compiling 1 layer for mesh {mesh} …" for mesh in ("2 × 4", "1 × 8")]
    lines = cells_of(printed)
    assert ["2 × 4", "3", "all_reduce", "4×32×4096 float32", "0–3 | 4–7"] in lines
    assert ["1 × 8", "3", "all_reduce", "8×32×4096 float32", "0–7"] in lines
    whole, norms = 2 * 128256 * 4096 + 4 * 4096 * 14336 * 3 // 4 + 2 * 4096 * 4096 + 2 * 4096 * 1024, 3 * 4096
    (bytes_each,) = (cells[2] for cells in lines if cells[0] == "1 × 8" and len(cells) == 5 and "B" in cells[1])
    assert int(bytes_each.replace(",", "")) == 2 * (whole // 8 + norms) + 4 * 8 * 32


VERIFY, PLAN = ("verify", "--with", "jax"), ("plan", "--with", "jax", "--model", "llama-3.1-8b")
REFUSED = [
    (("verify", "--with", "tpu"), "--with tpu: values that work: ranks, jax, torch-xla"),
    (("verify", "--batch", "8"), "--batch 8: --with ranks does not take it; --with jax does"),
    (("verify", "--layers", "2"), "--layers 2: --with ranks does not take it; --with jax does"),
    (("verify", "--with", "torch-xla", "--layers", "2"), "--layers 2: --with torch-xla does not take it; --with jax"),
    ((*VERIFY, "--device", "cuda"), "--device cuda: --with jax plays its devices on the CPU; cpu works"),
    ((*VERIFY, "--mesh", "1x8,2x2"), "--mesh 1x8,2x2: meshes of the same number of ranks work"),
    ((*VERIFY, "--mesh", "1x999"), "--mesh 1x999: up to 256 devices work"),
    ((*VERIFY, "--mesh", "1x8,4x2", "--batch", "6"), "--batch 6: --mesh 1x8,4x2 deals multiples of 4 evenly"),
    ((*VERIFY, "--batch", "0"), "--batch 0: --mesh 1x8,2x4,4x2,8x1 deals multiples of 8 evenly"),
    ((*VERIFY, "--layers", "7"), "--layers 7: numbers from 1 to 6 work"),
    ((*VERIFY, "--model", "/nowhere"), "/nowhere does not exist; a folder with a config.json works"),
    (("plan", "--with", "ranks", "--model", "x"), "--with ranks: values that work: jax"),
    (("plan", "--model", "llama-9"), "--model llama-9: models that work: Llama-3.2-1B, Llama-3.1-8B"),
    (
        ("plan", "--with", "jax", "--model", "Mistral-Nemo-12B"),
        "--model Mistral-Nemo-12B: model_type .*mistral.*types that work: llama",
    ),
    ((*PLAN, "--mesh", "eight"), "--mesh eight: a list of batch x model works"),
    ((*PLAN, "--layers", "0"), "--layers 0: numbers from 1 to 32 work"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(words)[:45] for words, _ in REFUSED])
def test_what_cannot_work_is_one_line(words: tuple[str, ...], message: str) -> None:
    code, printed, said = call(*words)
    assert code == 2 and printed == "" and said.count("\n") == 1, said
    assert said.startswith("tplearn: ") and re.search(message, said), said


@pytest.mark.parametrize("words", [VERIFY, PLAN])
def test_without_jax_a_sentence_says_what_to_do(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    code, printed, said = call(*words)
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert said.startswith("tplearn: JAX is not installed") and "`make lab` installs it" in said


@pytest.mark.slow
def test_another_number_of_devices_in_a_shell() -> None:
    """Each command is a process of its own, which may have any number."""

    def shell(*words: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "tplearn.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    done = shell(*VERIFY, "--mesh", "2x2", "--layers", "1")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert ["2 × 2", "3", "all_reduce", "4×32×192 float32", "0,1 | 2,3"] in cells_of(done.stdout)
    done = shell(*VERIFY, "--mesh", "1x5")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert "tplearn: --mesh 1x5: model.layers.0.self_attn.q_proj.weight of shape (192, 192)" in done.stderr
