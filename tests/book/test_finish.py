"""What is mended in the pages that Sphinx wrote, and how a dead link is named."""

from pathlib import Path

import pytest

from book.finish import dead_links, finish, mended

ASIDE = '<aside class="toc-drawer">'
CAPTION = '<p class="caption" role="heading"><span>Chapters</span></p>'


def test_what_the_theme_forgot_is_mended_once() -> None:
    page = mended(ASIDE + CAPTION)
    assert 'aria-label="This page"' in page and 'aria-level="2"' in page
    assert mended(page) == page


def test_every_link_within_the_book_is_followed(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "b.html").write_text('<h1 id="top">B</h1><a href="../a.html#x%20y">a</a><a href="#top">b</a>')
    (tmp_path / "a.html").write_text('<p id="x y"></p><a href="part/b.html#top">b</a><a href="https://a.org/">c</a>')
    assert dead_links(tmp_path) == []
    finish(tmp_path)
    assert (tmp_path / ".nojekyll").is_file()
    (tmp_path / "c.html").write_text(
        '<a href="part/b.html#gone">b</a><img src="gone.svg" alt=""><a href="a.html">a</a>'
    )
    assert dead_links(tmp_path) == ["part/b.html#gone on c.html", "gone.svg on c.html"]
    with pytest.raises(ValueError, match="lead nowhere:\npart/b.html#gone on c.html\ngone.svg on c.html"):
        finish(tmp_path)
