"""Builds the book: `python -m book.build`. Stages the pages, records the widgets, runs Sphinx, mends its HTML."""

import shutil
import sys
import time
from pathlib import Path

import nbformat

from book import colab
from book.addresses import ROOT, STAND_IN, Addresses, addresses
from book.cover import cover, package_page, with_links
from book.finish import finish
from book.glossary import entries, script
from book.stage import page
from book.widgets import record

PARTS = {"Chapters": "chapters", "Exercises": "exercises"}
TEXTS = {"TEACHING.md": "teaching.md", "CONTRIBUTING.md": "contributing.md"}
MORE = ("on_your_own_code", "glossary", "package", "teaching", "contributing")


def stage(root: Path, out: Path, places: Addresses) -> None:
    """Write the book's source for Sphinx into the folder `out`, which is made anew."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copytree(root / "figures", out / "figures", ignore=shutil.ignore_patterns("*.py", "recorded", "__pycache__"))
    shutil.copytree(root / "book" / "pages", out, dirs_exist_ok=True)
    for folder in ("_static", "_templates"):
        shutil.copytree(root / "book" / folder, out / folder)
    shutil.copy(root / "book" / "conf.py", out)
    shown = dict(TEXTS)
    for part in PARTS.values():
        (out / part).mkdir()
        for source in sorted((root / part).glob("*.ipynb")):
            path = f"{part}/{source.name}"
            nbformat.write(page(nbformat.read(source, as_version=4), path, places), out / path)
            shown[path] = path
    shown |= {f"figures/{figure.name}": f"figures/{figure.name}" for figure in (out / "figures").iterdir()}
    for text in out.glob("*.md"):
        text.write_text(text.read_text().replace(STAND_IN, places.repository))
    for name, target in TEXTS.items():
        (out / target).write_text(with_links((root / name).read_text(), shown, places))
    readme = with_links((root / "README.md").read_text(), shown, places)
    (out / "package.md").write_text(package_page(readme))
    tables = {
        caption: [f"{_title(out / path)} <{path}>" for path in shown if path.startswith(part)]
        for caption, part in PARTS.items()
    }
    tables["More"] = [name for name in MORE if (out / f"{name}.md").exists()]
    (out / "index.md").write_text(cover(readme, tables))
    (out / "_static" / "glossary.js").write_text(script(entries((out / "glossary.md").read_text())))


def _title(path: Path) -> str:
    """The sidebar's name of a notebook: its title, without the word that the sidebar has above all of its kind."""
    title = nbformat.read(path, as_version=4).cells[0].source.partition("\n")[0]
    return title.removeprefix("# ").removeprefix("Exercises ")


def sphinx(staged: Path, built: Path) -> int:
    """Sphinx's exit code; 0 also means that there was not one warning."""
    from sphinx.cmd.build import build_main

    shutil.rmtree(built, ignore_errors=True)
    settings = ["-d", str(staged.with_name("book-doctrees")), "-E", "-W", "--keep-going", "-q"]
    return build_main(["-b", "html", *settings, str(staged), str(built)])


def summary(built: Path, seconds: float) -> str:
    """One line: how many pages, how heavy, which is the heaviest, and how long it took."""
    pages = {page: page.stat().st_size for page in built.rglob("*.html")}
    total = sum(file.stat().st_size for file in built.rglob("*") if file.is_file())
    heaviest = max(pages, key=pages.get)
    return (
        f"{len(pages)} pages, {total / 1e6:.1f} MB in all; the heaviest is {heaviest.relative_to(built)} "
        f"with {pages[heaviest] / 1e3:.0f} kB of HTML; built in {seconds:.0f} s"
    )


def main(names: list[str]) -> int:
    """Build it in the folder that is named, else in build/, and say what came out."""
    if len(names) > 1:
        print(
            "usage: python -m book.build [OUT] (the folder for the book and its source; build without one)",
            file=sys.stderr,
        )
        return 2
    began = time.monotonic()
    out = Path(names[0]).resolve() if names else ROOT / "build"
    staged, built = out / "book-src", out / "book"
    try:
        places = addresses()
        stage(ROOT, staged, places)
        record(staged / "_static" / "widgets")
        if code := sphinx(staged, built):
            return code
        colab.write(built / "downloads", ROOT, places)
        finish(built)
    except ValueError as error:
        print(f"The book is not built: {error}", file=sys.stderr)
        return 1
    print(summary(built, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
