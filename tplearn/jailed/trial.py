"""What a trial jail runs: whether a rank, as the user that it is, can read the packages that it will import."""

import os
import sys
from pathlib import Path


def main(read_fd: int, write_fd: int) -> None:
    """Ends without an error where it can. Raises PermissionError, which names the folder, where it cannot."""
    for place in filter(os.path.isdir, sys.path):
        for name in ("torch", "numpy"):
            if (folder := Path(place, name)).is_dir():
                (folder / "__init__.py").read_bytes()
    import encodings.idna  # noqa: F401  (loaded late, and by nobody before)
