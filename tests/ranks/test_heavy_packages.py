"""What the reader has imported of a heavy package is there when a rank begins; whatever goes wrong, ranks start."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tplearn import RankFailed, run_ranks
from tplearn.forkserver import heir
from tplearn.forkserver.server import Server

NAME = "heavy_sample"
ELSEWHERE = "import os, signal, sys, threading, time\nif os.getpid() != {pid}:\n    {does}\n"
# What its import may do in another process than the reader's.
BROKEN = {
    "raises": "raise ImportError('libheavy.so is not there')",
    "leaves": "sys.exit('enough')",
    "ends the process": "os._exit(0)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "hangs": "time.sleep(1000)",
    "starts a thread": "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
    "asks for the rank": "os.environ.get('RANK')",
    "is another module": "__spec__.origin = 'elsewhere.py'",
}


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a package that counts as heavy, and a server without an heir."""
    monkeypatch.setattr(heir, "PACKAGES", (NAME,))
    monkeypatch.setattr(Server.of_this_process(), "heir", None)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / NAME).mkdir()
    file = tmp_path / NAME / "__init__.py"
    file.write_text("")
    yield file
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]


def found(name: str) -> bool:
    """On a rank: whether it begins with this module."""
    return name in sys.modules


def broken(file: Path, how: str) -> None:
    """Import a package that breaks in other processes."""
    file.write_text(ELSEWHERE.format(pid=os.getpid(), does=BROKEN[how]))
    importlib.import_module(NAME)


def test_a_rank_finds_what_the_reader_has_imported_and_nothing_else(sample: Path) -> None:
    (sample.parent / "lazy.py").write_text("")
    (sample.parent / "unused.py").write_text("")
    names = (NAME, f"{NAME}.lazy", f"{NAME}.unused")

    def begins_with() -> list[bool]:
        return [found(name) for name in names]

    assert run_ranks(begins_with, 2).values == [[False, False, False]] * 2
    importlib.import_module(NAME)
    assert run_ranks(begins_with, 2).values == [[True, False, False]] * 2
    importlib.import_module(f"{NAME}.lazy")
    assert run_ranks(begins_with, 2).values == [[True, True, False]] * 2


def test_the_model_of_transformers_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server.of_this_process(), "heir", None)
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    module = LlamaForCausalLM.__module__

    def build() -> tuple[bool, int]:
        here = found(module)
        config = LlamaConfig(
            vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
        )
        logging.get_logger("transformers").warning("said on a rank")
        return here, sum(p.numel() for p in LlamaForCausalLM(config).parameters())

    run = run_ranks(build, 2)
    assert [here for here, _ in run.values] == [True, True]
    assert run.values[0] == run.values[1] and all("said on a rank" in said for said in run.output)


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_import_is_left_to_the_ranks(how: str, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heir, "SECONDS", 1.0 if how == "hangs" else 60.0)
    broken(sample, how)
    assert run_ranks(found, 2, NAME).values == [False, False]


def test_its_error_is_raised_by_the_rank_that_imports_it(sample: Path) -> None:
    broken(sample, "raises")
    with pytest.raises(RankFailed) as caught:
        run_ranks(importlib.import_module, 2, NAME)
    assert "Ranks 0, 1 raised ImportError: libheavy.so is not there" in str(caught.value)


def test_what_a_broken_submodule_leaves_is_not_used(sample: Path) -> None:
    importlib.import_module(NAME)
    assert run_ranks(found, 2, NAME).values == [True, True]
    (sample.parent / "later.py").write_text(ELSEWHERE.format(pid=os.getpid(), does=BROKEN["raises"]))
    importlib.import_module(f"{NAME}.later")
    assert run_ranks(found, 2, NAME).values == [False, False]


def test_its_import_prints_only_where_the_reader_imports_it() -> None:
    code = "import sys, this; from tplearn import run_ranks; from tplearn.forkserver import heir\n"
    code += "heir.PACKAGES = ('this',)\n"
    code += "def look():\n    sys.__stdout__.flush()\n    return 'this' in sys.modules\n"  # no buffer has it, either
    code += "print(run_ranks(look, 2).values)"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=buffered)
    assert done.stdout.count("The Zen of Python") == 1 and done.stdout.endswith("[True, True]\n") and not done.stderr


def test_another_environment_than_it_has_read_is_no_reason_for_other_numbers(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.write_text("import os\nhome = os.environ.get('HEAVY_HOME')\n")

    def look() -> tuple[bool, str]:
        return found(NAME), importlib.import_module(NAME).home

    monkeypatch.setenv("HEAVY_HOME", "here")  # set after the server has started
    importlib.import_module(NAME)
    assert run_ranks(look, 2).values == [(True, "here")] * 2
    monkeypatch.setenv("HEAVY_HOME", "there")
    assert run_ranks(look, 2).values == [(False, "there")] * 2
    monkeypatch.setenv("HEAVY_HOME", "here")
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert run_ranks(look, 2).values == [(True, "here")] * 2


def test_a_killed_reader_leaves_neither_ranks_nor_what_they_were_forked_from() -> None:
    code = "from tplearn.forkserver import heir; import colorsys; heir.PACKAGES = ('colorsys',); "
    code += "from tests.ranks import programs; from tplearn import run_ranks; run_ranks(programs.hangs, 2)"
    reader = psutil.Popen([sys.executable, "-c", code])
    family: list[psutil.Process] = []
    while len(family) < 4:  # the server, its heir, and two ranks
        family = reader.children(recursive=True)
        time.sleep(0.05)
    time.sleep(0.5)
    reader.kill()
    reader.wait()
    assert psutil.wait_procs(family, timeout=10)[1] == []
