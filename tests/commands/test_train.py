"""`tplearn train` on meshes: the same curve, the same bits, and a run that was killed goes on where it was."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.commands.test_commands import call, torchrun
from tplearn.commands.train_log import read_log
from tplearn.llama import LlamaConfig
from tplearn.show.curves import training_curves

pytestmark = pytest.mark.xdist_group("train")  # the run that others are compared with is made once
SMALL = LlamaConfig(16, 24, 1, 4, 2, 300, max_position_embeddings=64, tie_word_embeddings=True)
SIZES = ("--steps", "20", "--batch", "8", "--length", "16", "--dropout", "0.1", "--seed", "3")
NAMES = ("step", "loss", "norm", "rate", "tokens", "seconds", "tokens_per_second", "held_out_bits")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a small run on a few hundred lines of Python."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "config.json").write_text(json.dumps(SMALL.fields()))
    (folder / "texts").mkdir()
    for number, path in enumerate(sorted(Path(json.__file__).parent.glob("*.py"))):
        (folder / "texts" / f"{number}.txt").write_text(path.read_text()[:3000])
    return ["--data", str(folder / "texts"), "--config", str(folder), "--dtype", "float64", *SIZES]


def train(out: Path, *words: str) -> list[dict]:
    """The log of a run that ends well."""
    code, printed, said = call("train", "--out", str(out), *words)
    assert code == 0, said
    assert re.search(r"[\d,]+ parameters, \d+\.\d\d bits a byte", printed)
    return read_log(out / "log.jsonl")


@pytest.fixture(scope="module")
def due(given: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The log of one process."""
    out = tmp_path_factory.mktemp("due") / "run"
    process = start("--out", str(out), *given)
    assert process.wait(300) == 0, process.stderr.read()
    return read_log(out / "log.jsonl")


def same_curve(rows: list[dict], due: list[dict]) -> bool:
    """Loss, norm and held-out bits of every step, to 1e-12."""
    pairs = zip(rows, due, strict=True)
    keys = ("step", "loss", "norm", "held_out_bits")
    return all(a[k] == b[k] or math.isclose(a[k], b[k], rel_tol=1e-12) for a, b in pairs for k in keys)


WAYS = [("--mesh", "2x2"), ("--mesh", "4x1", "--data-parallel", "fsdp"), ("--tp", "2", "--sequence-parallel")]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[1])
def test_the_curve_is_that_of_one_process(
    way: tuple[str, ...], given: list[str], due: list[dict], tmp_path: Path
) -> None:
    rows = train(tmp_path / "run", *way, *given)
    assert same_curve(rows, due) and rows[-1]["loss"] < rows[0]["loss"] - 0.1
    assert [tuple(row) for row in rows] == [NAMES] * 20
    assert [row["step"] for row in rows if row["held_out_bits"] is not None] == list(range(2, 21, 2))
    assert rows[-1]["tokens"] == 20 * 8 * 16  # whatever the mesh
    told = json.loads((tmp_path / "run" / "training.json").read_text())
    assert len(told["losses"]) == 2 and told["recipe"]["dropout"] == 0.1 and len(told["held_out"]) == 10
    assert "<svg" in (tmp_path / "run" / "curves.svg").read_text()
    assert [path.name for path in (tmp_path / "run" / "snapshots").iterdir()] == ["step-00000020"]


def test_a_second_run_has_the_same_bits(given: list[str], tmp_path: Path) -> None:
    logs = [train(tmp_path / name, "--mesh", "2x2", *given) for name in "ab"]
    assert [row["loss"] for row in logs[0]] == [row["loss"] for row in logs[1]]
    models = [load_file(tmp_path / name / "model.safetensors") for name in "ab"]
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0].keys() | models[1].keys())


@pytest.mark.slow
def test_under_torchrun_too(given: list[str], due: list[dict], tmp_path: Path) -> None:
    done = torchrun(4, "train", "--out", str(tmp_path / "run"), "--mesh", "2x2", "--device", "cpu", *given)
    assert done.returncode == 0, done.stderr
    assert same_curve(read_log(tmp_path / "run" / "log.jsonl"), due)
    assert done.stdout.count("bits a byte of held-out text") == 1
    assert (tmp_path / "run" / "curves.svg").exists()


def start(*words: str) -> subprocess.Popen:
    """The command in a process of its own, one thread a rank: two would wait for each other where others compute."""
    command = [sys.executable, "-m", "tplearn.cli", "train", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    )


def ranks_below(process: subprocess.Popen) -> list[psutil.Process]:
    """The ranks are children of the server that the command has started."""
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]


def kill_at_random(process: subprocess.Popen, log: Path, seen: int, whole: bool) -> None:
    """SIGKILL to the command, or to one of its ranks, a moment after a step that nobody has seen yet."""
    limit = time.monotonic() + 300
    while len(read_log(log)) <= seen and process.poll() is None:
        assert time.monotonic() < limit, "no step in five minutes"
        time.sleep(0.005)
    time.sleep(random.random() * 0.3)
    if process.poll() is None:
        children = ranks_below(process)
        victim = process.pid if whole or len(children) < 2 else random.choice(children[1:]).pid
        os.kill(victim, signal.SIGKILL)
    process.wait(60)
    psutil.wait_procs(children if process.returncode else [], timeout=20)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_been(
    given: list[str], due: list[dict], tmp_path: Path
) -> None:
    """On another mesh each time; a snapshot after each step, so that some of the kills hit one."""
    out = tmp_path / "run"
    meshes = ["2x2", "1x4", "4x1"]
    words = given
    for number, mesh in enumerate(meshes):
        seen = len(read_log(out / "log.jsonl"))
        process = start("--out", str(out), "--mesh", mesh, "--snapshot-every", "1", *words)
        kill_at_random(process, out / "log.jsonl", seen, whole=number % 2 == 0)
        words = ["--resume"]
    if not (out / "training.json").exists():
        train(out, "--mesh", "1x1", "--resume")
    assert same_curve(read_log(out / "log.jsonl"), due)


def test_what_a_resumed_run_refuses(given: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("train", "--out", str(out), "--resume")
    assert f"--out {out}: it holds no run to resume; without --resume one begins" in call(*words)[2]
    assert "--steps 30: a resumed run keeps what it began with; without it works" in call(*words, "--steps", "30")[2]
    train(out, *given, "--steps", "2")
    assert f"--out {out}: its run is finished" in call(*words)[2]
    (out / "training.json").unlink()
    assert f"--out {out}: it already holds a model" in call("train", "--out", str(out))[2]
    for name in (
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        (out / name).unlink()
    assert f"--out {out}: it holds a run; --resume goes on with it" in call("train", "--out", str(out))[2]
    assert "--mesh 1x3: this model cannot be cut over tp = 3 ranks" in call(*words, "--mesh", "1x3")[2]
    assert "--mesh 3x1: batch = 8 does not divide by dp · accumulate = 3 · 1" in call(*words, "--mesh", "3x1")[2]
    plan = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(plan | {"text": "another"}))
    assert "is not the text that the run began with; the same text works" in call(*words)[2]
    (out / "run.json").write_text("{")
    assert "run.json" in call(*words)[2]


REFUSED = [
    (("--mesh", "2y2"), "--mesh 2y2: a list of batch x model works"),
    (("--mesh", "2x2,4x1"), "--mesh 2x2,4x1: one mesh of dp x tp works, such as 2x2"),
    (("--mesh", "2x2", "--tp", "2"), "--mesh 2x2: --tp says the same in another way; one of the two works"),
    (("--mesh", "1x3"), "--mesh 1x3: this model cannot be cut over tp = 3 ranks"),
    (("--mesh", "3x1"), "--mesh 3x1: batch = 16 does not divide by dp · accumulate = 3 · 1; multiples of 3 work"),
    (("--data-parallel", "zero"), "--data-parallel zero: values that work: hand, ddp, fsdp"),
    (("--snapshot-every", "0"), "--snapshot-every 0: numbers from 1 work"),
    (("--dropout", "1"), "--dropout 1: numbers from 0 up to, but not, 1 work"),
    (("--accumulate", "0"), "--accumulate 0: numbers from 1 work"),
    (("--dtype", "int8"), "--dtype int8: values that work: float32, float64"),
    (("--mesh", "1x4", "--sequence-parallel", "--length", "30"), "--sequence-parallel: --length 30 cannot be cut"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_cannot_work_is_one_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code, _, told = call("train", "--out", str(tmp_path / "new"), *words)
    assert code == 2 and told.startswith("tplearn: ") and said in told and told.count("\n") == 1, told
    assert not (tmp_path / "new").exists()


def test_curves_refuse_what_they_cannot_show() -> None:
    row = dict.fromkeys(NAMES, 1.0)
    assert len(training_curves({"a": [row], "b": [row] * 999}).axes) == 3
    with pytest.raises(ValueError, match="the run 'b' has no rows"):
        training_curves({"a": [row], "b": []})
    with pytest.raises(ValueError, match="5 runs cannot be drawn in one picture; 1 to 4 work"):
        training_curves(dict.fromkeys("abcde", [row]))


def test_a_log_that_was_cut_off_in_the_middle_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1}, {"step": 2}]
    assert read_log(tmp_path / "nowhere.jsonl") == []
