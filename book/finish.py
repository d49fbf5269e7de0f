"""Mends what Sphinx and furo leave undone for screen readers, and finds links that lead nowhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What the theme writes → what it should have written. Done twice, a repair changes nothing.
REPAIRS = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="The book">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="This page">',
    '<aside class="toc-drawer no-toc">': '<aside class="toc-drawer no-toc" aria-label="This page">',
}


def finish(built: Path) -> None:
    """Mend every page of the built book. ValueError that lists the links that lead nowhere."""
    for page in sorted(built.rglob("*.html")):
        page.write_text(mended(page.read_text()))
    (built / ".nojekyll").touch()  # or GitHub leaves out what begins with an underscore
    if dead := dead_links(built):
        raise ValueError("links that lead nowhere:\n" + "\n".join(dead))


def mended(page: str) -> str:
    """The page with the repairs."""
    for theirs, ours in REPAIRS.items():
        page = page.replace(theirs, ours)
    return page


def dead_links(built: Path) -> list[str]:
    """Each link within the book to a file or an anchor that is not there, with the first page that has it."""
    pages = {page: _Page(page.read_text()) for page in sorted(built.rglob("*.html"))}
    dead: dict[str, str] = {}
    for page, found in pages.items():
        for link in found.links:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (page.parent / unquote(target.path)).resolve() if target.path else page
            lost = target.fragment and file in pages and unquote(target.fragment) not in pages[file].anchors
            if not file.is_file() or lost:
                dead.setdefault(link, f"{link} on {page.relative_to(built)}")
    return list(dead.values())


class _Page(HTMLParser):
    """The links of a page, and the anchors that links may lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id") or "")
        for name in ("href", "src"):
            # "../_static/widgets/" of a player is a folder, whose files the player names
            if given.get(name) and tag not in ("use", "tp-player"):
                self.links.append(given[name])
