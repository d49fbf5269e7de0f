"""The plan beside its ledger: what is drawn is what PyTorch sends, for every setting; refusals and redraws."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ParallelStyle, PrepareModuleInput, loss_parallel, parallelize_module
from torch.nn import functional as F

from tplearn import run_ranks
from tplearn.llama import LlamaConfig
from tplearn.llama.plain import PlainLlama
from tplearn.llama.plan import finish_gradients, llama_plan
from tplearn.show.style import png_bytes
from tplearn.show.widgets import plan_ledger
from tplearn.show.widgets.plan_ledger import BYTES, MODEL, TOKENS, Plan, held, sent

CONFIG = LlamaConfig(32, 48, 1, 8, 4, 50)
SWITCHES = [Plan("TP", *switches) for switches in itertools.product((True, False), repeat=4) if any(switches[1:])] + [
    Plan("TP + SP", prepare) for prepare in (True, False)
]
PLANS = [replace(plan, layers=2) for plan in SWITCHES]
FEW = [Plan(between, prepare, layers=layers) for between, prepare, layers in (("TP", False, 3), ("TP + SP", False, 1))]


def lines_of(plan: Plan) -> dict[str, ParallelStyle]:
    """The shelf's plan without the lines that are left out."""
    out = {".self_attn": not plan.attention, ".mlp": not plan.mlp, "embed_tokens": not plan.words}
    out["lm_head"] = not plan.words
    whole = llama_plan(sequence_parallel=plan.between == "TP + SP")
    lines = {key: style for key, style in whole.items() if not any(left and name in key for name, left in out.items())}
    if not plan.prepare:
        lines = {key: style for key, style in lines.items() if not isinstance(style, PrepareModuleInput)}
    return lines


def step(plan: Plan, ids: Tensor) -> None:
    """A training step by PyTorch, with barriers between its phases."""
    torch.manual_seed(0)
    model = PlainLlama(replace(CONFIG, num_hidden_layers=plan.layers))
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    parallelize_module(model, mesh, lines_of(plan), src_data_rank=None)
    with loss_parallel():
        logits = model(ids, torch.arange(ids.shape[1])[None])
        dist.barrier()
        loss = F.cross_entropy(logits.flatten(0, 1), ids.flatten())
        dist.barrier()
        loss.backward()
    dist.barrier()
    finish_gradients(model)
    dist.barrier()


def steps(plans: list[Plan], ids: Tensor) -> None:
    for plan in plans:
        step(plan, ids)


@pytest.mark.parametrize(("tp", "plans"), [(2, PLANS), (4, FEW)])
def test_what_is_drawn_is_what_pytorch_sends(tp: int, plans: list[Plan]) -> None:
    """Every setting with two layers, some with another number: each phase op for op, and the bytes of large ones."""
    ids = torch.randint(50, (2, 8))
    rows = [row for row in run_ranks(steps, tp, plans, ids).ledger.rows if row.rank == 0]
    phases = [[]]
    for row in rows:
        phases.append([]) if row.op == "barrier" else phases[-1].append(row)
    large = ids.numel() * CONFIG.hidden_size * 4
    for number, plan in enumerate(plans):
        due = sent(replace(plan, tp=tp))
        seen = phases[4 * number : 4 * number + 4]
        for phase, counts in zip(seen, (due.forward, due.loss, due.backward, due.after), strict=True):
            assert Counter(row.op for row in phase) == dict(counts), (plan, tp)
        wire = sum(
            row.wire_bytes for row in seen[0] + seen[2] if row.bytes * (tp if row.op == "all_gather" else 1) == large
        )
        assert wire / large == pytest.approx(due.wire_bytes / (TOKENS * MODEL.hidden_size * BYTES)), (plan, tp)


@pytest.mark.parametrize("missing", ["attention", "mlp", "words"])
def test_what_is_refused_stops_in_pytorch_too(missing: str) -> None:
    with pytest.raises(ValueError, match=f"with {missing} left out PyTorch stops here"):
        Plan("TP + SP", **{missing: False})
    with pytest.raises(ValueError, match="between = 'SP' is none of: TP, TP"):
        Plan("SP")


def stops(missing: str, ids: Tensor) -> str:
    plan = Plan("TP", **{missing: False}, layers=1)
    object.__setattr__(plan, "between", "TP + SP")  # past the refusal
    try:
        step(plan, ids)
    except RuntimeError as error:
        return str(error)
    return "runs"


def all_stops(ids: Tensor) -> list[str]:
    return [stops(missing, ids) for missing in ("attention", "mlp", "words")]


def test_pytorch_stops_where_the_widget_refuses() -> None:
    for attention, mlp, words in run_ranks(all_stops, 2, torch.randint(50, (2, 8))).values:
        assert "got mixed torch.Tensor and DTensor" in attention and "got mixed torch.Tensor and DTensor" in mlp
        assert "must match the size of tensor" in words


def test_the_weights_a_rank_holds() -> None:
    own, whole = held(Plan(tp=8))
    assert whole == pytest.approx(8.03e9 * BYTES, rel=1e-3), "Llama-3.1-8B has 8.03 billion parameters"
    assert own == whole / 8 and held(Plan(tp=8, mlp=False))[0] > 0.7 * whole


def test_the_words_say_counts_bytes_and_verdict() -> None:
    words = plan_ledger.draw(Figure(), prepare=False)
    assert "forward: 65 all-reduces; loss: 3 all-reduces; backward: 161 all-reduces; after: nothing" in words
    assert "Right numbers, 226 collectives where 130 do ✗" in words and "24.7 GiB" in words
    assert "the ledger is that of tplearn's layers ✓" in plan_ledger.draw(Figure(), between="TP + SP")
    assert "whole on every rank ✗: MLP" in plan_ledger.draw(Figure(), mlp=False)
    assert "One rank: nothing is cut" in plan_ledger.draw(Figure(), tp=1)


def test_every_setting_of_the_controls_draws_or_says_why_not() -> None:
    figure = Figure()
    for between, *switches in itertools.product(("TP", "TP + SP"), *[(True, False)] * 4):
        lines = dict(zip(("prepare", "attention", "mlp", "words"), switches, strict=True), layers=2, tp=4)
        if between == "TP + SP" and not all(switches[1:]):
            with pytest.raises(ValueError, match="left out PyTorch stops here"):
                plan_ledger.draw(figure, between=between, **lines)
            continue
        plan_ledger.draw(figure, between=between, **lines)
        assert len(figure.axes[0].get_children()) < 90, "more artists than a quick redraw can bear"
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_moving_a_control_draws_again() -> None:
    widget = plan_ledger.show()
    before, (between, prepare, attention, *_) = widget.image.value, widget.children[0].children
    assert "161 all-reduces" in widget.words.value
    prepare.value = True
    assert widget.image.value != before and "tplearn&#x27;s layers ✓" in widget.words.value
    between.value = "TP + SP"
    attention.value = False
    assert widget.image.layout.visibility == "hidden" and "PyTorch stops here" in widget.words.value
