"""What an exercise's answer may see: enough to run the page's cells and the driver, and nothing that is an answer."""

import ast
import contextlib
import json
import os
import re
import secrets
import site
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch

from tests.grading.test_hub import SECONDS, Spawned, form, without_ledger
from tplearn.checks.compare import first_difference
from tplearn.checks.exercise import Exercise
from tplearn.checks.probe import shifted
from tplearn.checks.registry import exercises, find_exercise
from tplearn.checks.run import observe_trusted
from tplearn.grading.course_cells import chapter_title, course_cells, prerequisites, solution_of
from tplearn.grading.court import observe_on_hub
from tplearn.grading.image import build_image, image_hash, modules_of
from tplearn.grading.pruned import Pruned
from tplearn.grading.sitting import Setup
from tplearn.grading.top_level import Import, TopLevel, path_of, top_level
from tplearn.jailed.absent import ABSENT, YOURS

HERE = Path(__file__).parent
pytestmark = pytest.mark.xdist_group("images")  # built once, and not by each worker
COURSE = [exercise for exercise in exercises() if find_spec("jax") or not exercise.number.startswith("15.")]
# Their arguments are read from models that take seconds; they are lists, texts, numbers and tensors.
PLAIN_ARGUMENTS = {"name_forward_bug", "name_gradient_bug", "name_ledger_bug", "is_right", "diagnose"}
JUDGE = (
    "check.judge",
    "run",
    "registry",
    "mutants",
    "trial",
    "exercise.EXERCISES",
    "find_exercise",
    "exercises",
)
PACKAGES_OF_DRIVERS = ("tplearn.checks.ch18_bug_museum",)
# What the package has ready of each exercise, or of a part of it, beside `Exercise.ready`.
IN_THE_PACKAGE = {
    "01": ("planning.memory", "planning.parameter_count", "planning.kv_cache_bytes", "planning.max_sequences"),
    "03.5": ("planning.links",),
    "04.1": ("simulated.ring_reduce_scatter", "simulated.ring.ring_reduce_scatter", "simulated.ring_all_reduce"),
    "04.2": ("simulated.ring_all_gather", "simulated.ring.ring_all_gather"),
    "04.3": ("simulated.ring_all_reduce", "simulated.ring.ring_all_reduce"),
    "04.4": ("planning.links", "planning.bytes_sent"),
    "04.5": ("simulated.convert", "simulated.states.convert", "simulated.states.collective_between"),
    "06.2": ("parallel.copy_to_group",),
    "06.3": ("parallel.reduce_from_group",),
    "06.4": ("parallel.gather_from_group",),
    "06.5": ("parallel.gather_sequence",),
    "06.6": ("parallel.mlp",),
    "07": ("parallel.column", "parallel.row", "parallel.mlp", "parallel.parameters", "parallel.ColumnParallelLinear"),
    "08": ("parallel.QKVParallelLinear", "parallel.heads.QKVParallelLinear", "parallel.ParallelAttention"),
    "08.1": ("parallel.head_range",),
    "08.3": ("parallel.attention.ParallelAttention",),
    "08.4": ("parallel.gradients", "parallel.sync_gradients"),
    "09": ("parallel.vocabulary", "parallel.words", "parallel.vocab_range", "parallel.VocabParallelEmbedding"),
    "09.4": ("parallel.vocab_parallel_cross_entropy",),
    "10": ("parallel.sequence", "parallel.mlp", "planning.activations", "parallel.ParallelRMSNorm"),
    "11": ("parallel.attention.ParallelAttention", "parallel.mlp", "parallel.gradients", "llama"),
    "12.1": ("llama.Llama", "llama.checkpoint", "llama.loading", "parallel.partitions"),
    "12.3": ("llama.rope", "parallel.rotary"),
    "12.4": ("llama.generate", "llama.generate.generate"),
    "12.5": ("llama.generate", "llama.agreement"),
    "12.6": ("llama.checkpoint", "llama.saving"),
    "13": ("llama", "parallel.gradients.gradient_norm", "parallel.sequence.ParallelDropout", "planning"),
    "14": ("llama", "parallel.attention.ParallelAttention"),
    "15": ("gspmd.checkpoint", "gspmd.dense", "gspmd.specs.partition_spec"),
    "15.7": ("gspmd.model",),
    "16": ("planning.links", "planning.flops", "planning.serving", "planning.memory", "planning.recommend"),
    "17": ("pipeline", "parallel", "planning"),
    "18": ("museum",),
}


def answers_in_the_package(exercise: Exercise) -> list[str]:
    beside = [
        f"tplearn.{name}" for key in (exercise.number[:2], exercise.number) for name in IN_THE_PACKAGE.get(key, ())
    ]
    ready = [f"{name}.EXERCISES" if name in PACKAGES_OF_DRIVERS else name for name in exercise.ready]
    return [*dict.fromkeys([*ready, *beside])]


def pieces(answer: Any) -> Iterator[tuple[str, str]]:
    """(module, name at its top level) of an answer, and of the answers that it is made of."""
    if isinstance(answer, partial):
        for part in (answer.func, *answer.args, *answer.keywords.values()):
            yield from pieces(part)
    elif isinstance(answer, FunctionType | type):
        name = answer.__qualname__.partition(".")[0]
        if answer.__module__.startswith("tplearn.") and name != "<lambda>":
            yield answer.__module__, name
    elif type(answer).__module__.startswith("tplearn."):
        yield from pieces(type(answer))
        for field in fields(answer) if is_dataclass(answer) else ():
            yield from pieces(getattr(answer, field.name))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {exercise.name: tmp_path_factory.mktemp(exercise.name) for exercise in COURSE}
    for exercise in COURSE:
        build_image(exercise, folders[exercise.name], () if exercise.name in PLAIN_ARGUMENTS else None)
    return folders


def question(exercise: Exercise, folder: Path) -> dict[str, Any]:
    sources = (*course_cells(exercise.name), *map(solution_of, (*prerequisites(exercise.name), exercise.name)))
    chapter = exercise.reference.func if isinstance(exercise.reference, partial) else exercise.reference
    own = [f"tplearn.checks.{name}" for name in JUDGE] + [f"{chapter.__module__}.{chapter.__qualname__}"]
    observers = [exercise.observe, shifted(exercise.observe)]
    return {
        "folder": str(folder),
        "modules": modules_of(exercise),
        "prepare": "tplearn.checks.under_jax.prepare" if exercise.jax else "",
        "names": [f"{m}.{name}" for observer in observers for m, name in pieces(observer)],
        "cells": sources,
        "name": exercise.name,
        "absent": [*own, *answers_in_the_package(exercise)],
        "statements": STATEMENTS.get(exercise.name, []),
    }


STATEMENTS = {
    "heads_of_rank": [
        "from tplearn.parallel import head_range; head_range(8, 2, 0, 2)",
        "from tplearn.parallel import head_range; head_range.queries",
        "from tplearn.parallel import head_range\ndef f(x: head_range | None) -> None: ...",
        "from tplearn.parallel import attend, rotary; rotary.apply_rotary",
    ],
    "parameter_count": [
        "import tplearn.parallel.mlp",
        "from tplearn.planning import memory",
        "from tplearn.planning import parameter_count",
        "from tplearn.planning.models import MODELS, shape_of_nothing",
        "from tplearn import run_ranks",
        "import nothing_of_that_name",
    ],
}


@pytest.fixture(scope="module")
def found(images: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What a process that can import the images and the installed packages only has found in each."""
    heavy = ["torch", "torch.distributed.tensor.parallel", "numpy", *(["jax"] if find_spec("jax") else [])]
    packages = [folder for folder in site.getsitepackages() if Path(folder).is_dir()]
    asked = {exercise.name: question(exercise, images[exercise.name]) for exercise in COURSE}
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-B", str(HERE / "inside_image.py")],
        input=json.dumps({"packages": packages, "modules": heavy, "images": asked}),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(map(json.loads, told.stdout.splitlines()))


@pytest.mark.parametrize("exercise", COURSE, ids=lambda e: e.name)
def test_the_cells_and_the_driver_run_and_no_answer_is_there(exercise: Exercise, found: dict) -> None:
    said = found[exercise.name]
    assert "failed" not in said, said["failed"]
    assert said["check"] is None and said["defines"]
    assert said["there"] == [] and said["outside"] == []


@pytest.mark.parametrize("exercise", COURSE, ids=lambda e: e.name)
def test_no_reference_and_no_mutant_is_written_there(exercise: Exercise, images: dict[str, Path]) -> None:
    answers = [exercise.reference, *(mutant.answer for mutant in exercise.mutants)]
    given = {name for cell in course_cells(exercise.name) for name in TopLevel(cell).brings}
    wanted = {(module, name) for answer in answers for module, name in pieces(answer) if name not in given}
    assert wanted and all(name in top_level(module).bound for module, name in wanted)
    folder, written = images[exercise.name], set()
    for file in folder.rglob("*.py"):
        module = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        written |= {(module, name) for name in TopLevel(file.read_text()).bound}
    observers = {piece for observer in (exercise.observe, shifted(exercise.observe)) for piece in pieces(observer)}
    assert observers <= written
    assert not wanted & written


def test_what_must_not_be_there_is_in_the_package() -> None:
    for name in {name for exercise in COURSE for name in answers_in_the_package(exercise)}:
        module, _, own = name.rpartition(".")
        assert path_of(name) or own in top_level(module).bound, name


def test_what_is_not_there_says_so(found: dict) -> None:
    of_heads, of_count = (found[name]["errors"] for name in ("heads_of_rank", "parameter_count"))
    withheld = f"ModuleNotFoundError: tplearn.parallel.head_range {ABSENT}: {YOURS}."
    assert of_heads == [withheld, withheld, "no error", "no error"]
    for told, name in zip(
        of_count[:5],
        ("parallel", "planning.memory", "planning.parameter_count", "planning.models.shape_of_nothing", "run_ranks"),
        strict=True,
    ):
        assert told.startswith(f"ModuleNotFoundError: tplearn.{name} {ABSENT}")
    assert of_count[5] == "ModuleNotFoundError: No module named 'nothing_of_that_name'"


def test_files_are_readable_by_anybody_and_the_same_each_time(images: dict[str, Path], tmp_path: Path) -> None:
    folder = images["parameter_count"]
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert (folder / "tplearn/planning/models.json").is_file()
    build_image(find_exercise("parameter_count"), tmp_path)
    assert image_hash(tmp_path) == image_hash(folder) != image_hash(images["max_sequences"].parent)
    (tmp_path / "tplearn/planning/models.json").write_text("{}")
    assert image_hash(tmp_path) != image_hash(folder)


def test_a_line_has_the_number_that_it_has_in_the_course(images: dict[str, Path]) -> None:
    for file in images["greedy_decode"].glob("tplearn/parallel/[a-z]*.py"):
        ours = Path(*file.parts[-3:]).read_text().splitlines()
        for number, line in enumerate(file.read_text().splitlines()):
            if line and number < len(ours) and not line.startswith(("from ", "import ", "__getattr__")):
                assert line == ours[number]


@contextlib.contextmanager
def spawned_in(folder: Path, size: int) -> Iterator[list[Spawned]]:
    """Programs whose only tplearn is the image."""
    main = "import os, sys; sys.path[:0] = [{!r}]; sys.path += {!r}; os.dup2({}, 3); os.dup2({}, 4); "
    main += "from tplearn.jailed.rank import main; main(3, 4)"
    ranks = []
    for _ in range(size):
        ends = [*os.pipe(), *os.pipe()]
        (reads, told), (heard, writes) = ends[:2], ends[2:]
        code = main.format(str(folder), site.getsitepackages(), reads, writes)
        process = subprocess.Popen([sys.executable, "-I", "-S", "-B", "-c", code], pass_fds=[reads, writes])
        os.close(reads)
        os.close(writes)
        ranks.append(Spawned(process, heard, told))
    yield ranks
    for rank in ranks:
        os.close(rank.write_fd)
    assert [rank.process.wait(SECONDS) for rank in ranks] == [0] * size
    for rank in ranks:
        os.close(rank.read_fd)


def test_a_published_solution_does_in_its_image_what_the_reference_does(images: dict[str, Path]) -> None:
    exercise = find_exercise("TiedWords")  # builds on three others
    sources = (*course_cells(exercise.name), *map(solution_of, (*prerequisites(exercise.name), exercise.name)))
    cells = tuple((f"cell [{number}]", source) for number, source in enumerate(sources))
    cases = [case for case in exercise.cases(torch.Generator().manual_seed(secrets.randbits(32))) if case.tp <= 2]
    bench: Callable = partial(spawned_in, images[exercise.name])
    got = observe_on_hub(cases, Setup(exercise.observe, cells, exercise.name), bench, SECONDS)
    want = observe_trusted(exercise, [exercise.reference], cases)[0]
    assert any(case.tp == 2 for case in cases)
    for mine, due in zip(got, want, strict=True):
        assert first_difference(without_ledger(mine), without_ledger(due)) is None
        assert list(map(form, mine["ledger"])) == list(map(form, due["ledger"]))


def test_what_a_page_gives_and_what_a_solution_builds_on() -> None:
    assert prerequisites("max_sequences") == ("weight_bytes_per_rank", "kv_cache_bytes")
    assert prerequisites("split_rows") == ()
    assert prerequisites("TiedWords") == ("words_of_rank", "embed_words", "parallel_logits")
    assert [len(course_cells(name)) for name in ("checked_plan", "quiet_plan")] == [4, 5]
    for exercise in COURSE:
        assert not any(re.search(r"^check\(|BEGIN SOLUTION", cell, re.M) for cell in course_cells(exercise.name))
        defined = [getattr(node, "name", "") for node in ast.parse(solution_of(exercise.name)).body]
        assert exercise.name in defined
    assert chapter_title("02") == "Column and row"
    with pytest.raises(ValueError, match="no exercise is called 'split_diagonals'"):
        course_cells("split_diagonals")


SOURCE = '''"""Idea."""

from __future__ import annotations

import math
from tplearn.sizes import (
    divisors,
    require_size,
)

UNIT = 3
unused = math.pi


@decorated
def area(x):
    from tplearn import tensors

    return tensors.described(x) * UNIT + divisors(x)


print("acts")
'''


def test_of_a_source_only_what_is_asked_for_stays_in_its_lines() -> None:
    top = TopLevel(SOURCE)
    kept = top.only({"area", "UNIT", "divisors"}).splitlines()
    ours = SOURCE.splitlines()
    assert kept[5] == "from tplearn.sizes import divisors" and "import math" not in kept
    changed = {number for number, line in enumerate(kept) if line != ours[number]}
    assert changed == {4, 5, 6, 7, 8, ours.index("unused = math.pi")}
    assert top.only({"*"}).count("\n") == SOURCE.count("\n")
    (number,) = top.bound["area"]
    assert ("UNIT", "") in top.uses(number) and ("decorated", "") in top.uses(number)
    assert list(top.imports(number)) == [(Import("tplearn.tensors"), "described")]


def test_what_is_needed_is_followed_through_modules_and_not_further() -> None:
    pruned = Pruned.of([Import("tplearn.simulated", "Ring")])
    assert {
        "tplearn.simulated.ring.Ring",
        "tplearn.ranks.ledger.Ledger",
        "tplearn.sizes.require_rank",
    } <= pruned.paths()
    assert not any("ring_all_reduce" in path for path in pruned.paths())
    with pytest.raises(ValueError, match="tplearn.sizes has no 'area'"):
        pruned.need(Import("tplearn.sizes", "area"))
    with pytest.raises(ValueError, match="tplearn.nowhere is no module"):
        pruned.need(Import("tplearn.nowhere"))
    everything = Pruned.of([Import("tplearn.sizes", "*")])
    assert everything.names["tplearn.sizes"] == set(top_level("tplearn.sizes").bound)
