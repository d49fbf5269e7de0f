"""A notebook becomes a page, without Sphinx: what waits, what lives, where it runs, what text refers to."""

import html
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book import colab, glossary
from book.addresses import Addresses, addresses
from book.cover import cover, package_page, with_links
from book.references import Finder, Reference
from book.stage import page, report_line, widget_of
from book.widgets import NAMES
from tplearn.page import folded, is_folded

ROOT = Path(__file__).parent.parent.parent
HERE = Addresses("ann", "course")
NOTEBOOKS = sorted(path for part in ("chapters", "exercises") for path in (ROOT / part).glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def outputs(notebook: NotebookNode) -> list[str]:
    """The HTML of all outputs that have any."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [each.data["text/html"] for cell in cells for each in cell.outputs if "text/html" in each.get("data", {})]


@each_notebook
def test_a_page_folds_what_the_notebook_folds_and_an_exercise_all(path: Path) -> None:
    before, after = read(path), page(read(path), place(path), HERE)
    shown = [each for cell in before.cells if cell.cell_type == "code" for each in cell.outputs]
    if path.parent.name == "chapters":
        due = sum(map(is_folded, shown))
        assert due >= 3, "each chapter asks"
    else:
        due = len(shown)
    folds = [text for text in outputs(after) if text.startswith('<details class="run')]
    assert len(folds) == due
    for fold, output in zip(
        folds, [each for each in shown if is_folded(each) or path.parent.name == "exercises"], strict=True
    ):
        text = output.get("text") or output["data"]["text/plain"]
        assert html.escape(text.strip("\n"), quote=False) in fold, "and nothing of it is lost"
    code = "\n".join(cell.source for cell in after.cells if cell.cell_type == "code")
    assert "# predicted" not in code and "tplearn.page" not in code


def test_every_widget_of_the_chapters_has_its_player_and_each_is_shown() -> None:
    shown = []
    for path in (path for path in NOTEBOOKS if path.parent.name == "chapters"):
        players = [text for text in outputs(page(read(path), place(path), HERE)) if text.startswith("<tp-player")]
        assert players, f"{path.name} has a widget"
        shown += [name for name in NAMES if any(f'data-widget="{name}"' in text for text in players)]
    assert sorted(shown) == sorted(NAMES)


@pytest.mark.parametrize(
    ("source", "widget"),
    [
        ("ring_stepper.show()", "ring_stepper"),
        ("prints = 1\nfingerprint_matrix.show(prints)", "fingerprint_matrix"),
        ("memory_planner()", "memory_planner"),
        ("show(1)", None),
        ("plt.show", None),
        ("a = ring_stepper.show()", None),
        ("", None),
    ],
)
def test_a_widget_is_known_by_the_last_line_of_its_cell(source: str, widget: str | None) -> None:
    assert widget_of(source) == widget


def test_a_page_changes_nothing_of_its_notebook_and_drops_what_only_a_kernel_reads() -> None:
    folded_output = new_output("display_data", folded(["a < b\n"]))
    cells = [
        new_markdown_cell("# 02 · A title\n\n*20 minutes*\n\nText."),
        new_code_cell("%load_ext tplearn.page"),
        new_code_cell("# predicted\nprint('a < b')", outputs=[folded_output]),
    ]
    notebook = new_notebook(cells=cells)
    report = report_line("chapters/02_a.ipynb", HERE)
    kept = nbformat.writes(notebook)
    made = page(notebook, "chapters/02_a.ipynb", HERE)
    assert nbformat.writes(notebook) == kept
    assert [cell.source.partition("\n")[0] for cell in made.cells] == ["# 02 · A title", "print('a < b')", report]
    assert made.cells[1].outputs[0].data["text/html"] == (
        '<details class="run"><summary>Run</summary><pre>a &lt; b</pre></details>'
    )


def test_the_launch_row_stands_under_the_title_and_names_the_page() -> None:
    (first, *_) = page(read(NOTEBOOKS[2]), place(NOTEBOOKS[2]), HERE).cells
    title, subtitle, row, *_ = first.source.split("\n\n")
    assert title.startswith("# 02") and subtitle.startswith("*")
    for address in (
        "https://colab.research.google.com/github/ann/course/blob/colab/chapters/02_column_row.ipynb",
        "https://mybinder.org/v2/gh/ann/course/main?labpath=chapters%2F02_column_row.ipynb",
        "https://codespaces.new/ann/course?quickstart=1",
        "https://github.com/ann/course/blob/main/chapters/02_column_row.ipynb",
        "../downloads/chapters/02_column_row.ipynb",
    ):
        assert f'href="{address}"' in row


def test_addresses_come_from_the_project_file_or_are_asked_for(tmp_path: Path) -> None:
    assert addresses().repository == addresses(ROOT / "pyproject.toml").repository
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nurls = { Repository = "https://github.com/Ann/Course" }\n')
    assert addresses(project) == Addresses("Ann", "Course")
    assert addresses(project).pages == "https://ann.github.io/Course/"
    for wrong in ('urls = { Repository = "https://example.org/a/b" }', 'name = "a"'):
        project.write_text(f"[project]\n{wrong}\n")
        with pytest.raises(ValueError, match=r"Repository = .*needs \"https://github.com/OWNER/REPO\""):
            addresses(project)


@each_notebook
def test_the_copy_for_colab_is_valid_installs_first_and_stands_alone(path: Path) -> None:
    made = colab.copy(read(path), place(path), HERE)
    nbformat.validate(made)
    assert made.cells[0].source == "%pip install -q --no-deps git+https://github.com/ann/course"
    text = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert "](../" not in text, "no link leads to a neighbour that Colab does not have"
    figures = {line.partition("](")[2].partition(")")[0] for line in text.splitlines() if line.startswith("![")}
    for figure in figures:
        name = figure.removeprefix("https://ann.github.io/course/_images/")
        assert (ROOT / "figures" / name).is_file()
    assert len(made.cells) == len(read(path).cells) + 1


def test_all_copies_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert colab.main([str(tmp_path / "copies")]) == 0
    written = sorted(path.relative_to(tmp_path / "copies").as_posix() for path in tmp_path.rglob("*.ipynb"))
    assert written == [place(path) for path in NOTEBOOKS]
    assert colab.main([]) == 2 and "usage" in capsys.readouterr().err


README = (
    "# Title\n\nText.\n\n![A picture](figures/a.svg)\n\n## Start\n\nHow.\n\n## Chapters\n\n[00](chapters/00.ipynb)\n\n"
)
REST = "## More\n\nSee [LICENSE](LICENSE), [a page](TEACHING.md#ten).\n"


def test_the_readme_is_cut_into_the_cover_and_the_page_of_the_package() -> None:
    front = cover(README + REST, {"Chapters": ["00 <chapters/00.ipynb>"]})
    assert front.index("Text.") < front.index("[Begin with chapter 00]") < front.index("![A picture]")
    assert front.index("## Chapters") < front.index("00 <chapters/00.ipynb>") and "More" not in front
    assert package_page(README + REST) == f"# The package and its commands\n\n{REST}"
    with pytest.raises(ValueError, match="README.md has no heading '## Chapters'"):
        cover("# Title\n", {})


def test_links_lead_to_pages_and_else_to_the_repository() -> None:
    linked = with_links(README + REST, {"TEACHING.md": "teaching.md", "figures/a.svg": "figures/a.svg"}, HERE)
    assert "(teaching.md#ten)" in linked and "(figures/a.svg)" in linked
    assert "(https://github.com/ann/course/blob/main/LICENSE)" in linked
    assert with_links("[a](https://a.org/b) [b](#c)", {}, HERE) == "[a](https://a.org/b) [b](#c)"


TERMS = [("all-reduce",), ("process group", "group"), ("KV head",), ("rank",)]


def found(text: str, finder: Finder) -> list[tuple[str, str]]:
    return [(piece.text, piece.target) for piece in finder.split(text) if isinstance(piece, Reference)]


def test_issues_and_other_chapters_are_found_in_plain_text() -> None:
    finder = Finder(own_chapter="04")
    text = "See pytorch/pytorch#129355 (chapter 10); this is chapter 04, and Chapter 05 is next."
    assert found(text, finder) == [("pytorch/pytorch#129355",) * 2, ("chapter 10", "10"), ("Chapter 05", "05")]
    assert "".join(piece if isinstance(piece, str) else piece.text for piece in finder.split(text)) == text


def test_a_term_is_found_once_a_page_by_any_of_its_spellings() -> None:
    finder = Finder(TERMS)
    assert found("Ranks keep all-reduces. A rank, an all-reduce.", finder) == [
        ("Ranks", "rank"),
        ("all-reduces", "all-reduce"),
    ]
    assert found("a process\ngroup, a group, a KV head", finder) == [
        ("process\ngroup", "process group"),
        ("KV head", "KV head"),
    ]
    assert found("kv head, franks, rank_0, all-reduced, group-wise, x.rank", Finder(TERMS)) == []


def test_the_glossary_is_read_with_all_spellings_and_in_plain_words() -> None:
    rank = "rank\n  One of `p` *processes*,\n  see [00](a.md).\n"
    group = "group\nprocess group\n  Some ranks.\n"
    text = f"# Glossary\n\n```{{glossary}}\n{rank}\n{group}```\n"
    assert glossary.entries(text) == [
        glossary.Entry(("rank",), "One of p processes, see 00."),
        glossary.Entry(("group", "process group"), "Some ranks."),
    ]
    assert glossary.script(glossary.entries(text)).startswith("window.glossary = {")


def test_every_chapter_uses_the_glossary() -> None:
    listed = glossary.entries((ROOT / "book" / "pages" / "glossary.md").read_text())
    spellings = [spelling for entry in listed for spelling in entry.spellings]
    assert len(listed) >= 40 and len(set(spellings)) == len(spellings), "no word has two meanings"
    assert all(len(entry.meaning) > 30 for entry in listed)
    for path in (path for path in NOTEBOOKS if path.parent.name == "chapters"):
        finder = Finder(entry.spellings for entry in listed)
        texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
        assert len([target for text in texts for _, target in found(text, finder)]) > 5, path.name
