"""What ranks print, as it is shown: whole lines, bars that rewrite themselves, pieces of characters, copies."""

import io
from pathlib import Path

import pytest

from tplearn.running import live
from tplearn.running.live import Stream


def shown(*pieces: bytes, copy: Path | None = None) -> str:
    """What a stream shows of what arrives in these pieces."""
    terminal = io.StringIO()
    stream = Stream("[rank 1] ", terminal, copy)
    for piece in pieces:
        stream.feed(piece)
    stream.close()
    return terminal.getvalue()


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"one\ntw", b"o\n"], ["one", "two"]),
        ([b"no newline"], ["no newline"]),
        (["Zürich\n".encode()[:2], "Zürich\n".encode()[2:]], ["Zürich"]),
        ([b"\xff\n"], ["\ufffd"]),
        ([b"\n\n"], ["", ""]),
        ([b"windows\r\n"], ["windows"]),
        ([b"\r 10%", b"\r 50%", b"\r100%\n", b"done\n"], ["100%", "done"]),
        ([b"\r 10%", b"\r 50%"], [" 50%"]),
        ([b" 10%\r", b" 50%\r", b"100%\r"], ["100%"]),
        ([b""], []),
    ],
)
def test_lines(pieces: list[bytes], lines: list[str]) -> None:
    assert shown(*pieces) == "".join(f"[rank 1] {line}\n" for line in lines)


def test_a_bar_is_shown_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BAR_SECONDS", -1.0)
    assert shown(b"\r 10%", b"\r 50%", b"\r100%\n") == "[rank 1]  10%\n[rank 1]  50%\n[rank 1] 100%\n"


def test_a_line_without_end_is_shown_in_pieces_and_not_kept() -> None:
    text = shown(*[b"x" * 10_000] * 100)
    assert text.count("x") == 1_000_000 and 10 < text.count("\n") < 20


def test_a_copy_has_every_byte(tmp_path: Path) -> None:
    shown(b"\r 10%", b"\xff", b"\rno newline", copy=tmp_path / "rank1.out")
    assert (tmp_path / "rank1.out").read_bytes() == b"\r 10%\xff\rno newline"
