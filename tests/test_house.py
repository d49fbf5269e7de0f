"""The rules of the house: floors, sizes, imports, pins, and what a stored notebook may hold."""

import ast
import contextlib
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tplearn.course.places import HERE

ROOT = Path(__file__).parent.parent
# Lowest first.
FLOORS = ("sizes", "tensors", "forkserver", "ranks", "testing", "running", "simulated", "parallel", "planning", "llama")
FLOORS += ("gspmd", "pipeline", "museum", "jailed", "course", "show", "page", "checks", "grading", "commands")
SOURCES = sorted((ROOT / "tplearn").rglob("*.py"))
TEXT_ENDINGS = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".ipynb", ".cfg", ".sh", ".svg", ".txt", ".html", ""}
NOTEBOOKS = sorted(path for part in ("chapters", "solutions", "exercises") for path in (ROOT / part).glob("*.ipynb"))


def project_files() -> list[Path]:
    """Every text file that git keeps or would keep; without git, every file outside hidden folders and my-course."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        parts = {p: p.relative_to(ROOT).parts for p in ROOT.rglob("*")}
        paths = [p for p in parts if parts[p][0] != HERE and not any(part.startswith(".") for part in parts[p])]
    return sorted(p for p in paths if p.is_file() and p.suffix in TEXT_ENDINGS)


def floor_of(module: str) -> int:
    """How high a module such as "tplearn.show.style" lives; cli, doctor and lab are the roof."""
    parts = module.split(".")
    if len(parts) == 1:
        return FLOORS.index("ranks")  # tplearn/__init__.py hands over names of that floor only
    return FLOORS.index(parts[1]) if parts[1] in FLOORS else len(FLOORS)


def is_module(name: str) -> bool:
    """Whether tplearn.x.y is a file or a folder, and no name inside one."""
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_name(path.name + ".py").is_file()


def imported_modules(path: Path) -> set[str]:
    """Every tplearn module that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_module(name) else node.module for name in inside}
    return {name for name in found if name.split(".")[0] == "tplearn"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_is_short_says_its_idea_and_imports_downwards(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 200, "a file is one idea in under 200 lines"
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "the first docstring line says the file's idea"
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    upwards = {name for name in imported_modules(path) if floor_of(name) > floor_of(module)}
    assert not upwards, f"{module} imports from a higher floor: {sorted(upwards)}"


def test_floors_are_read_from_imports_anywhere_in_a_file(tmp_path: Path) -> None:
    source = tmp_path / "sample.py"
    source.write_text("import os\ndef f():\n    from tplearn.show.style import INK\n    import tplearn.ranks.ledger\n")
    assert imported_modules(source) == {"tplearn.show.style", "tplearn.ranks.ledger"}
    source.write_text("from tplearn import cli, run_ranks\nfrom tplearn.ranks import ledger\n")
    assert imported_modules(source) == {"tplearn.cli", "tplearn", "tplearn.ranks.ledger"}, "also the roof, from below"
    assert floor_of("tplearn.show.style") > floor_of("tplearn.simulated.ring") > floor_of("tplearn.ranks")
    assert floor_of("tplearn.ranks") == floor_of("tplearn") > floor_of("tplearn.forkserver") > floor_of("tplearn.sizes")
    assert floor_of("tplearn.cli") > floor_of("tplearn.grading.release")


@pytest.mark.parametrize(
    ("imports", "heavy"),
    [
        (
            "import tplearn.cli, tplearn.lab, tplearn.page, tplearn.forkserver",
            ("torch", "numpy", "IPython", "nbformat"),
        ),
        ("from tplearn import run_ranks", ("matplotlib", "ipywidgets", "IPython", "jax")),
    ],
)
def test_importing_stays_light(imports: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys; {imports}; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


LOCK = ROOT / "constraints.txt"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
DECLARED = [Requirement(text) for text in PROJECT["dependencies"]]
DECLARED += [Requirement(text) for extra in PROJECT["optional-dependencies"].values() for text in extra]
CUDA = re.compile("nvidia|cuda|triton")  # what torch brings along in a build for GPUs


def locked() -> dict[str, list[Requirement]]:
    """The pins of constraints.txt, by name; a name may have one for each of several Pythons."""
    pins: dict[str, list[Requirement]] = {}
    for line in LOCK.read_text().splitlines():
        if not line.startswith("#"):
            pins.setdefault(canonicalize_name(Requirement(line).name), []).append(Requirement(line))
    return pins


def test_every_pin_is_one_exact_version_in_its_range() -> None:
    pins = locked()
    for pin in (pin for of_one in pins.values() for pin in of_one):
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)) and not pin.extras, f"{pin} pins nothing"
        assert not CUDA.match(pin.name), f"{pin}: a build for the CPU has none"
    for due in DECLARED:
        assert due.specifier, f"{due.name} has no lower end"
        for pin in pins.get(canonicalize_name(due.name), ()):
            (version,) = pin.specifier
            assert due.specifier.contains(version.version), f"{pin} is not in {due}: run make lock"


def test_the_lock_holds_all_that_an_installation_brings() -> None:
    """From the declared packages along what each one says that it requires, where the locked version is installed."""
    pins, seen, open_ = locked(), set(), [(due.name, due.extras) for due in DECLARED]
    while open_:
        name, extras = open_.pop()
        if (canonicalize_name(name), *extras) in seen or CUDA.match(name):
            continue
        seen.add((canonicalize_name(name), *extras))
        assert canonicalize_name(name) in pins, f"{name} has no version in constraints.txt: run make lock"
        with contextlib.suppress(metadata.PackageNotFoundError):  # an extra that is not installed here
            if not any(pin.specifier.contains(metadata.version(name)) for pin in pins[canonicalize_name(name)]):
                continue
            for due in map(Requirement, metadata.requires(name) or ()):
                if due.marker is None or any(due.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                    open_.append((due.name, due.extras))


def test_versions_are_pinned_in_one_place() -> None:
    groups = [Requirement(text) for group in PYPROJECT["dependency-groups"].values() for text in group]
    apart = {pin.name for pin in groups if pin.specifier}
    assert apart == {"torch", "torch_xla"}, "the rest is as in the course"
    names = "|".join(re.escape(due.name) for due in DECLARED)
    pin_elsewhere = re.compile(rf"\b({names})(\[[\w,]*\])? *[=~]= *[0-9]")
    others = [path for path in project_files() if path.name not in ("pyproject.toml", LOCK.name)]
    found = [str(path.relative_to(ROOT)) for path in others if pin_elsewhere.search(path.read_text())]
    assert not found, f"versions are pinned in {LOCK.name} only, not in {found}"
    assert len(pin_elsewhere.findall((ROOT / "pyproject.toml").read_text())) == 1, "torch, in the group xla"


def test_conda_and_pip_users_get_the_same_versions() -> None:
    entries = re.findall(r"^ +- (.+?) *$", (ROOT / "environment.yml").read_text(), flags=re.M)
    assert f"python{PROJECT['requires-python']}" in entries
    assert entries[-2:] == [f"--constraint {LOCK.name}", "-e .[course,jax]"]


def test_nobody_is_told_to_install_a_stranger() -> None:
    """On PyPI `tplearn` is somebody else's: what is installed by name is called tplearn-course."""
    stranger = re.compile(r"\b(pip|uv|conda)\b[^\n`]* install\b[^\n`]*[\s\"']tplearn(?![-\w/.])")
    assert stranger.search("pip install -q 'tplearn[course]'") and stranger.search("uv pip install tplearn")
    assert not stranger.search("pip install 'tplearn-course[course]'")
    told = [path for path in project_files() if path != Path(__file__) and stranger.search(path.read_text())]
    assert not told and PROJECT["name"] == "tplearn-course"


HOMES = "home|root|Users|work|opt|mnt|srv|private|var/folders"
MACHINE_PATH = re.compile(rf"(?<![\w.}}/])/(?:{HOMES})/[\w.]|\b[A-Z]:\\\\?Users\b")


def test_the_project_names_no_path_of_anybodys_machine() -> None:
    for home in HOMES.split("|"):
        assert MACHINE_PATH.search(f"see /{home}/ann") and not MACHINE_PATH.search(f"https://a.org/{home}/ann")
    hits = []
    for path in project_files():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if MACHINE_PATH.search(line):
                hits.append(f"{path.relative_to(ROOT)}:{number}: {MACHINE_PATH.search(line)[0]}")
    assert not hits, "\n".join(hits)


def output_text(output: dict) -> str:
    """All the text of one output: a stream's, an error's, or every textual form of a result."""
    parts = [output.get("text", ""), output.get("traceback", ""), *output.get("data", {}).values()]
    return "\n".join("".join(part) if isinstance(part, list) else str(part) for part in parts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_stored_notebook_is_clean(path: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells, "a notebook without code cells"
    made_for_the_reader = path.parent.name == "exercises"
    for number, cell in enumerate(cells, start=1):
        source = "".join(cell["source"])
        where = f"code cell {number}: {source[:60]!r}"
        assert source.strip(), f"{where} is empty"
        assert "NBVAL" not in source, f"{where}: what nbval is told belongs into the cell's tags"
        if not made_for_the_reader:
            assert cell["execution_count"] == number, f"{where} was not run in order from a fresh kernel"
        elif "nbval-check-output" in cell["metadata"].get("tags", []):
            assert cell["execution_count"], f"{where}: without an execution count nbval skips the check"
        for output in cell["outputs"]:
            assert output.get("name") != "stderr", f"{where} wrote to stderr: {output_text(output)[:200]}"
            assert output["output_type"] != "error", f"{where} ends in an error"
            leak = re.search(r"/tmp/|ipykernel_\d+|0x[0-9a-f]{6,}", output_text(output))
            assert not leak, f"{where} shows {leak[0] if leak else ''!r}, which differs from machine to machine"
