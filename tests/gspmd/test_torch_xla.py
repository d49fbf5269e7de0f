"""Torch-XLA: what was recorded, that a live run comes to the same, and what is said where it is not installed."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.llama.folders import write_model
from tplearn.commands.verify_torch_xla import show, verify_with_torch_xla
from tplearn.gspmd.torch_xla import ENVIRONMENT, SCRIPT, Collective, Outcome, Report, read_report, recorded
from tplearn.gspmd.torch_xla import run_torch_xla as run
from tplearn.llama import TINY_LLAMA

MESHES = [(1, 8), (2, 4), (4, 2), (8, 1)]
ROWS = {  # the groups of the model's axis
    (1, 8): (tuple(range(8)),),
    (2, 4): ((0, 1, 2, 3), (4, 5, 6, 7)),
    (4, 2): ((0, 1), (2, 3), (4, 5), (6, 7)),
}


def outcome(way: str, *mesh: int) -> Outcome:
    found = [one for one in recorded().outcomes if (one.way, one.mesh) == (way, mesh)]
    assert len(found) == 1
    return found[0]


def without_rounding(report: Report) -> Report:
    """Without what the last bits of sums, and with them the machine, decide."""
    return replace(report, outcomes=tuple(replace(one, max_difference=0, pcc=1) for one in report.outcomes))


def script(folder: Path, text: str) -> Path:
    """An environment whose Python is a shell script with this text."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "bin" / "python").chmod(0o755)
    (folder / ".done").touch()
    return folder


def test_the_recorded_run_is_close_on_every_mesh_in_every_way() -> None:
    report = recorded()
    assert report.logits == (8, 32, 4096) and set(report.versions) == {"torch", "torch_xla", "transformers"}
    assert all(one.close and one.max_difference < 1e-4 for one in report.outcomes)
    ways = {"in place", "own classes", "subclassed MLP", "einsum attention"}
    pairs = {(one.way, one.mesh) for one in report.outcomes}
    assert pairs == {(way, mesh) for way in ways for mesh in MESHES} | {("einsum attention, kv × copy", (1, 4, 2))}
    assert not outcome("in place", 1, 8).collectives[0].op.count("-"), "ops have the ledger's names"
    assert not replace(report.outcomes[0], top_1=0.9).close and not replace(report.outcomes[0], pcc=0.99).close


@pytest.mark.parametrize("mesh", [(2, 4), (4, 2)])
def test_only_einsum_comes_to_the_count_by_hand(mesh: tuple[int, int]) -> None:
    assert outcome("einsum attention", *mesh).collectives == (Collective("all_reduce", ROWS[mesh], 13),)
    assert outcome("in place", *mesh).counts == {"all_gather": 18, "all_reduce": 13}
    assert outcome("subclassed MLP", *mesh).collectives == (Collective("all_reduce", ROWS[mesh], 6),)
    assert outcome("einsum attention", 8, 1).collectives == outcome("in place", 8, 1).collectives == ()


def test_eight_devices_and_four_kv_heads_need_a_mesh_with_copies() -> None:
    assert outcome("einsum attention", 1, 8).counts["all_to_all"] > 0
    copies = outcome("einsum attention, kv × copy", 1, 4, 2)
    assert copies.collectives == (Collective("all_reduce", ROWS[1, 8], 13),)
    assert copies.bytes_on_a_device == 1_730_304 > outcome("in place", 1, 8).bytes_on_a_device == 1_619_712


def test_own_classes_are_the_same_program_as_marks_in_place() -> None:
    for mesh in MESHES:
        same, other = outcome("in place", *mesh), outcome("own classes", *mesh)
        assert replace(other, way="in place") == same
    programs = [one.program for one in recorded().outcomes]
    assert sorted(set(programs)) == list(range(1, max(programs) + 1))


@pytest.mark.slow
@pytest.mark.skipif(not (ENVIRONMENT / ".done").exists(), reason="Torch-XLA is not installed: make xla")
def test_a_live_run_comes_to_what_was_recorded() -> None:
    told: list[str] = []
    live = run(TINY_LLAMA, MESHES, tell=told.append)
    assert without_rounding(live) == without_rounding(recorded())
    assert all(one.close and one.max_difference < 1e-4 for one in live.outcomes)
    assert len(told) == len(live.outcomes) and told[0] == "1x8: in place"


def test_without_the_environment_one_sentence_names_the_remedy(tmp_path: Path) -> None:
    sentence = "^Torch-XLA is not installed; `make xla` does it, in a folder .venv-xla of 7 GB .Linux, x86-64.$"
    with pytest.raises(FileNotFoundError, match=sentence):
        run(TINY_LLAMA, MESHES, environment=tmp_path / ".venv-xla")
    half = script(tmp_path / ".venv-xla", "exit 0")
    (half / ".done").unlink()
    with pytest.raises(FileNotFoundError, match=sentence):
        run(TINY_LLAMA, MESHES, environment=half)


def test_what_does_not_work_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^meshes of \[2, 4\] devices; .* 2x4 and 4x2$"):
        run(TINY_LLAMA, [(1, 2), (2, 2)], environment=tmp_path)
    write_model(tmp_path / "qwen", "qwen2")
    with pytest.raises(ValueError, match="^model_type = 'qwen2' with torch-xla; 'llama' works"):
        run(tmp_path / "qwen", MESHES, environment=tmp_path)
    for typed in ("1x65", "0x8", "2x4,2x2"):
        with pytest.raises(ValueError, match=f"^--mesh {typed}: "):
            verify_with_torch_xla(None, typed, print)


def test_a_script_that_fails_is_quoted(tmp_path: Path) -> None:
    fails = script(
        tmp_path / "a", "echo '1x8: in place'; echo 'first' >&2; echo 'ImportError: no libpython' >&2; exit 1"
    )
    with pytest.raises(RuntimeError, match="^Torch-XLA failed at 1x8: in place: ImportError: no libpython$"):
        run(TINY_LLAMA, MESHES, environment=fails)
    with pytest.raises(RuntimeError, match="^Torch-XLA failed: exit code 3$"):
        run(TINY_LLAMA, MESHES, environment=script(tmp_path / "b", "exit 3"))
    with pytest.raises(ValueError, match="^no report of torch_xla_script.py: 'hello'"):
        run(TINY_LLAMA, MESHES, environment=script(tmp_path / "c", "echo hello"))
    for text in ("{}", '{"results": 3}', '{"results": [{"mesh": [1, 8]}]}'):
        with pytest.raises(ValueError, match="^no report"):
            read_report(text)


def test_the_script_imports_nothing_of_the_course_and_no_path_is_recorded() -> None:
    assert "tplearn." not in SCRIPT.read_text().replace("tplearn/", "")
    stored = SCRIPT.with_name("torch_xla_recorded.json").read_text()
    assert "/" not in stored and "seconds" not in stored and len(json.loads(stored)["results"]) == 17


def test_the_tables_show_each_way_and_each_program_once() -> None:
    printed = StringIO()
    show(recorded(), Console(file=printed, width=60))
    text = printed.getvalue()
    assert text.count("einsum attention") == 5 and "1 × (kv 4 × copy 2)" in text and "DIFFERENT" not in text
    assert "13       │ all_reduce" in text and "0,1,2,3 | 4,5,6,7" in text and "1→0 | 3→2 | 5→4 | 7→6" in text
    assert text.rstrip().splitlines()[-1].startswith("made by torch 2.")
