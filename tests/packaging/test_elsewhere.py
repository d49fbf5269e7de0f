"""The files that others read, Binder, Codespaces and GitHub: they parse, and what they call is there."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml

from tplearn.cli import app

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")
CONTAINER = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}
POST_BUILD = ROOT / ".binder/postBuild"


def scripts() -> dict[str, str]:
    """Every shell text: by the file that holds it, and the step."""
    found = {".binder/postBuild": POST_BUILD.read_text(), ".devcontainer": CONTAINER["postCreateCommand"]}
    found[".ci/run"] = (ROOT / ".ci/run").read_text()
    for name, workflow in WORKFLOWS.items():
        for job, told in workflow["jobs"].items():
            for number, step in enumerate(told["steps"]):
                assert ("uses" in step) != ("run" in step)
                if "run" in step:
                    found[f"{name} {job} {number}"] = step["run"]
    return found


@pytest.mark.parametrize("script", [pytest.param(text, id=name) for name, text in scripts().items()])
def test_a_script_is_one_and_calls_what_there_is(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for words in re.findall(r"(?:^|&& |\|\| )make ([\w.=/ -]+)", script, flags=re.M):
        targets = [word for word in words.split() if not re.search(r"=|^-|^\d+$", word)]
        assert targets and all(re.search(rf"^{re.escape(target)}:", MAKEFILE, flags=re.M) for target in targets), words
    for extras in re.findall(r"\.\[([\w,]+)\]", script):
        assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys(), extras
    for command in re.findall(r"(?:^|&& )\.venv/bin/tplearn (\w+)", script, flags=re.M):
        assert command in typer.main.get_command(app).commands
    for path in re.findall(r"--constraint (\S+)", script):
        assert (ROOT / path).is_file()


def test_the_patterns_see_what_they_look_for() -> None:
    called = " ".join(re.findall(r"make [\w.=/ -]+|\.\[[\w,]+\]|tplearn start", "\n".join(scripts().values())))
    assert all(due in called for due in ("make TORCH=cpu test", "make TORCH=cpu oldest", ".[course]", "tplearn start"))


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_workflow_may_no_more_than_it_must(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"]["contents"] in ("read", "write") and set(workflow) >= {"name", "jobs", True}
    for job in workflow["jobs"].values():
        runs_ranks = any("make" in step.get("run", "") for step in job["steps"])
        assert "timeout-minutes" in job or not runs_ranks, "a hang ends"
    used = {step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step}
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action) for action in used), used


def test_everybody_gets_a_python_that_the_package_allows() -> None:
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    pythons = [CONTAINER["image"].rpartition(":")[2]]
    (binder,) = [entry for entry in binder_packages() if entry.startswith("python=")]
    pythons.append(binder.removeprefix("python="))
    steps = [step for flow in WORKFLOWS.values() for job in flow["jobs"].values() for step in job["steps"]]
    pythons += [step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")]
    assert len(pythons) > 3 and all(int(low) <= int(text.removeprefix("3.")) < int(high) for text in pythons), pythons


def binder_packages() -> list[str]:
    return yaml.safe_load((ROOT / ".binder/environment.yml").read_text())["dependencies"]


def test_binder_can_run_its_script_and_has_pip() -> None:
    assert POST_BUILD.stat().st_mode & 0o111 and POST_BUILD.read_text().startswith("#!")
    assert "pip" in binder_packages()
