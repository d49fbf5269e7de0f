"""Training on a mesh is training on one process: the same curve, the same weights, and a ledger with nothing in it that
need not be sent.
"""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.llama.mesh import CONFIG, RECIPE, Curve, apart, curve, furthest, mesh_of, text, trainer_on, weights
from tplearn import run_ranks
from tplearn.llama import Llama
from tplearn.llama.data_parallel import ENGINES
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer
from tplearn.llama.windows import batches
from tplearn.parallel import assert_replicated, partitions
from tplearn.parallel.place import Place

MESHES = [(2, 2), (1, 4), (4, 1)]
DROPPED = replace(RECIPE, steps=8, batch=16, accumulate=2, dropout=0.2, clip=0.5)


def train_with_each(mesh: tuple[int, int], sp: bool, recipe: Recipe, engines: tuple[str, ...], stream: Tensor) -> dict:
    """{engine: (curve, weights)}; at the end all replicas must have the same numbers."""
    told = {}
    for engine in engines:
        trainer = trainer_on(mesh, recipe, engine, sp)
        steps = curve(trainer, stream)
        assert_replicated(trainer.model, trainer.mesh.get_group("dp"))
        told[engine] = steps, weights(trainer)
    return told


@pytest.fixture(scope="module")
def alone() -> dict[Recipe, tuple[Curve, dict[str, Tensor]]]:
    """One process, without ranks and mesh."""
    told = {}
    for recipe in (RECIPE, DROPPED):
        trainer = Trainer.fresh(CONFIG, recipe, dtype=torch.float64)
        told[recipe] = curve(trainer, text()), weights(trainer)
    return told


@pytest.mark.slow
@pytest.mark.parametrize("sp", [False, True], ids=["TP", "TP + SP"])
@pytest.mark.parametrize("mesh", MESHES, ids=lambda mesh: f"{mesh[0]}x{mesh[1]}")
def test_thirty_steps_lie_on_the_curve_of_one_process(mesh: tuple[int, int], sp: bool, alone: dict) -> None:
    due, due_weights = alone[RECIPE]
    assert due[-1][0] < due[0][0] - 0.5  # it learns
    values = run_ranks(train_with_each, 4, mesh, sp, RECIPE, tuple(ENGINES), text(), record=False).values
    for engine, (ours, ours_weights) in values[3].items():
        assert furthest(ours, due) < 1e-10, engine
        assert apart(ours_weights, due_weights) < 1e-8, engine


@pytest.mark.parametrize("mesh", MESHES, ids=lambda mesh: f"{mesh[0]}x{mesh[1]}")
def test_dropout_and_accumulation_are_those_of_one_process(mesh: tuple[int, int], alone: dict) -> None:
    due, due_weights = alone[DROPPED]
    for engine, sp in (("hand", True), ("ddp", False), ("fsdp", True)):
        value = run_ranks(train_with_each, 4, mesh, sp, DROPPED, (engine,), text(), record=False).values[0]
        ours, ours_weights = value[engine]
        assert furthest(ours, due) < 1e-10, engine
        assert apart(ours_weights, due_weights) < 1e-8, engine


def test_dropout_drops() -> None:
    """Else the test above would hold for a dropout that does nothing."""
    first, other = (Trainer.fresh(CONFIG, replace(RECIPE, steps=1, dropout=share)) for share in (0.0, 0.2))
    assert curve(first, text()) != curve(other, text())


def a_step(mesh: tuple[int, int], engine: str, sp: bool, stream: Tensor) -> None:
    """The third is looked at: in the first two DDP and FSDP set themselves up."""
    curve(trainer_on(mesh, replace(RECIPE, steps=3), engine, sp), stream)


def rows_of_last_step(mesh: tuple[int, int], engine: str, sp: bool) -> Counter:
    """{(group, op, bytes): how often} of rank 0, with tp = 0, 1 and dp = 0, 2 on 2 × 2 ranks."""
    rows = [row for row in run_ranks(a_step, 4, mesh, engine, sp, text()).ledger.rows if row.rank == 0]
    rows = [row for row in rows if row.op != "new_group"]
    numbers = [at for at, row in enumerate(rows) if row.group == (0, 2) and row.shape == ()]  # a step ends in its loss
    last = numbers[len(numbers) * 2 // 3 - 1]
    return Counter((row.group, row.op, row.bytes) for row in rows[last + 1 :])


L, N, THIN = CONFIG.num_hidden_layers, 4 * 16 * 32 * 8, 4 * 16 * 8  # a replica's [batch, seq, hidden], [batch, seq]


def numbers_on_a_rank() -> int:
    return sum(p.numel() for p in run_ranks(parameters_of, 2).values[0])


def parameters_of() -> list[Tensor]:
    return [parameter.detach() for parameter in Llama(CONFIG).parameters()]


@pytest.mark.parametrize("sp", [False, True], ids=["TP", "TP + SP"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_ledger_of_a_step(engine: str, sp: bool) -> None:
    tp, dp = (0, 1), (0, 2)
    norms = (2 * L + 1) * 32 * 8
    due = Counter({(tp, "all_reduce", THIN): 3, (tp, "all_reduce", 8): 1, (dp, "all_reduce", 8): 1})
    if sp:  # forward and backward: 2L + 1 of each
        due += {
            (tp, "all_gather", N // 2): 4 * L + 2,
            (tp, "reduce_scatter", N): 4 * L + 2,
            (tp, "all_reduce", norms): 1,
        }
    else:
        due += {(tp, "all_reduce", N): 4 * L + 2}
    all_gradients = numbers_on_a_rank() * 8
    seen = rows_of_last_step((2, 2), engine, sp)
    if engine == "fsdp":
        gathers = [count for (group, op, _), count in seen.items() if group == dp and op == "all_gather"]
        scatters = {size: n for (group, op, size), n in seen.items() if group == dp and op == "reduce_scatter"}
        assert sum(gathers) == 2 * L + 1 and sum(scatters.values()) == L + 1
        assert sum(size * n for size, n in scatters.items()) >= all_gradients  # rows that do not divide are padded
        due[dp, "all_reduce", 8] += 1  # the norm: squares over the replicas, too
        seen = Counter({key: n for key, n in seen.items() if key[1] in ("all_reduce",) or key[0] == tp})
    else:
        due[dp, "all_reduce", all_gradients] += 1
    assert seen == due


def test_the_replicas_hands_are_the_dense_batch() -> None:
    recipe = replace(RECIPE, batch=8)
    whole = batches(text(), recipe, Place())
    hands = [batches(text(), recipe, Place(rank, 4)) for rank in range(4)]
    a_epoch = (len(text()) - 1) // 16 // 8
    for step in range(2 * a_epoch + 2):  # into the third epoch
        dense = next(whole)
        dealt = torch.stack([next(hand) for hand in hands], dim=1).flatten(0, 1)  # window r, r + 4, … from rank r
        assert torch.equal(dense, dealt), step


def test_skipping_steps_is_running_past_them() -> None:
    a_epoch = (len(text()) - 1) // 16 // 8
    run = batches(text(), RECIPE, Place())
    seen = [next(run) for _ in range(a_epoch + 3)]
    for first in (0, 1, a_epoch - 1, a_epoch, a_epoch + 2):
        assert torch.equal(next(batches(text(), RECIPE, Place(), first)), seen[first]), first


def test_an_epoch_has_every_window_once_and_another_order_than_the_next() -> None:
    a_epoch = (len(text()) - 1) // 16 // 8
    run = batches(torch.arange(len(text())), RECIPE, Place())
    first, second = ([next(run)[:, 0] // 16 for _ in range(a_epoch)] for _ in range(2))
    assert len(set(torch.cat(first).tolist())) == 8 * a_epoch
    assert not torch.equal(torch.cat(first), torch.cat(second))


REFUSED = [
    ({"steps": 0}, "steps = 0 is not a size"),
    ({"batch": 2.5}, "batch = 2.5 is not a whole number"),
    ({"accumulate": 3}, "batch = 16 does not divide by dp · accumulate = 1 · 3; multiples of 3 work"),
    ({"dropout": 1.0}, "dropout = 1.0 does not work; numbers from 0 up to, but not, 1 do"),
    ({"clip": 0}, "clip = 0 does not work; numbers above 0 do"),
    ({"peak_rate": "x"}, "peak_rate = 'x' does not work"),
    ({"weight_decay": -1}, "weight_decay = -1 does not work"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=lambda value: str(value)[:20])
def test_recipes_that_cannot_be_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        Recipe(**options)


def test_texts_and_engines_that_cannot_be_are_refused() -> None:
    model = Llama(CONFIG)
    with pytest.raises(ValueError, match="a text of 10 tokens is too short; more than length = 16 work"):
        Trainer(model, RECIPE).run(torch.zeros(10, dtype=torch.long), print)
    with pytest.raises(ValueError, match="batch = 8: a text of 40 tokens has 2 windows of 16; batches up to 2 work"):
        Trainer(model, RECIPE).run(torch.zeros(40, dtype=torch.long), print)
    with pytest.raises(ValueError, match="data_parallel = 'zero' is not known; names that work: hand, ddp, fsdp"):
        Trainer(model, RECIPE, data_parallel="zero")
    with pytest.raises(ValueError, match="data_parallel = 'ddp' needs a mesh"):
        Trainer(model, RECIPE, data_parallel="ddp")


def refused_on_ranks() -> list[str]:
    said = []
    for make in (lambda: trainer_on((3, 1)), lambda: Trainer(Llama(CONFIG, Place()), RECIPE, mesh_of(1, 3)["dp"])):
        try:
            make()
        except ValueError as error:
            said.append(str(error))
    return said


def test_meshes_that_do_not_divide_the_batch_or_have_other_names_are_refused() -> None:
    for said in run_ranks(refused_on_ranks, 3).values:
        assert "batch = 8 does not divide by dp · accumulate = 3 · 1; multiples of 3 work" in said[0]
        assert "a mesh with the dimensions ('dp',)" in said[1]


def padding_of(mesh: tuple[int, int], stream: Tensor) -> list[float]:
    trainer = trainer_on(mesh, replace(RECIPE, steps=3))
    curve(trainer, stream)
    rows = [parameter.detach()[-cut.padding :] for _, parameter, cut in partitions(trainer.model) if cut.padding]
    return [float(row.abs().max()) for row in rows]


def test_the_padding_of_an_odd_vocabulary_stays_zero() -> None:
    assert run_ranks(padding_of, 2, (1, 2), text()).values[1] == [0.0]
