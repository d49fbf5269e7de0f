"""The player alone, on a page with every widget: from a folder, by keyboard, in both themes, on a phone."""

import io
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from matplotlib import get_data_path
from matplotlib.figure import Figure
from PIL import Image

pytest.importorskip("playwright", reason="the dev extra is not installed")

from playwright.sync_api import Browser, Locator, Page, expect  # noqa: E402

from book.recording import Recording  # noqa: E402
from book.tables import packed  # noqa: E402
from book.widgets import ABOVE, NAMES, main, record, widget  # noqa: E402
from tests.test_house import floor_of  # noqa: E402
from tplearn.show.style import png_bytes  # noqa: E402

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
STATIC = ROOT / "book" / "_static"
FONTS = Path(get_data_path()) / "fonts" / "ttf"
BLOCK = 8  # pixels that are compared as one
MEAN, SHARE = 6.5, 0.015  # how far a picture may be from matplotlib's: hatches under text show here, plates there
# Colours as conf.py gives them to the theme; matplotlib's font, so that pictures can be laid on each other.
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Widgets</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="{static}/player.css"><script defer src="{static}/player.js"></script><style>
@font-face {{ font-family: Sans; src: url("{fonts}/DejaVuSans.ttf"); }}
@font-face {{ font-family: Sans; font-weight: 700; src: url("{fonts}/DejaVuSans-Bold.ttf"); }}
body {{ margin: 1rem; --sans: Sans; --color-background-primary: #fff; --color-brand-primary: #1d5a96; }}
body[data-theme="dark"] {{ background: #14171b; color: #dfe2e6; --color-background-primary: #14171b;
  --color-foreground-secondary: #b0b7c0; --color-foreground-muted: #9aa3ae; --color-brand-primary: #85b9ee; }}
</style></head><body data-theme="light"><main><h1>Widgets</h1>{players}</main></body></html>"""


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    found = {}
    for name in NAMES:
        picture = widget(name)
        if name == "pipeline_timeline":  # its long steps take half of the time of all recordings
            picture.controls["m"].options = [4, 8]
        found[name] = Recording(picture)
    return found


@pytest.fixture(scope="module")
def folder(recordings: dict[str, Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page and the recordings; of widgets in many files those two that the tests come to."""
    out = tmp_path_factory.mktemp("a book α")
    for name, recording in recordings.items():
        if not recording.split:
            (out / f"{name}.js").write_text(packed(name, recording.head() | recording.file()))
            continue
        (out / f"{name}.js").write_text(packed(name, recording.head()))
        start, *rest = (control.start for control in recording.controls[: recording.split])
        for at in ((start, *rest), (start + 1, *rest)):
            address = "-".join([name, *map(str, at)])
            (out / f"{address}.js").write_text(packed(address, recording.file(at)))
    players = "".join(f'<tp-player data-widget="{name}" src=""></tp-player>' for name in (*NAMES, NAMES[0]))
    (out / "page.html").write_text(PAGE.format(static=STATIC.as_uri(), fonts=FONTS.as_uri(), players=players))
    return out


@pytest.fixture
def page(folder: Path, browser: Browser) -> Iterator[Page]:
    """The page, when every player shows its first state. Nothing is asked of a network, no error is told."""
    page, told, asked = browser.new_page(viewport={"width": 1280, "height": 900}), [], []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "page.html").as_uri())
    expect(page.locator("tp-player .tp-words:not(:empty)")).to_have_count(len(NAMES) + 1)
    yield page
    page.close()
    assert not told
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def player(page: Page, name: str) -> Locator:
    return page.locator(f'tp-player[data-widget="{name}"]').first


def slider(found: Locator, name: str) -> Locator:
    return found.get_by_role("slider", name=name, exact=True)


def sentence(recording: Recording, positions: list[int]) -> tuple[str, bool]:
    """What the kernel says of the controls' positions, and whether it refuses them."""
    setting = {control.name: control.values[at] for control, at in zip(recording.controls, positions, strict=True)}
    try:
        return recording.picture.draw(Figure(), **setting), False
    except ValueError as error:
        return str(error), True


def positions(found: Locator) -> list[int]:
    return found.evaluate("player => player.at")


def test_every_widget_moves_by_keyboard_and_says_what_the_kernel_says(
    page: Page, recordings: dict[str, Recording]
) -> None:
    for name, recording in recordings.items():
        found = player(page, name)
        words, image = found.locator("[role=status]"), found.locator("svg[role=img]")
        assert words.text_content() == sentence(recording, positions(found))[0] == image.get_attribute("aria-label")
        for place, control in enumerate(recording.controls):
            key, step = ("ArrowRight", 1) if control.start + 1 < len(control.values) else ("ArrowLeft", -1)
            if 0 < place < recording.split:
                continue  # its files are not on this page
            before, drawn = positions(found), image.inner_html()
            box = found.locator(".tp-controls > *").nth(place).locator("input, select")
            (box.and_(found.locator(":checked")) if control.kind == "choice" else box).focus()
            page.keyboard.press(key)
            expect(found).not_to_have_attribute("aria-busy", "true")
            now = positions(found)
            assert now[place] == before[place] + step, (name, control.name)
            told, refused = sentence(recording, now)
            expect(words).to_have_text(told)
            assert image.get_attribute("aria-label") == told or refused
            assert image.inner_html() == drawn if refused else True
            if control.kind == "slider":
                assert box.get_attribute("aria-valuetext") == control.texts[now[place]]
            page.keyboard.press("ArrowLeft" if step > 0 else "ArrowRight")
            expect(words).to_have_text(sentence(recording, before)[0])
            assert positions(found) == before


def test_a_slider_has_its_ends_and_they_move_with_other_controls(page: Page) -> None:
    found = player(page, "ring_stepper")
    ranks, step = slider(found, "ranks"), slider(found, "step")
    step.focus()
    page.keyboard.press("End")
    expect(step).to_have_attribute("aria-valuetext", "6")
    ranks.focus()
    page.keyboard.press("Home")
    assert positions(found) == [0, 2], "two ranks are done after two steps"
    assert step.get_attribute("max") == "2" and step.get_attribute("aria-valuetext") == "2"
    page.keyboard.press("End")
    assert step.get_attribute("max") == "8" and positions(found) == [3, 2]
    page.keyboard.press("Tab")
    expect(step).to_be_focused()


def test_a_refused_setting_says_why_and_the_picture_pales(page: Page) -> None:
    found = player(page, "device_mesh")
    picture, image = found.locator(".tp-picture"), found.locator("svg")
    before = image.inner_html()
    slider(found, "tp").focus()
    page.keyboard.press("ArrowLeft")
    expect(found.locator("[role=status]")).to_have_text(
        re.compile("tp = 3 does not divide world size 8; sizes that work")
    )
    assert image.inner_html() == before and image.get_attribute("aria-hidden") == "true"
    assert float(picture.evaluate("node => getComputedStyle(node).opacity")) < 0.5
    assert found.locator("[role=status]").bounding_box()["y"] < picture.bounding_box()["y"], "the reason comes first"
    page.keyboard.press("ArrowLeft")
    expect(found.locator("[role=status]")).to_have_text(re.compile("^init_device_mesh"))
    assert image.get_attribute("aria-hidden") is None and image.inner_html() != before


def test_two_players_of_one_widget_are_apart(page: Page) -> None:
    one, other = page.locator(f'tp-player[data-widget="{NAMES[0]}"]').all()
    before = other.inner_html()
    one.locator("input").first.focus()
    page.keyboard.press("Home")
    assert positions(one) != positions(other) and other.inner_html() == before
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(node => node.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the dev extra is not installed").Axe()
    page.evaluate("theme => document.body.dataset.theme = theme", theme)
    slider(player(page, "device_mesh"), "tp").press("ArrowLeft")  # one is refused
    found = axe.run(page, options={"preload": False}).response["violations"]
    assert not [each for each in found if each["impact"] != "minor"]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_wide_picture_scrolls_in_its_place(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_function("width => innerWidth === width", arg=width)
    page.wait_for_timeout(100)  # sizes are observed after they are painted
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    scrolls = "nodes => nodes.map(node => [node.scrollWidth > node.clientWidth, node.tabIndex])"
    found = page.locator(".tp-picture").evaluate_all(scrolls)
    assert all(tab == (0 if wide else -1) for wide, tab in found)
    assert any(wide for wide, _ in found) is (width == 390)


def coarse(png: bytes, size: tuple[int, int]) -> np.ndarray:
    """Mean colours of blocks: fonts are smoothed in different ways, and lines stand half a pixel apart."""
    small = Image.open(io.BytesIO(png)).convert("RGB").resize(size, Image.Resampling.BOX)
    return np.asarray(small.resize((size[0] // BLOCK, size[1] // BLOCK), Image.Resampling.BOX), dtype=float)


def distance(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Of 255: by how much blocks differ on average; and the share of blocks that differ by more than 64."""
    height, width = np.minimum(one.shape, other.shape)[:2]
    far = np.abs(one[:height, :width] - other[:height, :width]).max(axis=2)
    return float(far.mean()), float((far > 64).mean())


def test_the_picture_is_matplotlibs(page: Page, recordings: dict[str, Recording]) -> None:
    shown, drawn = {}, {}
    for name, recording in recordings.items():
        figure = Figure(facecolor="white")
        recording.picture.draw(figure, **{each.name: each.values[each.start] for each in recording.controls})
        png = png_bytes(figure, dpi=96)
        size = Image.open(io.BytesIO(png)).size
        drawn[name] = coarse(png, size)
        shown[name] = coarse(player(page, name).locator("svg").screenshot(), size)
    for name in NAMES:
        mean, share = distance(shown[name], drawn[name])
        assert mean < MEAN and share < SHARE, (name, mean, share)
        others = [distance(shown[name], drawn[other]) for other in NAMES if other != name]
        assert all(mean > 2 * MEAN and share > 2 * SHARE for mean, share in others), "other pictures are far from it"


def test_what_cannot_be_read_is_said(folder: Path, browser: Browser) -> None:
    page = browser.new_page()
    body = '<tp-player data-widget="nothing_here" src="gone/"></tp-player>'
    (folder / "broken.html").write_text(PAGE.format(static=STATIC.as_uri(), fonts=FONTS.as_uri(), players=body))
    page.goto((folder / "broken.html").as_uri())
    words = "This picture cannot be shown: .*gone/nothing_here.js cannot be read. In the notebook the widget works."
    expect(page.get_by_role("status")).to_have_text(re.compile(words))
    page.close()


def test_recordings_are_kept_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, kept = ["swim_lanes", "device_mesh"], tmp_path / "kept"
    assert record(tmp_path / "one", names, kept) == sorted(names)
    stored = {path: path.stat().st_mtime_ns for path in kept.rglob("*.*")}
    assert record(tmp_path / "two", names, kept) == sorted(names)
    assert stored == {path: path.stat().st_mtime_ns for path in kept.rglob("*.*")}, "recorded once"
    for name in names:
        recording = Recording(widget(name))
        assert (tmp_path / "two" / f"{name}.js").read_text() == packed(name, recording.head() | recording.file())
        assert recording.picture.draw(Figure(), **recording.picture.values()) in (
            tmp_path / "one" / f"{name}.svg"
        ).read_text().replace("&quot;", '"')
    assert main([]) == main(["--help"]) == 2 and "usage: python -m book.widgets OUT" in capsys.readouterr().err
    assert main([str(tmp_path / "three"), "ring"]) == 2
    assert "no widget 'ring'; there are activation_memory, " in capsys.readouterr().err


def test_floors_that_do_not_count_are_above_what_draws() -> None:
    """A recording stays when they change; that nothing imports upwards is a rule of the house."""
    assert all(floor_of(f"tplearn.{name}") > floor_of("tplearn.show") for name in ABOVE)


def test_a_build_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    lines = (
        f"from pathlib import Path; from book import widgets; widgets.record(Path('out'), kept=Path({str(tmp_path)!r}))"
    )
    build = psutil.Popen([sys.executable, "-c", lines], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    workers: list[psutil.Process] = []
    while not workers and build.is_running() and build.status() != psutil.STATUS_ZOMBIE:
        workers = [each for each in build.children() if "spawn_main" in " ".join(each.cmdline())]
        time.sleep(0.05)
    assert workers, "it ended before it was killed"
    build.kill()
    build.wait()
    _, left = psutil.wait_procs(workers, timeout=30)
    assert not left
