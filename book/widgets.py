"""Records every widget of the course for the book: `python -m book.widgets OUT` writes scripts that player.js plays.

A recording is kept under the hash of all that could change it, so the next build copies it.
"""

import hashlib
import importlib
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from pkgutil import iter_modules
from threading import Thread

from matplotlib.figure import Figure

import tplearn.show.widgets
from book.recording import Recording
from book.tables import packed
from tplearn.show.style import save_svg
from tplearn.show.widgets.picture import Picture

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "widgets"
STORES = 3  # recordings of so many versions of the sources stay; another build may be at work in one
ABOVE = ("checks", "cli", "commands", "grading")  # floors that no picture can see
NAMES = tuple(sorted({module.name for module in iter_modules(tplearn.show.widgets.__path__)} - {"picture"}))


def widget(name: str) -> Picture:
    """A widget as its chapter shows it. Raises ValueError for a name that is none."""
    if name not in NAMES:
        raise ValueError(f"there is no widget {name!r}; there are {', '.join(NAMES)}")
    module = importlib.import_module(f"tplearn.show.widgets.{name}")
    if name == "memory_planner":
        return module.memory_planner()
    if name == "fingerprint_matrix":  # the chapter takes these fingerprints itself; figures/recorded has the same
        from tplearn.show.figures.ch18 import recorded_fingerprints

        return module.show(recorded_fingerprints())
    return module.show()


def record(out: Path, names: Iterable[str] = NAMES, kept: Path = KEPT) -> list[str]:
    """Write the recordings of widgets into the folder `out`; returns their names.

    NAME.js has the controls, and the states unless NAME-2.js, NAME-3-0.js, ... have them; NAME.svg is the first state,
    for browsers without scripts. What stands in `kept` is copied where nothing has changed since.
    """
    names = sorted(names)
    store = kept / sources()
    if missing := [name for name in names if not (store / name).is_dir()]:
        _record(store, missing)
        for old in sorted(kept.iterdir(), key=lambda folder: folder.stat().st_mtime)[:-STORES]:
            shutil.rmtree(old)
    for name in names:
        shutil.copytree(store / name, out, dirs_exist_ok=True)
    return names


@cache
def sources() -> str:
    """A hash of every file that a picture is made from, and of the versions of what draws it."""
    made = hashlib.sha256(f"{sys.version_info[:2]} {version('matplotlib')} {version('torch')}".encode())
    code = [
        path
        for path in (ROOT / "tplearn").rglob("*")
        if path.suffix in (".py", ".json") and path.relative_to(ROOT / "tplearn").parts[0] not in ABOVE
    ]
    records = (ROOT / "figures" / "recorded").glob("*.json")
    own = (Path(__file__).with_name(name) for name in ("recording.py", "tables.py", "widgets.py"))
    for path in sorted([*code, *records, *own]):
        made.update(f"{path.relative_to(ROOT)} ".encode() + path.read_bytes())
    return made.hexdigest()[:16]


def _record(store: Path, names: list[str]) -> None:
    """Each file is one job. A widget's folder gets its name when it is complete: an interrupted build keeps those.

    Two builds may record at once. What the second one to come has made is the same, and goes.
    """
    from rich.progress import track

    _quiet()
    parts = {name: store / f"{name}.{os.getpid()}" for name in names}
    for part in parts.values():
        part.mkdir(parents=True)
    # Fresh processes: one that is forked from a process with threads may wait for ever.
    pool = ProcessPoolExecutor(min(4, os.cpu_count() or 1), get_context("spawn"), _begin)
    try:
        jobs = {
            pool.submit(_write_file, parts[name], name, first): name
            for name in names
            for first in _write_head(parts[name], name)
        }
        left = Counter(jobs.values())
        for done in track(as_completed(jobs), "recording the widgets", len(jobs)):
            done.result()
            name = jobs[done]
            left[name] -= 1
            if not left[name] and not (store / name).is_dir():
                parts[name].rename(store / name)
    finally:
        pool.shutdown(cancel_futures=True)
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)


def _write_head(folder: Path, name: str) -> Iterator[tuple[int, ...]]:
    """The picture of the first state, and NAME.js for a widget of several files; yields what is left to be written."""
    picture = widget(name)
    figure = Figure(facecolor="white")
    sentence = picture.draw(figure, **picture.values())
    save_svg(figure, folder / f"{name}.svg", sentence)
    recording = Recording(picture)
    if recording.split:
        (folder / f"{name}.js").write_text(packed(name, recording.head()))
    yield from recording.files()


@cache
def _recording(name: str) -> Recording:
    return Recording(widget(name))


def _write_file(folder: Path, name: str, first: tuple[int, ...]) -> None:
    recording = _recording(name)
    data = recording.file(first)
    address = "-".join([name, *map(str, first)])
    (folder / f"{address}.js").write_text(packed(address, data if recording.split else recording.head() | data))


def _begin() -> None:
    """Of each process: it is quiet, and ends with the build, however that ends."""
    _quiet()
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(build: BaseProcess) -> None:
    build.join()
    os._exit(1)  # not sys.exit, which would end this thread only


def _quiet() -> None:
    """matplotlib looks for fonts of formulas, and says so when it takes its own."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def main(arguments: list[str]) -> int:
    """Record all widgets, or those that are named, into the folder named first."""
    if not arguments or arguments[0].startswith("-"):
        print("usage: python -m book.widgets OUT [NAME ...]", file=sys.stderr)
        return 2
    out = Path(arguments[0])
    try:
        names = record(out, arguments[1:] or NAMES)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    sizes = {name: sum(path.stat().st_size for path in out.glob(f"{name}[.-]*js")) for name in names}
    for name, size in sizes.items():
        print(f"{name:20} {size / 1000:8,.0f} kB")
    print(f"{len(sizes)} widgets  {sum(sizes.values()) / 1000:8,.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
