"""The files of the package that one exercise's answer may see: its driver, what its page imports, and nothing else.

An image is a folder to import from. A file in it is the course's own with the definitions that something in the image
stands on, at their lines; a reference, a mutant or another layer is not even there to be read.
"""

import ast
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.probe import shifted
from tplearn.checks.run import of_rank
from tplearn.grading.course_cells import course_cells, prerequisites, solution_of, stub_of
from tplearn.grading.pruned import Pruned
from tplearn.grading.spoken import said
from tplearn.grading.top_level import ALL, PACKAGE, ROOT, Import, TopLevel, path_of
from tplearn.jailed.forms import Made, Named

JAILED, CHECKS, PREPARE = f"{PACKAGE}.jailed", f"{PACKAGE}.checks", Import(f"{PACKAGE}.checks.under_jax", "prepare")
CHECK = Import(CHECKS, "check")
TELL = f"\nfrom {JAILED}.absent import tell\ntell()\n"
ABSENT_FROM = f"\nfrom {JAILED}.absent import absent_from\n__getattr__ = absent_from(__name__)\n"


def build_image(exercise: Exercise, folder: Path, cases: Sequence[Case] | None = None) -> None:
    """Write the image of an exercise into an empty folder; folders are 0755, files 0644.

    cases: whose arguments the driver is given, so that their classes are there; None: some are drawn here.
    """
    given, withheld = _given(exercise)
    modules = [Import(each.module) for each in (CHECK, *withheld)]
    pruned = Pruned.of((*_driver(exercise), *_arguments(exercise, cases), *given, *modules))
    lines = {CHECKS: [f"from {JAILED}.check import check\n"]}
    for each in withheld:
        call = f"withheld({each.module!r}, {each.name!r})"
        lines.setdefault(each.module, []).append(f"from {JAILED}.absent import withheld\n{each.name} = {call}\n")
    for module, file, text in pruned.texts():
        more = "".join(lines.get(module, [])) + ABSENT_FROM + (TELL if module == PACKAGE else "")
        _write(folder / file.relative_to(ROOT), (text + more).encode())
        _copy_data(file.parent, text, folder)
    for file in path_of(JAILED).parent.glob("*.py"):
        _write(folder / file.relative_to(ROOT), file.read_bytes())
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)


def modules_of(exercise: Exercise) -> tuple[str, ...]:
    """What a process imports once before it forks for answers to the exercise: what the driver and the cells import."""
    found = list(Pruned.of((*_driver(exercise), *_given(exercise)[0])).names)
    for source in course_cells(exercise.name):
        for node in ast.parse(source).body:
            if isinstance(node, ast.ImportFrom):
                found.append(node.module)
            elif isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
    return tuple(dict.fromkeys([*found, *(["jax"] if exercise.jax else [])]))


def image_hash(folder: Path) -> str:
    """Of the paths of the files in an image and what they hold."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, content = str(file.relative_to(folder)).encode(), file.read_bytes()
        whole.update(b"%d %d %b %b" % (len(name), len(content), name, content))
    return whole.hexdigest()


def _driver(exercise: Exercise) -> Iterator[Import]:
    """The observers of the exercise, and what makes JAX ready for them."""
    for observer in (exercise.observe, shifted(exercise.observe)):
        yield from _named(said(observer))
    if exercise.jax:
        yield PREPARE


def _arguments(exercise: Exercise, cases: Sequence[Case] | None) -> Iterator[Import]:
    """The classes and functions among the arguments of its cases."""
    for case in exercise.cases(torch.Generator().manual_seed(0)) if cases is None else cases:
        for rank in range(case.tp if exercise.ranks else 1):
            own = of_rank(case, rank)
            yield from _named(said([list(own.args), own.kwargs]))


def _named(form: Any) -> Iterator[Import]:
    """The names of the package in a form that goes over the wire."""
    if isinstance(form, Named | Made):
        module, _, name = form.path.partition(":")
        if module.partition(".")[0] == PACKAGE:
            yield Import(module, name.partition(".")[0])
    children = form.state if isinstance(form, Made) else form
    if isinstance(children, dict):
        children = list(children.values())
    for child in children if isinstance(children, list | tuple) else ():
        yield from _named(child)


def _given(exercise: Exercise) -> tuple[list[Import], list[Import]]:
    """What the page imports for the exercise: the names that are there, and those that this exercise may not use.

    A name may not be used where the exercise is to write what it stands on, `Exercise.ready`: one page has several
    exercises. What answer cells import, as they are handed out and as they are published, belongs to the page.
    """
    names = (*prerequisites(exercise.name), exercise.name)
    sources = (*course_cells(exercise.name), *map(solution_of, names), stub_of(exercise.name))
    given, withheld = [], []
    for each in dict.fromkeys(one for source in sources for one in _imports(source) if one != CHECK):
        (withheld if _stands_on(each, exercise.ready) else given).append(each)
    return given, withheld


def _imports(source: str) -> Iterator[Import]:
    """What a cell imports from the package, wherever in it."""
    cell = TopLevel(source)
    brought = list(cell.brings.values())
    brought += [each for number in range(len(cell.body)) for each, _ in cell.imports(number)]
    yield from (each if each.name else Import(each.module, ALL) for each in brought)


@cache
def _stands_on(each: Import, ready: tuple[str, ...]) -> bool:
    """Whether a name needs one of the dotted names, or something in it."""
    paths = Pruned.of([each]).paths()
    return any(f"{path}.".startswith(f"{name}.") for path in paths for name in ready)


def _copy_data(source: Path, text: str, folder: Path) -> None:
    """What lies beside a module and is named in its text: tables, a model's weights."""
    for path in source.iterdir():
        into = folder / path.relative_to(ROOT)
        if f'"{path.name}"' not in text or path.suffix == ".py":
            continue
        if path.is_file():
            _write(into, path.read_bytes())
        elif not (path / "__init__.py").exists():
            shutil.copytree(path, into, dirs_exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
