"""Every page of the book in Chromium, on a phone: nothing leaves, nothing overflows, all opens by keyboard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parent.parent.parent
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
NOTEBOOKS = sorted(path for part in ("chapters", "exercises") for path in (ROOT / part).glob("*.ipynb"))
TEXTS = ["index", "on_your_own_code", "glossary", "package", "teaching", "contributing", "search"]
PAGES = [f"{path.parent.name}/{path.stem}" for path in NOTEBOOKS] + TEXTS
# Colours come from one stylesheet, and looking at them takes most of the time: these pages hold every kind of text.
COLOURED = ["chapters/01_why_split", "chapters/04_collectives", "chapters/08_attention"]
COLOURED += ["exercises/02_column_row", "index", "glossary", "search"]
SERIOUS_ENOUGH = ("moderate", "serious", "critical")
Open = Callable[..., "contextmanager[Page]"]  # noqa: F821


@pytest.fixture
def opened(browser: "Browser", address: str) -> Open:  # noqa: F821
    """opened(page) is a tab on that page; when it closes, nothing has been asked of others, and nothing went wrong."""

    @contextmanager
    def tab_on(page: str, view: dict[str, int] = PHONE, theme: str = "light", at: str = address) -> Iterator["Page"]:  # noqa: F821
        context = browser.new_context(viewport=view, color_scheme=theme)
        tab, asked, said = context.new_page(), [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("requestfailed", lambda request: said.append(f"{request.url} failed"))
        tab.on("response", lambda response: said.append(response.url) if response.status >= 400 else None)
        tab.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(f"{at}/{page}.html")
        for player in tab.locator("tp-player").all():
            player.get_by_role("status").wait_for()  # its recording is there
        yield tab
        abroad = [url for url in asked if not url.startswith((at, "data:"))]
        context.close()
        assert not abroad and not said, (page, abroad, said)

    return tab_on


def complaints(tab: "Page", colours: bool) -> list[str]:  # noqa: F821
    """What axe finds that is moderate or worse."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": colours}}}
    found = Axe().run(tab, options=options).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found if each["impact"] in SERIOUS_ENOUGH]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_a_phone(page: str, opened: Open) -> None:
    with opened(page) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "the page scrolls sideways"
        for player in tab.locator("tp-player").all():
            assert player.get_by_role("img").locator("*").count() > 5, "a picture is drawn"
            assert len(player.get_by_role("status").inner_text()) > 20
        assert complaints(tab, colours=page in COLOURED) == []
        folds = tab.locator("article details")
        for fold in folds.all():
            fold.locator("> summary").press("Enter")
        assert all(folds.evaluate_all("folds => folds.map(fold => fold.open)")), "a fold does not open by keyboard"
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "what is open scrolls sideways"


@pytest.mark.parametrize("page", COLOURED)
def test_a_page_on_a_desk_in_the_dark(page: str, opened: Open) -> None:
    with opened(page, DESK, "dark") as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= DESK["width"]
        assert complaints(tab, colours=True) == []


def test_a_widget_is_redrawn_by_an_arrow_key_and_says_so(opened: Open) -> None:
    from playwright.sync_api import expect

    with opened("chapters/04_collectives") as tab:
        player = tab.locator("tp-player")
        said, picture = player.get_by_role("status"), player.get_by_role("img")
        before = said.inner_text(), picture.inner_html()
        player.locator("input[type=range]").last.press("ArrowRight")
        expect(said).not_to_have_text(before[0])
        assert picture.inner_html() != before[1] and picture.get_attribute("aria-label") == said.inner_text()


def test_the_search_finds_a_word_where_it_stands_most(opened: Open) -> None:
    with opened("index") as tab:
        tab.get_by_role("textbox", name="Search").first.fill("reduce-scatter")
        tab.keyboard.press("Enter")
        found = tab.locator("#search-results li a").filter(has_text="04")
        found.first.wait_for()
        assert "chapters/04_collectives.html" in found.first.get_attribute("href")


def test_the_book_opens_by_double_click(built: Path, opened: Open) -> None:
    with opened("chapters/04_collectives", at=built.as_uri()) as tab:
        assert tab.locator("tp-player").get_by_role("img").locator("*").count() > 5
        tab.get_by_role("textbox", name="Search").first.fill("ledger")
        tab.keyboard.press("Enter")
        tab.locator("#search-results li a").first.wait_for()


def test_a_term_explains_itself_on_focus_and_on_hover(opened: Open) -> None:
    with opened("chapters/04_collectives", DESK) as tab:
        term = tab.locator('article a[href*="#term-"]').first
        meaning = tab.locator(f"#{term.get_attribute('aria-describedby')}")
        assert not meaning.is_visible()
        term.focus()
        assert meaning.is_visible() and len(meaning.inner_text()) > 20
        tab.keyboard.press("Escape")
        assert not meaning.is_visible()
        term.hover()
        assert meaning.is_visible()
        meaning.hover()
        assert meaning.is_visible(), "it stays under the pointer"


def test_a_self_test_opens_at_once_and_closes_again(opened: Open) -> None:
    with opened("chapters/04_collectives") as tab:
        answers = tab.locator("details.answer")
        assert answers.count() > 4
        tab.get_by_role("button", name="Show all answers").click()
        assert all(answers.evaluate_all("all => all.map(one => one.open)"))
        tab.get_by_role("button", name="Hide all answers").click()
        assert not any(answers.evaluate_all("all => all.map(one => one.open)"))


def test_what_scrolls_can_be_reached_by_keyboard_and_nothing_else(opened: Open) -> None:
    wide = "article :is(pre, .table-wrapper, p:has(> img))"
    with opened("chapters/14_dtensor") as tab:
        stops = tab.locator(wide).evaluate_all(
            "all => all.map(one => [one.scrollWidth > one.clientWidth, one.tabIndex])"
        )
        assert {tuple(stop) for stop in stops} == {(True, 0), (False, -1)}


def test_the_drawer_of_a_phone_opens_by_keyboard(opened: Open) -> None:
    with opened("index") as tab:
        button = tab.get_by_role("button", name="Toggle site navigation sidebar")
        assert button.get_attribute("aria-expanded") == "false"
        button.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"


def test_a_printed_page_shows_what_was_folded(opened: Open) -> None:
    with opened("chapters/02_column_row") as tab:
        folded = tab.locator("details.run pre").first
        assert not folded.is_visible()
        tab.emulate_media(media="print")
        assert folded.is_visible()
