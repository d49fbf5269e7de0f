"""Every figure: legible, inside its frame, the same bytes each time, and the file in figures/ is up to date."""

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tplearn.show.figures import all_figures, title_of
from tplearn.show.style import MIN_POINTS, canvas, label, rank_colour, rank_hatch, save_svg

ROOT = Path(__file__).parents[2]
FIGURES = all_figures()
each_figure = pytest.mark.parametrize(("stem", "draw"), FIGURES.items(), ids=FIGURES.keys())


@each_figure
def test_text_is_large_enough_inside_the_frame_and_does_not_overlap(stem: str, draw: Callable[[], Figure]) -> None:
    figure = draw()
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")) if text.get_text().strip()]
    texts = [
        text for text in texts if text.get_visible() and text.axes and text.axes.axison or text in figure.axes[0].texts
    ]
    assert texts
    frame, boxes = figure.bbox, []
    for text in texts:
        extent = text.get_window_extent(renderer)
        assert text.get_fontsize() >= MIN_POINTS, text.get_text()
        assert frame.x0 <= extent.x0 and extent.x1 <= frame.x1, f"{text.get_text()!r} leaves the frame sideways"
        assert frame.y0 <= extent.y0 and extent.y1 <= frame.y1, f"{text.get_text()!r} leaves the frame"
        boxes.append((text.get_text(), extent.padded(-1)))
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} overlaps {other!r}"


@each_figure
def test_a_drawing_has_the_bytes_of_its_file_each_time_and_says_what_it_shows(
    stem: str, draw: Callable[[], Figure], tmp_path: Path
) -> None:
    title = title_of(draw)
    assert len(title.split()) >= 5, "the docstring's first line is the picture in words"
    file = (ROOT / "figures" / f"{stem}.svg").read_text()
    for name in ("one.svg", "two.svg"):
        save_svg(draw(), tmp_path / name, title)
        assert (tmp_path / name).read_text() == file, "run: make figures"
    assert "<title>" in file and "dc:date" not in file


def test_the_command_says_what_is_up_to_date_and_nothing_else_lies_there() -> None:
    command = [sys.executable, "figures/make_figures.py", "ch02", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "out of date" not in result.stdout and result.stdout.count("unchanged") > 2
    assert {path.stem for path in (ROOT / "figures").glob("*.svg")} == set(FIGURES)


def test_every_figure_a_chapter_shows_is_there_and_described() -> None:
    for chapter in (ROOT / "chapters").glob("*.ipynb"):
        for words, stem in re.findall(r"!\[([^\]]*)\]\(\.\./figures/(\w+)\.svg\)", chapter.read_text()):
            assert stem in FIGURES, f"{chapter.name} shows {stem}, which nobody draws"
            assert len(words.split()) >= 8, f"{chapter.name}: the alternative text of {stem} must say what is seen"


def test_ranks_differ_without_colour() -> None:
    assert len({rank_hatch(rank) for rank in range(8)}) == len({rank_colour(rank) for rank in range(8)}) == 8


def test_small_print_is_refused() -> None:
    _, ax = canvas(2, 1)
    with pytest.raises(ValueError, match="sizes that work: 9"):
        label(ax, 1, 0.5, "small", size=8)
