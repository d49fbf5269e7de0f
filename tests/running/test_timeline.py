"""The timeline of a script: a trace in the Trace Event Format, with arrows between the ranks, and a picture."""

import json
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.running.drill import PROGRAMS, run_script
from tplearn.running import trace
from tplearn.running.spans import Span, read_spans

# What the format wants of each phase, beside name, pid and tid.
FIELDS = {"X": {"ts", "dur", "cat", "args"}, "M": {"args"}, **{phase: {"ts", "id", "cat"} for phase in "stf"}}


def checked(path: Path) -> list[dict]:
    """The events of a trace that is one."""
    told = json.loads(path.read_text())
    assert set(told) == {"traceEvents", "displayTimeUnit"}
    lanes, arrows = defaultdict(list), defaultdict(list)
    for event in told["traceEvents"]:
        due = {"name", "ph", "pid", "tid"} | FIELDS[event["ph"]]
        assert due <= set(event) and isinstance(event["pid"], int) and isinstance(event["tid"], int), event
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0
            lanes[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] in "stf":
            arrows[event["id"]].append(event)
    for slices in lanes.values():  # of one thread: side by side, or one inside the other
        open_ends: list[float] = []
        for start, end in sorted(slices, key=lambda each: (each[0], -each[1])):
            while open_ends and open_ends[-1] <= start + 1e-3:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1] + 1e-3, (start, end, open_ends)
            open_ends.append(end)
    for events in arrows.values():
        assert [event["ph"] for event in events] == ["s", *"t" * (len(events) - 2), "f"]
        for event in events:
            assert any(start <= event["ts"] <= end for start, end in lanes[event["pid"], event["tid"]])
    return told["traceEvents"]


def test_a_trace_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    said = run_script(PROGRAMS / "ddp.py", 2, capsys, timeline=tmp_path / "out.json")
    assert said.code == 0 and "opens in https://ui.perfetto.dev" in said.err and "without" not in said.err
    events = checked(tmp_path / "out.json")
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {0: "rank 0", 1: "rank 1"}
    slices = [event for event in events if event["ph"] == "X"]
    sums = [event for event in slices if event["name"] == "all_reduce"]
    assert len(sums) == 2 * 8 and len({event["args"]["bytes"] for event in sums}) == 1, "a bucket, eight steps"
    assert not [event for event in sums if "end" in event["args"]], "DDP's own handles are seen to end"
    assert all(event["args"]["group"] == [0, 1] and event["args"]["at"].startswith("ddp.py:") for event in sums)
    assert {"aten::addmm", "aten::relu"} <= {event["name"] for event in slices if event["cat"] == "operator"}
    starts, ends = ([e for e in events if e["ph"] == phase] for phase in "sf")
    assert len(starts) == len(ends) == len([e for e in slices if e["cat"] == "collective" and e["pid"] == 0])
    assert ElementTree.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")


def test_messages_have_arrows_and_a_hang_leaves_what_it_was_in(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    script = tmp_path / "mail.py"
    script.write_text(
        "import torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "x = torch.ones(3)\n"
        "work = dist.isend(x, 1) if dist.get_rank() == 0 else dist.irecv(x, 0)\n"
        "work.wait()\n"
        "dist.recv(x, 1 - dist.get_rank())\n"
    )
    said = run_script(script, 2, capsys, timeline=tmp_path / "out.json")
    assert said.code == 1 and "Deadlock" in said.err
    events = checked(tmp_path / "out.json")
    arrows = {e["id"]: {f["name"] for f in events if f.get("id") == e["id"]} for e in events if e["ph"] == "s"}
    assert sorted(map(sorted, arrows.values())) == [["init_process_group"], ["recv", "send"]]
    waits = sorted(event["name"] for event in events if event.get("cat") == "wait")
    assert waits == ["wait: recv"] * 3 + ["wait: send"], "a blocking recv is an irecv, and a wait for it"
    open_ends = [event for event in events if event.get("args", {}).get("end") == "not seen"]
    assert [(event["name"], event["args"]["number"]) for event in open_ends] == [("recv", 2)] * 2


def test_a_script_without_collectives_has_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "empty.py").write_text("print('nothing')\n")
    said = run_script(tmp_path / "empty.py", 2, capsys, timeline=tmp_path / "out.json")
    assert said.code == 0 and {e["ph"] for e in checked(tmp_path / "out.json")} == {"M"}
    assert not (tmp_path / "out.svg").exists() and ".svg" not in said.err


def test_what_is_cut_is_said(tmp_path: Path) -> None:
    marks = tmp_path / "marks.0"
    marks.write_text('["operator", "aten::mm", 5, 9]\n["cut", "operators", 9]\n["enter", 0, 10]\n["done", 0, 12]\n["en')
    spans = read_spans(marks, ["all_reduce"])
    assert spans.operators == [Span("aten::mm", 5, 9)] and spans.collectives == [Span("all_reduce", 10, 12, 0)]
    assert spans.cut == ["operators after the first 50,000"]


def test_collectives_that_overlap_get_lanes_of_their_own() -> None:
    spans = [Span("a", 0, 10), Span("b", 5, 7), Span("c", 8, 12), Span("d", 10, 11)]
    assert trace._lanes(spans) == [0, 1, 1, 0]
