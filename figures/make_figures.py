"""Draw every figure of the course into this folder, as SVG: `python figures/make_figures.py [ch02 ...] [--check]`.

Every public `draw_*` function of tplearn/show/figures/chNN.py becomes chNN_*.svg. The same code gives the same bytes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tplearn.show.figures import all_figures, title_of
from tplearn.show.style import save_svg

FOLDER = Path(__file__).parent


def main() -> int:
    """Draw the chosen figures; with --check, only say which files differ. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Draw the course's figures as SVG.")
    parser.add_argument("chapters", nargs="*", help="only these, such as ch02; all when none is given")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    options = parser.parse_args()
    figures = {
        stem: draw for stem, draw in all_figures().items() if not options.chapters or stem[:4] in options.chapters
    }
    stale = []
    with tempfile.TemporaryDirectory() as folder:
        for done, (stem, draw) in enumerate(figures.items(), start=1):
            new, old = Path(folder) / f"{stem}.svg", FOLDER / f"{stem}.svg"
            save_svg(draw(), new, title_of(draw))
            same = old.exists() and old.read_bytes() == new.read_bytes()
            if not same:
                stale.append(stem)
                if not options.check:
                    old.write_bytes(new.read_bytes())
            word = "unchanged" if same else "out of date" if options.check else "drawn"
            print(f"[{done:2}/{len(figures)}] {stem}.svg  {word}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
