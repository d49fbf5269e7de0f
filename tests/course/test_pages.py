"""What makes a page this page, and the words of the kernel that stand in it."""

import json
from pathlib import Path

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.kernelspec import KernelSpecManager

from tests.course.small import page
from tplearn.course.pages import fingerprint, for_this_python, identity, identity_when_made, is_page, this_kernel

PAGES = sorted((Path(__file__).parents[2] / "exercises").glob("*.ipynb"))


def test_a_page_names_the_kernel_as_the_kernel_names_itself() -> None:
    spec = KernelSpecManager(ensure_native_kernel=True).get_kernel_spec("python3")
    kernel = this_kernel()
    assert kernel["language_info"] == IPythonKernel.language_info
    assert kernel["kernelspec"] == {"name": "python3", "display_name": spec.display_name, "language": spec.language}
    written = json.loads(for_this_python(page("1", tplearn={"made": "x"}).encode()))
    assert written["metadata"] == kernel | {"tplearn": {"made": "x"}}
    assert written["cells"] == json.loads(page("1"))["cells"]


def test_the_words_follow_the_python_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version", "3.13.2+ (main)")
    assert this_kernel()["language_info"]["version"] == "3.13.2+"


def test_running_keeps_a_fingerprint_and_answering_changes_it() -> None:
    asked, run, answered = page("a", "b"), page("a", "b", outputs="seen"), page("a", "c")
    assert identity(asked.encode()) == identity(run.encode()) != identity(answered.encode())
    assert identity(page("ab").encode()) != identity(page("a", "b").encode())
    path = PAGES[0]
    as_lines, as_text = json.loads(path.read_text()), nbformat.read(path, as_version=4)
    assert fingerprint(as_lines) == fingerprint(as_text) == as_text.metadata.tplearn.made


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", '{"cells": 3}', '{"cells": [{}]}', "<svg/>", '{"cells": []}', "\x00", "\ufeff{}"]
)
def test_what_is_no_notebook_is_known_by_its_bytes(content: str) -> None:
    data = content.encode()
    assert not is_page(data) and for_this_python(data) == data
    assert identity(data) == identity_when_made(data) != identity(data + b" ")


def test_an_answered_exercise_still_knows_what_it_was() -> None:
    answered = page("mine", tplearn={"made": "0123456789abcdef"}).encode()
    assert identity_when_made(answered) == "0123456789abcdef" != identity(answered)
    for plain in (page("1"), page("1", tplearn="a word"), page("1", tplearn={})):
        assert identity_when_made(plain.encode()) == identity(plain.encode())
