"""Median time from moving a slider to the new picture, in JupyterLab in Chromium: `python benchmarks/widgets.py`."""

import statistics
import sys
import tempfile
from pathlib import Path

from lab_page import browser_tab, forget_outputs, move_slider, open_notebook, run_all, serve, widget_cells

from tplearn.course.copy import update
from tplearn.course.places import course_folder

MOVES = 9


def main(names: list[str]) -> None:
    """One line for each slider of each chapter named, or of every chapter that has one."""
    with tempfile.TemporaryDirectory() as scratch:
        served, settings = Path(scratch, "course"), Path(scratch, "settings")
        settings.mkdir()
        update(served, course_folder())
        chapters = [path for path in sorted((served / "chapters").glob("*.ipynb")) if not names or path.stem in names]
        for path in chapters:
            forget_outputs(path)
        with serve(served, settings) as server:
            for path in chapters:
                with browser_tab() as tab:
                    open_notebook(tab, server, f"chapters/{path.name}")
                    run_all(tab)
                    if not tab.locator(".noUi-handle").count():
                        continue
                    for cell in widget_cells(tab):
                        times = [move_slider(cell) for _ in range(MOVES)]
                        median, worst = statistics.median(times), max(times)
                        print(
                            f"{path.stem:24} median {median * 1000:5.0f} ms   worst of {MOVES} {worst * 1000:5.0f} ms"
                        )


if __name__ == "__main__":
    main(sys.argv[1:])
