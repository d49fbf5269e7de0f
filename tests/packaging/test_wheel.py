"""The wheel is the package and the course, and its commands work where there is no clone."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple

import pytest

from tplearn.course.copy import course_files

ROOT = Path(__file__).parents[2]
BESIDE = ("pyproject.toml", "setup.py", "MANIFEST.in", "constraints.txt", "README.md", "LICENSE", "LICENSE-TEXT")
COURSE = ("chapters", "exercises", "solutions", "figures")
FILES = "tplearn/course/files/"

pytestmark = pytest.mark.xdist_group("wheel")  # it is built once


def build(kind: str, tree: Path, out: Path) -> Path:
    """The wheel or the sdist of a tree, as pip asks setuptools for it."""
    out.mkdir()
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, out], cwd=tree, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build reads, in a folder where it may leave its own files."""
    tree = tmp_path_factory.mktemp("built") / "tree"
    for part in ("tplearn", *COURSE):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in BESIDE:
        shutil.copy(ROOT / name, tree)
    return tree


@pytest.fixture(scope="module")
def sdist(tree: Path) -> Path:
    return build("sdist", tree, tree.parent / "sdist")


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    return build("wheel", tree, tree.parent / "wheel")


def test_the_wheel_holds_the_package_and_the_course(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as read:
        held = {name: read.read(name) for name in read.namelist() if ".dist-info/" not in name}
    inside = {name.removeprefix(FILES) for name in held if name.startswith(FILES)}
    recorded = {path.relative_to(ROOT).as_posix() for path in (ROOT / "figures/recorded").glob("*.json*")}
    assert recorded and inside == {*course_files(ROOT), *recorded}
    assert all(held[FILES + name] == (ROOT / name).read_bytes() for name in inside)
    package = [path for path in (ROOT / "tplearn").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(ROOT).as_posix() for path in package} == {n for n in held if not n.startswith(FILES)}


def test_the_sdist_makes_the_same_wheel_and_holds_no_tests(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as read:
        read.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    again = build("wheel", unpacked, tmp_path / "again")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: second.read(name) for name in second.namelist()
        }
    assert not (unpacked / "tests").exists() and (unpacked / "constraints.txt").is_file()


def test_a_page_that_the_course_has_dropped_is_in_no_later_wheel(tree: Path, wheel: Path) -> None:
    """setuptools builds on what an earlier build has left."""
    page = next(tree.glob("exercises/*.ipynb"))
    away = page.rename(tree.parent / page.name)
    later = build("wheel", tree, tree.parent / "later")
    away.rename(page)
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(later) as second:
        gone = {name for name in first.namelist() if name not in second.namelist()}
    assert gone == {f"{FILES}exercises/{page.name}"}


def test_its_metadata_names_the_distribution_and_where_it_comes_from(wheel: Path) -> None:
    assert wheel.name.startswith("tplearn_course-"), "tplearn is somebody else's"
    with zipfile.ZipFile(wheel) as read:
        (name,) = [name for name in read.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(read.read(name).decode())
    urls = dict(text.split(", ") for text in metadata.get_all("Project-URL"))
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", urls["Repository"])
    assert {"course", "jax", "dev"} <= set(metadata.get_all("Provides-Extra"))


class Installed(NamedTuple):
    """A Python with the wheel, and an empty folder to work in."""

    python: Path
    work: Path

    def tplearn(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [self.python.with_name("tplearn"), *words]
        return subprocess.run(command, cwd=self.work, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment of its own: tplearn from the wheel, and from this environment all that it requires."""
    folder = tmp_path_factory.mktemp("away")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    (site / "required.pth").write_text(sysconfig.get_path("purelib"))  # .pth files in there are not read: no clone
    (folder / "work").mkdir()
    code = "import tplearn; from importlib.metadata import distribution as of\n"
    code += "print(tplearn.__file__, of('tplearn-course').locate_file('tplearn'))"
    told = subprocess.run([python, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout.split()
    assert all(Path(path).is_relative_to(site) for path in told), told
    return Installed(python, folder / "work")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


def test_start_makes_a_copy_and_says_what_is_new(installed: Installed, home: Path) -> None:
    count = len(list(course_files(ROOT)))
    for due in (f"{count} files new\n", ""):
        done = installed.tplearn("start", "mine")
        assert done.returncode == 0 and done.stdout == f"{due}Your copy of the course is in mine. To open it: " + (
            "cd there, tplearn lab\n"
        )
    assert sorted(path.name for path in (installed.work / "mine").glob("[!.]*")) == sorted(COURSE)


def test_check_wants_a_copy_and_then_gives_verdicts(installed: Installed, home: Path) -> None:
    work = home / "empty"
    work.mkdir()
    alone = Installed(installed.python, work)
    refused = alone.tplearn("check", "01")
    assert refused.returncode == 2 and "or make one: `tplearn start DIR`" in refused.stderr
    alone.tplearn("start", ".")
    solved = work / "solutions/01_why_split.ipynb"
    shutil.copy(solved, work / "exercises" / solved.name)
    done = alone.tplearn("check", "01")
    assert done.returncode == 0 and re.search(r"(\d+) of \1 exercises pass", done.stdout), done.stdout + done.stderr


def test_generate_runs_on_ranks(installed: Installed, home: Path) -> None:
    done = installed.tplearn("generate", "--tp", "2", "--tokens", "2", "def read_lines(")
    assert done.returncode == 0 and done.stdout.startswith("def read_lines("), done.stderr


def test_lab_answers_with_a_copy_in_the_home_folder(
    installed: Installed, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("playwright", reason="the dev extra is not installed")
    from benchmarks.lab_page import serve

    monkeypatch.setenv("JUPYTERLAB_DIR", str(Path(sys.prefix, "share/jupyter/lab")))  # belongs to this environment
    (home / "settings").mkdir()
    command = [str(installed.python.with_name("tplearn")), "lab", "--no-browser", "--port", "{port}"]
    with serve(installed.work, home / "settings", command) as server:
        log = (home / "settings/server.log").read_text()
        assert f"Your copy of the course: {home / 'tplearn-course'}" in log
        address = re.search(rf"http://127.0.0.1:{server.port}/\S+\?token=\w+", log)
        assert address and b"JupyterLab" in urllib.request.urlopen(address[0], timeout=10).read()
    assert (home / "tplearn-course/chapters/00_start_here.ipynb").is_file()


def test_what_wants_a_clone_says_so(installed: Installed, home: Path) -> None:
    for words in (["release", "--check"], ["release", "--for-class", "class"]):
        done = installed.tplearn(*words)
        assert done.returncode == 2 and "this needs a clone of the course" in done.stderr, done.stderr
    assert not (installed.work / "class").exists()


def test_what_an_extra_would_bring_is_named(installed: Installed, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package without the notebooks' packages: what runs first in each Python hides them."""
    (home / "sitecustomize.py").write_text("import sys; sys.modules |= dict.fromkeys(('nbformat', 'jupyterlab'))")
    monkeypatch.setenv("PYTHONPATH", str(home))
    for words, missing in ((["check", "02"], "nbformat"), (["lab", "--no-browser"], "jupyterlab")):
        done = installed.tplearn(*words)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert missing in done.stderr and done.stderr.endswith("; pip install 'tplearn-course[course]' brings it\n")
    assert not (home / "tplearn-course").exists(), "nothing is made that cannot be opened"
