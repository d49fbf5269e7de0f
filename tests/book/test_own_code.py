"""The page "On your own code" holds what its commands print today."""

from book.own_code import PAGE, filled


def test_the_page_shows_what_its_commands_print() -> None:
    page = PAGE.read_text()
    assert filled(page) == page, "run: python -m book.own_code"
    assert page.count("```console\n$ ") == page.count("\n$ ") > 3
