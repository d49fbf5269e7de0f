"""`tplearn plan MODEL`: what is ranked, what fits nowhere and what would, and the JSON that other programs read."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.test_commands import call
from tplearn.commands.plan_question import ServeQuestion, TrainQuestion
from tplearn.commands.plan_serve import plan_serving
from tplearn.commands.plan_serve import smallest as smallest_to_serve
from tplearn.commands.plan_train import smallest
from tplearn.llama import TINY_LLAMA
from tplearn.planning import (
    ACCELERATORS,
    MODELS,
    Layout,
    all_layouts,
    decode_time,
    max_batch,
    prefill_time,
    recommend_parallelism,
    step_time,
    training_memory,
)

H100, LLAMA_70B, LLAMA_8B = ACCELERATORS["H100"], MODELS["Llama-3.1-70B"], MODELS["Llama-3.1-8B"]


def planned(*words: str) -> dict:
    """The object that `tplearn plan … --json` prints."""
    code, printed, said = call("plan", *words, "--json")
    assert (code, said) == (0, "")
    return json.loads(printed)


def rows_of(printed: str) -> list[list[str]]:
    """The cells of the table's rows."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]


def test_llama_3_405b_is_laid_out_as_it_was() -> None:
    """arXiv:2407.21783, Table 4: TP 8, CP 1, PP 16, DP 128 on 16,384 H100, among the best five."""
    words = ("llama-3.1-405b", "--gpus", "16384", "--gpu", "H100", "--seq", "8192")
    code, printed, said = call("plan", *words)
    rows = rows_of(printed)
    assert (code, said, len(rows)) == (0, "", 5)
    assert ["8", "1", "16", "128"] in [row[:4] for row in rows]
    assert all(re.fullmatch(r"matmuls \d\d%, \w+ \w+ \d+%|matmuls \d\d%, \w+ \d+%", row[-1]) for row in rows)
    assert "Refused, TP that does not cut the model: 256, 512, 1024, 2048, 4096, 8192, 16384." in printed
    assert "Refused, more stages than layers: 128." in printed and "Nearest miss" not in printed
    seconds = [float(row[8]) for row in rows]
    assert seconds == sorted(seconds)


def test_a_plan_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from tplearn.cli import app; "
        "done = [CliRunner().invoke(app, ['plan', 'llama-3.1-8b', '--gpus', '8', '--for', use, '--explain']).exit_code"
        " for use in ('train', 'serve')]; "
        "print(done, [name for name in ('torch', 'numpy', 'matplotlib', 'jax', 'IPython') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 0] []\n"


def test_the_json_of_training_is_the_cost_models_and_says_its_units() -> None:
    told = planned("Llama-3.1-8B", "--gpus", "8", "--price", "2.5", "--top", "3", "--batch-tokens", "524288")
    job = TrainQuestion(shape=LLAMA_8B, accelerator=H100, gpus=8, batch_tokens=524288).job
    found = all_layouts(job, 8, H100)
    assert (told["model"], told["parameters"], told["purpose"]) == ("Llama-3.1-8B", 8030261248, "train")
    assert (told["batch_tokens"], told["layouts_that_fit"], len(told["layouts"])) == (524288, len(found.ranked), 3)
    for row, one in zip(told["layouts"], found.ranked, strict=False):
        names = ("tp", "cp", "pp", "dp", "zero", "micro_batches", "recompute", "virtual_stages")
        layout = Layout(**{name: row[name] for name in names})
        time, memory = step_time(job, layout, H100), training_memory(job, layout)
        assert (layout, row["used_gpus"] + row["idle_gpus"]) == (one.layout, 8)
        assert [row["step_seconds"], sum(row["step_parts_seconds"].values())] == pytest.approx([time.total] * 2)
        assert [row["memory_bytes"], sum(row["memory_parts_bytes"].values())] == pytest.approx([memory.total] * 2)
        assert row["memory_bytes"] <= row["capacity_bytes"] == 80e9 and row["mfu"] == time.mfu
        a_token = 2.5 / 3600 * row["used_gpus"] / row["tokens_per_second"]
        assert row["dollars_per_million_tokens"] == pytest.approx(1e6 * a_token)
        assert row["limited_by"][0] == max(row["step_parts_seconds"], key=row["step_parts_seconds"].get)
    numbers = {key: value for row in told["layouts"] for key, value in row.items() if isinstance(value, float)}
    units = ("seconds", "bytes", "per_second", "per_token", "per_million_tokens", "mfu")
    assert numbers and all(key.endswith(units) for key in numbers), "a number with a unit names it"
    assert "explain" not in told


def test_the_nearest_miss_is_the_smallest_of_those_that_do_not_fit() -> None:
    told = planned("llama-3.1-405b", "--gpus", "128", "--batch-tokens", "1048576")
    reasons = {one["reason"]: one for one in told["refused"]}
    assert reasons["pp"]["sizes"] == [128] and reasons["memory"]["count"] > 1
    near, question = told["nearest_miss"], {"shape": MODELS["Llama-3.1-405B"], "accelerator": H100, "gpus": 128}
    assert sum(near["need_parts_bytes"].values()) == pytest.approx(near["need_bytes"])
    found = all_layouts(TrainQuestion(**question, batch_tokens=2**20).job, 128, H100)
    needs = {
        (one.tp, one.cp, one.pp): int(re.search(r"needs (\d+) GB of 80", one.reason)[1])
        for one in found.refused
        if " needs " in one.reason
    }
    assert reasons["memory"]["count"] == len(needs)
    assert round(near["need_bytes"] / 1e9) == min(needs.values()) == needs[near["tp"], near["cp"], near["pp"]]
    assert near["need_bytes"] > near["capacity_bytes"] == 80e9


@pytest.mark.parametrize(
    ("name", "batch_tokens"), [("Llama-3.1-8B", None), ("Llama-3.1-405B", None), ("Llama-3.1-70B", 65536)]
)
def test_the_smallest_number_that_would_is_enough_and_one_less_is_not(name: str, batch_tokens: int | None) -> None:
    question = TrainQuestion(shape=MODELS[name], accelerator=H100, gpus=1, batch_tokens=batch_tokens)
    number = smallest(question).accelerators
    assert all_layouts(question.job, number, H100).ranked
    assert not any(all_layouts(question.job, fewer, H100).ranked for fewer in range(max(1, number - 16), number))
    assert re.search(rf"; {number} H100 work", call("plan", name, "--gpus", "1", *_typed(batch_tokens))[2])


def _typed(batch_tokens: int | None) -> list[str]:
    return [] if batch_tokens is None else ["--batch-tokens", str(batch_tokens)]


def test_one_replica_on_one_node_is_what_planning_says() -> None:
    told = planned("llama-3.1-70b", "--gpus", "8", "--for", "serve", "--tp", "8")
    (row,) = told["layouts"]
    batch = max_batch(LLAMA_70B, H100, 8, 8192)
    decode = decode_time(LLAMA_70B, H100, 8, batch, 8192)
    assert row["sequences"] == row["sequences_that_fit_per_replica"] == batch
    assert [row["token_seconds"], sum(row["token_parts_seconds"].values())] == pytest.approx([decode.total] * 2)
    assert row["tokens_per_second"] == pytest.approx(decode.tokens_per_second)
    assert row["first_token_seconds"] == pytest.approx(prefill_time(LLAMA_70B, H100, 8, 1, 8192).total)
    assert row["memory_bytes"] <= row["capacity_bytes"] == 72e9


@pytest.mark.parametrize("gpus", [16, 24, 64])
def test_stages_are_those_that_recommend_parallelism_takes(gpus: int) -> None:
    shape = MODELS["Llama-3.1-405B"]
    told = planned("llama-3.1-405b", "--gpus", str(gpus), "--for", "serve", "--tp", "8")
    (row,) = told["layouts"]
    if gpus == 16:  # too few for weights in 0.6 of the memory: two stages hold them all the same
        assert (row["pp"], row["replicas"]) == (2, 1)
        return
    due = recommend_parallelism(shape, gpus, H100)
    assert (row["tp"], row["pp"], row["replicas"], row["idle_gpus"]) == (due.tp, due.pp, due.dp, due.idle)


def test_replicas_instead_of_more_tp() -> None:
    code, printed, _ = call("plan", "llama-3.1-8b", "--gpus", "8", "--for", "serve")
    rows = rows_of(printed)
    assert code == 0 and {row[0]: row[2] for row in rows} == {"1": "8", "2": "4", "4": "2", "8": "1"}
    best, more = rows[0], next(row for row in rows if int(row[0]) > int(rows[0][0]))
    assert f"Replicas instead of more TP: {best[2]} × (TP {best[0]}) makes {best[-3]} tokens/s on 8" in printed
    assert f"{more[2]} × (TP {more[0]}) makes {more[-3]} tokens/s on 8." in printed
    rates = [int(row[-3].replace(",", "")) for row in rows]
    assert rates == sorted(rates, reverse=True)


def test_seven_gpus_use_six_or_four_and_say_so() -> None:
    told = planned("llama-3.1-8b", "--gpus", "7", "--top", "100")
    assert {row["idle_gpus"] for row in told["layouts"]} >= {0, 1, 3}
    assert [one["sizes"] for one in told["refused"] if one["reason"] == "tp"] == [[7]]
    printed = call("plan", "llama-3.1-70b", "--gpus", "7", "--for", "serve")[1]
    assert "The best uses 4 of 7 accelerators and leaves 3 idle." in printed
    assert "Refused, TP that does not cut the model: 7." in printed


def test_by_cost_few_sequences_take_few_accelerators() -> None:
    words = ("llama-3.1-8b", "--gpus", "64", "--for", "serve", "--sequences", "8")
    fast, cheap = (planned(*words, "--by", by)["layouts"][0] for by in ("time", "cost"))
    assert cheap["used_gpus"] < fast["used_gpus"] and cheap["token_seconds"] > fast["token_seconds"]
    assert cheap["gpu_seconds_per_token"] < fast["gpu_seconds_per_token"]


@pytest.mark.parametrize(("name", "sequences"), [("Llama-3.1-405B", None), ("Llama-3.1-8B", 500)])
def test_the_smallest_cluster_that_serves_serves(name: str, sequences: int | None) -> None:
    def question(gpus: int) -> ServeQuestion:
        return ServeQuestion(shape=MODELS[name], accelerator=H100, gpus=gpus, sequences=sequences)

    number, _, _ = smallest_to_serve(question(1))
    assert plan_serving(question(number)).ranked
    for fewer in range(1, number):
        with pytest.raises(ValueError, match=f"; {number} H100 work"):
            plan_serving(question(fewer))


@pytest.mark.parametrize("place", [TINY_LLAMA, TINY_LLAMA / "config.json"], ids=["folder", "file"])
def test_a_model_folder_and_its_config(place: Path) -> None:
    told = planned(str(place), "--gpus", "2", "--seq", "256")
    assert (told["model"], told["sequence_tokens"], told["layouts"][0]["tp"]) == ("tiny-llama", 256, 1)
    assert told["parameters"] == planned("--model", str(place), "--gpus", "2", "--for", "serve")["parameters"]


@pytest.mark.parametrize("name", ["llama-3.1-8b", "LLAMA-3.1-8B", "meta-llama/Llama-3.1-8B"])
def test_a_name_in_any_case(name: str) -> None:
    assert planned(name, "--gpus", "2", "--gpu", "b200")["model"] == "Llama-3.1-8B"


@pytest.mark.parametrize("kind", ["svg", "png"])
@pytest.mark.parametrize("purpose", ["train", "serve"])
def test_the_picture_says_what_it_shows(kind: str, purpose: str, tmp_path: Path) -> None:
    path = tmp_path / f"plan.{kind}"
    code, printed, said = call("plan", "llama-3.1-8b", "--gpus", "8", "--for", purpose, "--picture", str(path))
    assert (code, said) == (0, "") and printed
    if kind == "svg":
        (text,) = re.findall("<title>(.*?)</title>", path.read_text())
    else:
        with Image.open(path) as image:
            assert image.width > 1000
            text = f"{image.text['Title']}. {image.text['Description']}"
    assert text.startswith(f"Llama-3.1-8B {purpose}s on 8 H100. Memory of the fullest accelerator")
    row = planned("llama-3.1-8b", "--gpus", "8", "--for", purpose)["layouts"][0]
    assert f": {row['memory_bytes'] / 1e9:.0f} GB; " in text and "(memory): " in text


HERE = Path(__file__)
NAMES = "models that work: Llama-3.2-1B, .*, Mistral-Nemo-12B, or a folder with a config.json"
EIGHT, SERVE = ("llama-3.1-8b", "--gpus", "8"), ("llama-3.1-8b", "--gpus", "8", "--for", "serve")
REFUSED = [
    (("gpt-5", "--gpus", "8"), f"MODEL gpt-5: {NAMES}$"),
    (("lama-3.1-8b", "--gpus", "8"), f"MODEL lama-3.1-8b: {NAMES}; did you mean Llama-3.1-8B or "),
    (
        ("--model", "/nowhere", "--gpus", "8"),
        "--model /nowhere: it does not exist; a folder with a config.json, or that",
    ),
    ((str(HERE.parent), "--gpus", "8"), "commands is no model folder: it has no config.json"),
    ((str(HERE), "--gpus", "8"), "test_plan.py is not JSON: "),
    (("--gpus", "8"), "a model must be named once, as MODEL or as --model, such as llama-3.1-8b"),
    ((*EIGHT, "--model", "llama-3.1-8b"), "a model must be named once"),
    (("llama-3.1-8b",), "--gpus is missing: how many accelerators there are, such as --gpus 8"),
    (
        (*EIGHT, "--gpu", "H1000"),
        "--gpu H1000: accelerator 'H1000' is not known; did you mean H100.* names that work: A100",
    ),
    (("llama-3.1-8b", "--gpus", "0"), "--gpus 0: numbers from 1 to 1,000,000 work"),
    (("llama-3.1-8b", "--gpus", "-7"), "--gpus -7: numbers from 1 to"),
    (
        ("llama-3.1-8b", "--gpus", "7", "--tp", "7"),
        "--tp 7: it does not cut the 32 heads, .*; sizes that work: 1, 2, 4$",
    ),
    ((*EIGHT, "--tp", "16"), "--tp 16: it is more than --gpus 8; sizes that work: 1, 2, 4, 8$"),
    ((*EIGHT, "--pp", "3"), "--gpus 8 --pp 3: PP must divide the accelerators .*; PP that work: 1, 2, 4, 8$"),
    ((*EIGHT, "--tp", "2", "--pp", "5"), "--pp 5: 32 layers on 8 accelerators; numbers from 1 to 4 work"),
    ((*EIGHT, "--cp", "4"), "--cp 4: a rank gets 4096 tokens or more of --seq 8192, .* work on 8 accelerators: 1, 2$"),
    ((*EIGHT, "--seq", "0"), "--seq 0: numbers from 1 to 16,777,216 work"),
    ((*EIGHT, "--batch-tokens", "20000"), "--batch-tokens 20000: multiples of --seq 8192 .* work, such as 16384$"),
    (
        (*EIGHT, "--batch-tokens", "1" + "0" * 30),
        "--batch-tokens 10+: multiples of --seq 8192 up to 4,294,967,296 work",
    ),
    ((*EIGHT, "--by", "speed"), "--by speed: values that work: time, cost"),
    ((*EIGHT, "--for", "fun"), "--for fun: values that work: train, serve"),
    ((*EIGHT, "--top", "0"), "--top 0: numbers from 1 to 1000 work"),
    ((*EIGHT, "--price", "nan"), "--price nan: dollars above 0 work"),
    ((*EIGHT, "--price", "-2"), "--price -2: dollars above 0 work"),
    ((*EIGHT, "--picture", "plan.gif"), "--picture plan.gif: names that end in .svg or .png work"),
    ((*EIGHT, "--picture", "no/plan.svg"), "--picture no/plan.svg: there is no folder no; one that is there works"),
    ((*EIGHT, "--sequences", "8"), "--sequences 8: --for train does not take it"),
    ((*SERVE, "--batch-tokens", "8192"), "--batch-tokens 8192: --for serve does not take it"),
    ((*SERVE, "--cp", "2"), "--cp 2: --for serve does not take it"),
    ((*SERVE, "--sequences", "0"), "--sequences 0: numbers from 1 to"),
    ((*SERVE, "--bytes-per-parameter", "0"), "--bytes-per-parameter 0: numbers above 0 up to 4 work: 2 is bf16"),
    ((*EIGHT, "--mesh", "1x8"), "--mesh 1x8: only --with jax takes it"),
    ((*EIGHT, "--with", "jax"), "--gpus 8: --with jax does not take it"),
    (("llama-3.1-8b", "--with", "jax", "--explain"), "--explain: --with jax does not take it"),
    (
        ("llama-3.1-405b", "--gpus", "8"),
        r"--gpus 8: Llama-3.1-405B does not fit on 8 H100 to train it; nearest is TP 8, which needs .* GB of 80 .*; "
        r"\d+ H100 work \(TP ",
    ),
    (
        ("llama-3.1-405b", "--gpus", "8", "--for", "serve"),
        r"Llama-3.1-405B with 1 sequence of 8192 tokens does not fit on 8 H100; nearest is .*; 12 H100 work \(TP 4",
    ),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(words)[:45] for words, _ in REFUSED])
def test_what_cannot_work_is_one_line(words: tuple[str, ...], message: str) -> None:
    code, printed, said = call("plan", *words)
    assert code == 2 and printed == "" and said.count("\n") == 1, said
    assert said.startswith("tplearn: ") and re.search(message, said.rstrip()), said


def test_a_config_that_is_not_supported_is_one_line(tmp_path: Path) -> None:
    for content, message in (('{"model_type": "mamba"}', "types that work: llama"), ("[1]", "holds no JSON object")):
        (tmp_path / "config.json").write_text(content)
        code, printed, said = call("plan", str(tmp_path), "--gpus", "8")
        assert (code, printed, said.count("\n")) == (2, "", 1) and message in said
