"""The README becomes the book's first page, and a page about the package; links to files of the repository follow."""

import re

from book.addresses import Addresses

LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
LAST_OF_COVER = "## Chapters"
TOCTREE = "```{{toctree}}\n:caption: {caption}\n:hidden:\n:titlesonly:\n\n{pages}\n```\n"
BEGIN = "{.begin}\n[Begin with chapter 00](chapters/00_start_here.ipynb)\n"
PACKAGE_TITLE = "# The package and its commands"


def cover(readme: str, toctrees: dict[str, list[str]]) -> str:
    """index.md: the README up to its list of chapters, and the tables of contents that make the sidebar.

    toctrees: caption → pages, as Sphinx names them ("chapters/00_start_here").
    """
    trees = [TOCTREE.format(caption=caption, pages="\n".join(pages)) for caption, pages in toctrees.items()]
    introduction, mark, rest = _split(readme)[0].partition("\n![")
    return "\n".join([introduction, BEGIN, (mark + rest).removeprefix("\n"), *trees])


def package_page(readme: str) -> str:
    """package.md: what the README says after its list of chapters."""
    return f"{PACKAGE_TITLE}\n\n{_split(readme)[1]}"


def with_links(text: str, pages: dict[str, str], places: Addresses) -> str:
    """Relative links lead to the pages of the book, and to the repository where a file is no page.

    pages: a file of the repository → the file of the book's source that shows it.
    """

    def follow(link: re.Match[str]) -> str:
        path, mark, anchor = link[1].partition("#")
        return f"]({pages[path] + mark + anchor if path in pages else places.source(path)})"

    return LINK.sub(follow, text)


def _split(readme: str) -> tuple[str, str]:
    """The cover's part and the rest, which begins with a heading. ValueError where the README has no such heading."""
    start = readme.find(f"\n{LAST_OF_COVER}\n")
    if start < 0:
        raise ValueError(f"README.md has no heading {LAST_OF_COVER!r}: the book's first page ends with that section")
    end = readme.find("\n## ", start + 1)
    return (readme, "") if end < 0 else (readme[: end + 1], readme[end + 1 :])
