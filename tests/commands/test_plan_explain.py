"""`--explain`: every line can be redone by hand, and the lines add up to what the cost model says."""

import re
from math import ceil, floor

import pytest

from tests.commands.test_plan import call, planned
from tplearn.commands.plan_explain import explain_training
from tplearn.commands.plan_explain_serve import explain_serving
from tplearn.commands.plan_quantity import SCALES, Line, of, shown
from tplearn.commands.plan_question import ServeQuestion, TrainQuestion
from tplearn.commands.plan_serve import plan_serving
from tplearn.commands.plan_train import plan_training
from tplearn.planning import ACCELERATORS, MODELS

UNITS = {name: scale for units in SCALES.values() for name, scale in units}
NUMBER = re.compile(r"([\d.]+) ([A-Za-zµ][A-Za-z/]*)")


def by_hand(arithmetic: str) -> float:
    """What a reader gets who types the line into a calculator, units turned into SI."""
    typed = re.sub(r"(?<=\d),(?=\d)", "", arithmetic.replace("·", "*").replace("−", "-"))
    typed = NUMBER.sub(lambda found: f"({found[1]} * {UNITS.get(found[2], 1)})", typed)
    return eval(typed, {"__builtins__": {}, "max": max, "min": min, "ceil": ceil, "floor": floor})


def check_by_hand(lines: list[Line]) -> None:
    """Five digits are written, and a difference of two numbers can lose some."""
    for line in lines:
        assert by_hand(line.arithmetic) == pytest.approx(line.value, rel=1e-3), line
        assert by_hand(shown(line.value, line.unit)) == pytest.approx(line.value, rel=1e-4), line


TRAINED = [
    ("Llama-3.1-405B", 16384, {}),
    ("Llama-3.1-8B", 8, {}),
    ("Llama-3.1-8B", 3, {}),
    ("Qwen2.5-0.5B", 8, {"batch_tokens": 65536}),
    ("Llama-3.2-1B", 24, {"batch_tokens": 65536}),
    ("Llama-3.1-70B", 96, {"sequence": 131072}),
]


@pytest.mark.parametrize(("name", "gpus", "more"), TRAINED, ids=[f"{name} {gpus}" for name, gpus, _ in TRAINED])
@pytest.mark.parametrize("card", ["H100", "TPU-v5p"])
def test_training_adds_up_for_every_layout(name: str, gpus: int, more: dict, card: str) -> None:
    plan = plan_training(TrainQuestion(shape=MODELS[name], accelerator=ACCELERATORS[card], gpus=gpus, **more))
    for one in plan.ranked:
        lines = explain_training(plan.job, one, ACCELERATORS[card])
        found = {line.name: line.value for line in lines}
        assert found["a step"] == pytest.approx(one.time.total, rel=1e-9), one
        assert found["together"] == pytest.approx(one.memory.total, rel=1e-9), one
        assert found["MFU"] == pytest.approx(one.time.mfu, rel=1e-9)
        assert found["tokens a second"] == pytest.approx(one.time.tokens_per_second, rel=1e-9)
        assert found.get("bubble", 0) == pytest.approx(one.time.bubble, rel=1e-9)
        assert found.get("tensor parallel traffic", 0) == pytest.approx(one.time.tensor_parallel, rel=1e-9)
        check_by_hand(lines)


def test_the_layouts_above_leave_no_branch_out() -> None:
    seen = set()
    for name, gpus, more in TRAINED:
        question = TrainQuestion(shape=MODELS[name], accelerator=ACCELERATORS["H100"], gpus=gpus, **more)
        for layout in (one.layout for one in plan_training(question).ranked):
            seen |= {("zero", layout.zero), ("recompute", layout.recompute), ("pp", layout.pp > 1)}
            seen |= {
                ("v", layout.virtual_stages > 1),
                ("cp", layout.cp > 1),
                ("node", layout.tp > 8),
                ("tp", layout.tp > 1),
            }
    switches = {(name, on) for name in ("pp", "v", "cp", "node", "tp") for on in (False, True)}
    assert seen == switches | {("zero", n) for n in range(4)} | {
        ("recompute", how) for how in ("none", "selective", "full")
    }


SERVED = [
    ("Llama-3.1-70B", 8, {}),
    ("Llama-3.1-70B", 8, {"sequences": 16}),
    ("Llama-3.1-405B", 128, {}),
    ("Llama-3.2-1B", 32, {}),
    ("Qwen2.5-7B", 8, {"bytes_per_parameter": 0.5}),
]


@pytest.mark.parametrize(("name", "gpus", "more"), SERVED, ids=[f"{name} {gpus} {more}" for name, gpus, more in SERVED])
def test_serving_adds_up_for_every_layout(name: str, gpus: int, more: dict) -> None:
    plan = plan_serving(ServeQuestion(shape=MODELS[name], accelerator=ACCELERATORS["H100"], gpus=gpus, **more))
    for one in plan.ranked:
        lines = explain_serving(plan.question, one)
        found = {line.name: line.value for line in lines}
        assert found["to the first token"] == pytest.approx(one.first_token_seconds, rel=1e-9)
        assert found["between two tokens"] == pytest.approx(one.token_seconds, rel=1e-9)
        assert found["tokens a second, all replicas"] == pytest.approx(one.tokens_per_second, rel=1e-9)
        assert found["weights"] == pytest.approx(one.room.weight_bytes, rel=1e-9)
        assert found["sequences that a replica holds"] == one.room.sequences
        check_by_hand(lines)


@pytest.mark.parametrize("purpose", ["train", "serve"])
def test_what_is_printed_is_what_the_json_says(purpose: str) -> None:
    words = ("llama-3.1-8b", "--gpus", "8", "--for", purpose, "--explain")
    code, printed, _ = call("plan", *words)
    told = planned(*words)["explain"]
    assert code == 0 and len(told) > 15
    assert set(told[0]) == {"section", "name", "arithmetic", "value", "unit"}
    lines = [line.strip() for line in printed.splitlines() if line.startswith("  ") and " = " in line]
    assert lines == [str(Line(**line)) for line in told]
    sections = [line for line in printed.splitlines() if line in {line["section"] for line in told}]
    assert sections == list(dict.fromkeys(line["section"] for line in told))


def test_arithmetic_keeps_the_order_of_its_operations() -> None:
    two, three = of(2), of(3, "B")
    for quantity, text, value in (
        ((two + three) * 4, "(2 + 3 B) · 4", 20),
        (two / (three * 4), "2 / (3 B · 4)", 2 / 12),
        (two / three * 4, "2 / 3 B · 4", 8 / 3),
        (10 - (two - three), "10 − (2 − 3 B)", 11),
        (1 - 1 / two, "1 − 1 / 2", 0.5),
        (2 * (three + 1), "2 · (3 B + 1)", 8),
    ):
        assert (quantity.text, quantity.value) == (text, pytest.approx(value))
        assert by_hand(quantity.text) == pytest.approx(value)


def test_five_digits_and_whole_numbers_in_full() -> None:
    assert shown(16777216, "tokens") == "16,777,216 tokens"
    assert shown(6375866368, "B") == "6.3759 GB" and shown(0.00235, "s") == "2.35 ms"
    assert shown(0, "s") == "0 µs" and shown(369e9, "B/s") == "369 GB/s" and shown(0.5) == "0.5"
