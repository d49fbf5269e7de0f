"""The pages: what they say, what they keep back, and whether eyes, screen readers and printers can read them."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.grading.made import BIAS, HOSTILE, mark, report, small_class, student
from tplearn.grading.pages import TEMPLATES, class_page, student_page
from tplearn.grading.plain import plain

CLASS, CONTRAST = small_class(), 4.5
ADA, BOB, CYD = CLASS.students
PAGES = {"class": class_page(CLASS, {"12": "students/bob.html"}), "bob": student_page(CLASS, BOB)}
PAGES |= {"cyd": student_page(CLASS, CYD), "trusted": student_page(small_class(jail=""), ADA)}


class Outline(HTMLParser):
    """A page as its tags, with its text apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += [data.strip()] if data.strip() and self.tags[-1][0] != "style" else []

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_asks_for_nothing(name: str) -> None:
    outline = Outline(PAGES[name])
    assert outline.all("html") == [{"lang": "en"}] and len(outline.all("main")) == len(outline.all("h1")) == 1
    assert not outline.all("script") + outline.all("img") + outline.all("link") + outline.all("iframe")
    assert "default-src 'none'" in outline.all("meta")[1]["content"]
    assert not re.search(r"url\(|@import|https?:", PAGES[name])
    assert not [attributes for _, attributes in outline.tags if any(key.startswith("on") for key in attributes)]


@pytest.mark.parametrize("name", PAGES)
def test_headings_come_in_order_and_tables_name_their_rows_and_columns(name: str) -> None:
    outline = Outline(PAGES[name])
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert outline.all("table") and len(outline.all("table")) == len(outline.all("caption"))
    assert all(cell.get("scope") in ("row", "col") for cell in outline.all("th"))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = " ".join(attributes.get("aria-labelledby") or "" for _, attributes in outline.tags).split()
    assert set(named) <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_the_first_line_says_whether_answers_were_jailed(name: str) -> None:
    first = Outline(PAGES[name]).text[1]  # the title of the window is before it
    assert first.startswith("Trusted class only" if name == "trusted" else "Graded in a jail (bubblewrap 0.8.0)")


def test_a_student_reads_points_a_word_one_reason_the_misconception_and_a_hint() -> None:
    text = Outline(PAGES["bob"]).text
    assert "4 of 15 points" in text and "02.4 row_parallel: wrong" in text and BIAS in text
    assert text[text.index("Misconception") + 1] == "bias × tp"
    assert text[text.index("Look at") + 1] == "where the bias enters."
    assert "02.pdf is no notebook." in text and any("20 % less" in line for line in text)
    assert "not graded of 15 points" in Outline(PAGES["cyd"]).text


def test_what_is_for_the_teacher_is_on_the_teachers_page_alone() -> None:
    assert "SECRET" in PAGES["class"]
    assert not any("SECRET" in PAGES[name] for name in ("bob", "cyd", "trusted"))
    assert not any("Ada" in PAGES[name] for name in ("bob", "cyd")), "nobody reads about another student"


def test_names_and_reasons_are_text_wherever_they_stand() -> None:
    evil = mark("row_parallel", "error", HOSTILE, misconception=HOSTILE, hint=HOSTILE, notes=(HOSTILE,), detail=HOSTILE)
    one = replace(student(HOSTILE, evil, notes=(HOSTILE,), lateness=HOSTILE), name=HOSTILE)
    whole = report(one, strays=(HOSTILE,))
    whole = replace(whole, title=HOSTILE, course=HOSTILE, jail=HOSTILE)
    for page in (class_page(whole, {one.student: '"><script>x'}), student_page(whole, whole.students[0])):
        outline = Outline(page)
        assert not outline.all("script")
        assert plain(HOSTILE) in " ".join(outline.text)
        assert not set("\x1b\u202e") & set(page) and page.encode()


def test_the_class_page_counts_and_lists_what_is_not_graded_first() -> None:
    text = Outline(PAGES["class"]).text
    assert text.index("Not graded: the grader failed") < text.index("Exercises") < text.index("Students")
    assert any("row_parallel: The jail did not start." in line for line in text)
    assert "2 of 3" in text and "1 of 3" in text
    assert "bias × tp (02.4)" in text and BIAS in text
    (described, _) = [line for line in text if "students pass." in line or "of 3 students." in line]
    assert "02.1 split_columns: 2 of 3 students pass. 02.4 row_parallel: 1 of 3 students pass." in described
    assert {"href": "students/bob.html"} in Outline(PAGES["class"]).all("a")


def test_a_class_in_which_all_is_right_has_no_misconceptions() -> None:
    page = class_page(report(student("11", mark("row_parallel", "passed"))))
    assert "No wrong answer showed one" in page and "Not graded" not in page and "For you only" not in page


def test_the_same_report_gives_the_same_page() -> None:
    shuffled = replace(CLASS, students=tuple(reversed(CLASS.students)))
    assert class_page(shuffled) == class_page(CLASS)


def palettes() -> list[tuple[str, dict[str, str]]]:
    """(light, dark or print, {name: colour}) as the style sheet gives them."""
    style = (TEMPLATES / "style.css").read_text()
    blocks = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]+);", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    return list(zip(("light", "dark", "print"), blocks, strict=True))


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("scheme", "colours"), palettes())
def test_text_has_the_contrast_that_wcag_asks_for(scheme: str, colours: dict[str, str]) -> None:
    assert len(colours) >= 9
    for ground in ("paper", "tint"):
        for ink in ("ink", "soft", "right", "wrong", "other", "link"):
            low, high = sorted(luminance(colours[name]) for name in (ink, ground))
            assert (high + 0.05) / (low + 0.05) >= CONTRAST, f"{ink} on {ground}, {scheme}"


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_chromium_shows_the_pages_without_asking_for_anything(tmp_path: Path, scheme: str, width: int) -> None:
    from benchmarks.lab_page import browser_tab

    asked: list[str] = []
    said: list[str] = []
    with browser_tab() as tab:
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 900})
        for name, page in PAGES.items():
            path = tmp_path / f"{name}.html"
            path.write_text(page, encoding="utf-8")
            tab.goto(path.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, "nothing hangs over the edge"
            assert tab.get_by_role("heading", level=1).count() == tab.get_by_role("main").count() == 1
            ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 25, 29)")
        tab.goto((tmp_path / "class.html").as_uri())
        for title in ("How many students pass each exercise", "How many students show each misconception"):
            assert tab.get_by_role("img", name=title).count() == 1
            assert tab.get_by_role("table", name=title).count() == 1
        assert tab.get_by_role("rowheader", name="02.4 row_parallel").count() == 1
    assert asked and all(url.startswith("file:") for url in asked) and not said
