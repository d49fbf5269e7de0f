"""A notebook's file: what makes it this page and no other, and what a kernel writes into it."""

import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any


def fingerprint(page: Mapping[str, Any]) -> str:
    """Of the cells' sources alone: running a notebook does not change it, answering does."""
    sources = ["".join(cell["source"]) for cell in page["cells"]]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def is_page(content: bytes) -> bool:
    """Whether a file's content is a notebook."""
    return _page(content) is not None


def identity(content: bytes) -> str:
    """The fingerprint of a notebook; of anything else the hash of its bytes."""
    page = _page(content)
    return hashlib.sha256(content).hexdigest() if page is None else fingerprint(page)


def identity_when_made(content: bytes) -> str:
    """The same, but of an exercise notebook that somebody has answered: of the notebook as it was before."""
    ours = (_page(content) or {"metadata": {}})["metadata"].get("tplearn")
    return ours["made"] if isinstance(ours, dict) and "made" in ours else identity(content)


def for_this_python(content: bytes) -> bytes:
    """A notebook that names its kernel as JupyterLab does, so that opening it changes nothing; others as they are.

    JupyterLab writes the kernel's name and Python's version into each page that it opens. Where they differ, the page
    counts as changed before anybody has typed a letter.
    """
    page = _page(content)
    if page is None:
        return content
    page["metadata"] |= this_kernel()
    return (json.dumps(page, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _page(content: bytes) -> dict[str, Any] | None:
    try:
        page = json.loads(content)
        fingerprint(page)
        return page if isinstance(page["metadata"], dict) else None
    except (ValueError, TypeError, LookupError):
        return None


def this_kernel() -> dict[str, Any]:
    """What ipykernel says of itself, without the half second that it takes to import."""
    major = sys.version_info.major
    return {
        "kernelspec": {"name": "python3", "display_name": f"Python {major} (ipykernel)", "language": "python"},
        "language_info": {
            "name": "python",
            "version": sys.version.split()[0],
            "mimetype": "text/x-python",
            "codemirror_mode": {"name": "ipython", "version": major},
            "pygments_lexer": "ipython3",
            "nbconvert_exporter": "python",
            "file_extension": ".py",
        },
    }
