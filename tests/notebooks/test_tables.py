"""Tables of the course: each column has a heading, and each chapter closes with a table to test oneself."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.test_notebooks import CHAPTERS, EXERCISES, ROOT, SOLUTIONS, each_as_text

# A book page may show a table inside a quotation, behind "> ".
TABLE = re.compile(
    r"^(?P<quoted>(?:> ?)?)\|(?P<head>.*)\| *\n(?P=quoted)\|[ :|-]+\| *\n(?P<body>(?:(?P=quoted)\|.*(?:\n|\Z))*)", re.M
)
CLOSING = "## What you learnt"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("book/pages/*.md")])


def texts(path: Path) -> list[str]:
    """The Markdown of a page, or of each such cell of a notebook."""
    if path.suffix == ".md":
        return [path.read_text()]
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


def tables(text: str) -> Iterator[list[list[str]]]:
    """Each table as rows of cells, the head first."""
    for found in TABLE.finditer(text):
        rows = [f"|{found['head']}|", *(line.removeprefix(found["quoted"]) for line in found["body"].splitlines())]
        yield [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]


@each_as_text(CHAPTERS + SOLUTIONS + EXERCISES)
def test_each_column_of_a_table_in_a_notebook_has_a_heading(path: Path) -> None:
    assert not without_heading(path)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_column_of_a_table_on_a_page_has_a_heading(path: Path) -> None:
    assert not without_heading(path)


def without_heading(path: Path) -> list[list[str]]:
    """The heads of tables in which a screen reader would find a column without a name."""
    return [table[0] for text in texts(path) for table in tables(text) if not all(table[0])]


@each_as_text(CHAPTERS)
def test_a_chapter_closes_with_a_table_to_test_oneself(path: Path) -> None:
    """The first column asks, and the others answer: the book folds them until they are asked for."""
    (closing,) = [text for text in texts(path) if CLOSING in text.splitlines()]
    table = next(tables(closing.partition(f"{CLOSING}\n")[2].partition("\n## ")[0]))
    assert len(table) > 2 and all(len(row) == len(table[0]) > 1 for row in table)
    empty = [row for row in table if not all(row)]
    assert not empty, f"a question without an answer, or the other way round: {empty}"


def test_tables_are_found_in_text_and_in_quotations() -> None:
    text = "a\n\n| | b |\n|---|:-:|\n| c | d \\| e |\n\n> | f |\n> |---|\n> | g |\n\n| no table |\n"
    assert list(tables(text)) == [[["", "b"], ["c", "d \\| e"]], [["f"], ["g"]]]
    assert list(tables("| x |\n|---|\n| last |")) == [[["x"], ["last"]]]
