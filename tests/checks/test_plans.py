"""Chapter 14's checks: what the task texts promise is what is sent, and a model that stops is told where, in a line."""

import ast
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleOutput,
    RowwiseParallel,
)

from tests.checks.told import judged, told
from tplearn import run_ranks
from tplearn.checks import find_exercise
from tplearn.checks.ch14_dtensor import checked, drive, plan, quiet, step, ties, twin
from tplearn.checks.ch14_dtensor.drive_parts import TIED, of_ties

SOLUTION = Path(__file__).parents[2] / "solutions" / "14_dtensor.ipynb"
Counts = dict[str, int]


def sent(observer, answer, *args) -> Counts:  # noqa: ANN001
    """What rank 0 of two runs, by op."""
    run = run_ranks(observer, 2, answer, *args)
    return dict(Counter(row.op for row in run.ledger.rows if row.rank == 0))


@pytest.mark.parametrize("layers", [1, 2])
def test_what_is_due_is_what_the_tasks_say(layers: int) -> None:
    forward_and_back = {"all_gather": 2, "all_reduce": 2 * layers + 5 * layers + 1}
    assert sent(drive.of_plan, plan.tp_plan, 7, (11, layers)) == forward_and_back
    noisy = quiet.noisy_plan()
    assert sent(drive.of_mended_plan, lambda plan: plan, 7, (layers, noisy)) == {"all_reduce": 2 * layers + 5 * layers}
    assert sent(drive.of_mended_plan, quiet.quiet_plan, 7, (layers, noisy)) == {"all_reduce": 2 * layers + layers}
    each_way = 2 * layers + 1
    due = {"all_gather": 2 * each_way, "reduce_scatter": 2 * each_way, "all_reduce": 3}
    assert sent(drive.of_step, step.sp_step, 7, (11, layers)) == due


def test_a_tied_table_that_is_cut_by_words_sends_vectors_and_not_logits() -> None:
    styles = (RowwiseParallel(input_layouts=Replicate()), ColwiseParallel(output_layouts=Replicate()))
    for embedding in styles:
        cut = {"tok_embeddings": embedding, "output": ColwiseParallel(output_layouts=Replicate())}
        run = run_ranks(of_ties, 2, ties.retie, 7, (TIED, cut))
        rows = [(row.op, row.shape) for row in run.ledger.rows if row.rank == 0]
        assert rows == [("all_reduce", (2, 4, 8)), ("all_gather", (2, 4, 24)), ("all_reduce", (2, 4, 8))]


def test_the_notebook_shows_the_model_that_is_judged() -> None:
    cells = [cell.source for cell in nbformat.read(SOLUTION, as_version=4).cells if cell.cell_type == "code"]
    shown = {name: text for cell in cells for name, text in classes_of(cell).items()}
    judged = classes_of(Path(twin.__file__).read_text())
    assert shown and shown.items() == judged.items()
    assert "HIDDEN = INNER = 8\nHEADS, HEAD_DIM = 4, 2" in cells[0]
    assert (twin.HIDDEN, twin.INNER, twin.HEADS, twin.HEAD_DIM) == (8, 8, 4, 2)


def classes_of(source: str) -> dict[str, str]:
    tree = ast.parse("\n".join(line for line in source.splitlines() if not line.startswith("%")))
    return {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def test_a_model_that_stops_says_in_which_module_and_torchs_logs_are_not_heard() -> None:
    def tp_plan(model) -> dict[str, ParallelStyle]:  # noqa: ANN001
        return plan.tp_plan(model) | {"output": RowwiseParallel()}

    verdict = judged(find_exercise("tp_plan"), tp_plan)
    assert verdict.misconception is None and verdict.printed == ""
    explanation = " ".join(verdict.explanation.split())
    assert explanation.startswith("On tp = 2 the model stops in output: RuntimeError: a and b must")
    assert "your function raised" not in explanation


@pytest.mark.xdist_group("quiet_plan")
def test_a_key_that_matches_nothing_is_told_before_all_else() -> None:
    def quiet_plan(plan: dict[str, ParallelStyle]) -> dict[str, ParallelStyle]:
        whole = Replicate()
        style = PrepareModuleOutput(output_layouts=whole, desired_output_layouts=whole, use_local_output=False)
        return plan | {"layers.*.norm": style, "layers.*.ffn_norm": style}

    says = told(find_exercise("quiet_plan"), quiet_plan)
    assert says == "On tp = 2 no module is called 'layers.*.ffn_norm'; PyTorch warns of such a key and goes on."


@pytest.mark.xdist_group("quiet_plan")
def test_a_plan_that_is_none_is_told_as_such() -> None:
    def quiet_plan(plan: dict[str, ParallelStyle]) -> None:
        plan.update(quiet.quiet_plan(plan))

    says = told(find_exercise("quiet_plan"), quiet_plan)
    assert says == "On tp = 2 your function returned None, where a plan, a dict, is due."


def test_a_good_plan_that_is_refused_is_told_with_the_reason() -> None:
    def checked_plan(model, mesh, plan):  # noqa: ANN001, ANN202
        if len(plan) > 4:
            raise ValueError("too long")
        return checked.checked_plan(model, mesh, plan)

    says = told(find_exercise("checked_plan"), checked_plan)
    assert "your function refused a plan whose keys all match something: too long" in says
