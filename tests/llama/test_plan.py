"""The plan is the course's own Llama: numbers of the dense twin, ledger of tplearn's layers; and what goes wrong."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.llama import plan_traps, plans
from tests.llama.plans import CONFIG, Book, amounts, halves, pages, runs_of
from tests.parallel.twin import fresh_seed
from tplearn import RankError, run_ranks
from tplearn.llama.plain import PlainLlama
from tplearn.llama.plan import llama_plan
from tplearn.ranks.ledger import Row

pytestmark = pytest.mark.xdist_group("plan")  # its runs take long, and no other worker should repeat them
TOLERANCE = 1e-12  # relative, in float64
LAYERS = CONFIG.num_hidden_layers
ONCE = 2 * LAYERS + 1  # what a pass needs
NORMS = 2 * LAYERS + 1
N = 2 * 8 * CONFIG.hidden_size * 8  # bytes of [batch, seq, hidden]


class Ran:
    """One run: what its ranks have seen, and rank 0's ledger by the name of each step."""

    def __init__(self, tp: int, folder: Path) -> None:
        self.tp, self.seed = tp, fresh_seed()
        ids = torch.randint(CONFIG.vocab_size, (2, 9), generator=torch.Generator().manual_seed(self.seed))
        plans.hugging_face(self.seed).save_pretrained(folder)
        run = run_ranks(everything, tp, self.seed, ids[:, :-1], ids[:, 1:], folder, timeout=300)
        self.books: list[Book] = run.values
        self.pages: dict[str, list[Row]] = pages(run)

    def assert_dense(self, name: str, but: tuple[str, ...] = ()) -> None:
        """Loss, logits and all gradients on every rank; `but`: names that hold one of these are not looked at."""
        for rank, book in enumerate(self.books):
            found = {k: e for k, e in book.seen[name]["errors"].items() if not any(word in k for word in but)}
            wrong = {key: value for key, value in found.items() if not value < TOLERANCE}
            assert found and not wrong, f"{name} on rank {rank} of {self.tp}, seed {self.seed}: {wrong}"


def everything(seed: int, ids: torch.Tensor, targets: torch.Tensor, folder: Path) -> Book:
    book = Book()
    plans.acceptance(book, seed, ids, targets, folder)
    plan_traps.traps(book, seed, ids, targets)
    return book


@pytest.fixture(scope="module", params=[2, 4], ids=["tp2", "tp4"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return Ran(request.param, tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("kind", ["hf", "plain", "tied"])
@pytest.mark.parametrize("way", ["tp", "sp"])
def test_the_plan_is_the_dense_model_and_tplearns_ledger(ran: Ran, kind: str, way: str) -> None:
    """Op for op and byte for byte, forward, loss, backward, and the sum of the norms' gradients."""
    ran.assert_dense(f"{kind} {way}")
    for phase in ("step", "finish"):
        assert amounts(ran.pages[f"{kind} {way}: {phase}"]) == amounts(ran.pages[f"ours {way}: {phase}"])
    assert ran.pages[f"{kind} {way}: apply"] == [], "every rank keeps its shard of what it has"
    assert all(book.seen[f"{kind} {way}"]["tied"] == (kind == "tied") for book in ran.books)


@pytest.mark.parametrize("kind", ["hf", "plain", "tied"])
def test_that_ledger_is_what_the_chapter_says(ran: Ran, kind: str) -> None:
    for rows, bytes_each in zip(halves(ran.pages[f"{kind} tp: step"]), (N, 2 * 8 * 8, N), strict=True):
        due = 3 if bytes_each < N else ONCE
        assert runs_of(rows) == [("all_reduce", due)] and {row.bytes for row in rows} == {bytes_each}
    forward, loss, backward = halves(ran.pages[f"{kind} sp: step"])
    assert runs_of(forward) == runs_of(backward) == [("reduce_scatter", 1), ("all_gather", 1)] * ONCE
    assert runs_of(loss) == [("all_reduce", 3)]
    (norms,) = ran.pages[f"{kind} sp: finish"]
    assert (norms.op, norms.bytes) == ("all_reduce", NORMS * CONFIG.hidden_size * 8)
    assert ran.pages[f"{kind} tp: finish"] == []


@pytest.mark.parametrize("kind", ["hf", "plain"])
def test_the_usual_plan_sends_five_a_layer_backward(ran: Ran, kind: str) -> None:
    """q, k, v, gate and up each sum a gradient of x of their own: right numbers, 5L + 1 for 2L + 1."""
    ran.assert_dense(f"{kind} usual")
    forward, loss, backward = halves(ran.pages[f"{kind} usual: step"])
    assert runs_of(forward) == [("all_reduce", ONCE)] and runs_of(loss) == [("all_reduce", 3)]
    assert runs_of(backward) == [("all_reduce", 5 * LAYERS + 1)] and {row.bytes for row in backward} == {N}


def test_transformers_own_plan_is_the_usual_one_and_gathers_logits(ran: Ran) -> None:
    ran.assert_dense("auto")
    assert runs_of(ran.pages["auto: forward"]) == [("all_reduce", ONCE), ("all_gather", 1)]
    assert runs_of(ran.pages["auto: backward"]) == [("all_reduce", 5 * LAYERS + 1)]


@pytest.mark.parametrize("name", ["hf tp", "hf sp", "hf usual", "plain tp", "plain sp", "tied sp"])
def test_the_ledger_counts_what_commdebugmode_counts(ran: Ran, name: str) -> None:
    counted = ran.books[0].seen[name]["counted"]
    seen = Counter(row.op for row in ran.pages[f"{name}: step"])
    for op in ("all_reduce", "all_gather", "reduce_scatter"):
        assert sum(n for key, n in counted.items() if op in key) == seen[op], (op, counted, seen)
    assert sum(counted.values()) == seen.total()


def test_gradients_are_placed_as_the_chapter_says(ran: Ran) -> None:
    """Before finish_gradients: an embedding's is whole, a norm's is a summand. After: as the parameter."""
    for book in ran.books:
        before, seen = book.seen["hf sp"]["placements"], book.seen["hf sp"]
        assert before["model.embed_tokens.weight"] == "R" and before["lm_head.weight"] == "S(0)"
        norms = {placement for name, placement in before.items() if "norm" in name}
        assert norms == {"P(sum)"}, before
        assert seen["summand"] > 0.05 and seen["cut alike"] and seen["own rows"]
        assert book.seen["hf tp"]["summand"] < TOLERANCE, "without SP a norm's gradient is whole"


def test_partial_gradients_are_summed_at_each_use_until_they_are_finished(ran: Ran) -> None:
    """Clipping: one a norm and one for the total; AdamW: three a norm."""
    sent = {name: len(rows) for name, rows in ran.pages.items() if "finished" in name}
    assert sent["unfinished: clip"] - sent["finished: clip"] == NORMS
    assert sent["unfinished: optimizer"] == 3 * NORMS and sent["finished: optimizer"] == 0
    for book in ran.books:
        assert book.seen["finished"]["norm"] < TOLERANCE and book.seen["unfinished"]["norm"] < TOLERANCE
    ran.assert_dense("three backwards")


def test_a_typo_warns_stays_right_and_only_the_ledger_tells(ran: Ran) -> None:
    ran.assert_dense("typo")
    seen = ran.books[0].seen["typo"]
    assert len(seen["warnings"]) == 4 * LAYERS and all("could not be resolved" in text for text in seen["warnings"])
    forward, _, backward = halves(ran.pages["typo: step"])
    assert runs_of(forward) == runs_of(backward) == [("all_reduce", LAYERS + 1)]
    assert "ValueError: plan key 'model.layers.*.mpl'" in seen["refusal"]
    assert (
        "'model.layers.*.mpl.gate_proj' matches no module; keys that work: model.layers.*.mlp.gate_proj"
        in (seen["refusal"])
    )


def test_one_key_of_a_pair_stops_in_a_shape_or_is_refused(ran: Ran) -> None:
    seen = ran.books[0].seen["one of a pair"]
    assert seen["torch"].startswith("RuntimeError")
    assert (
        "'model.layers.*.self_attn.q_prj' matches no module; keys that work: model.layers.*.self_attn.q_proj"
        in (seen["refusal"])
    )


def test_a_keyword_that_nobody_passes_says_nothing_and_costs_gathers(ran: Ran) -> None:
    """PrepareModuleInput for `hidden_state`: q, k and v gather x each, without a warning."""
    ran.assert_dense("keyword")
    assert ran.books[0].seen["keyword"]["warnings"] == []
    forward, _, _ = halves(ran.pages["keyword: step"])
    assert Counter(row.op for row in forward)["all_gather"] == ONCE + 2 * LAYERS


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("heads", "heads of model.layers.0.self_attn.q_proj = 6 cannot be split over tp = 4 ranks; sizes that work for "
         "this plan: 1, 2, 3, 6"),
        ("kv heads", "heads of model.layers.0.self_attn.k_proj = 1 cannot be split over tp = {tp} ranks; sizes that "
         "work for this plan: 1"),
        ("ffn", "columns of model.layers.0.mlp.gate_proj = 49 cannot be split over tp = {tp} ranks; sizes that work "
         "for this plan: 1"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_divide(ran: Ran, name: str, refusal: str) -> None:
    """PyTorch stops in forward, in words about shapes. Words need not divide: 50 on 4 is in every other test here."""
    seen = ran.books[0].seen[name]
    if name == "heads" and ran.tp == 2:
        assert seen["torch"] == "torch.Size([])" and seen["refusal"] == "None", "6 heads on 2 ranks are fine"
        return
    assert seen["torch"].startswith("RuntimeError") and seen["refusal"] == "ValueError: " + refusal.format(tp=ran.tp)


def test_sequence_parallel_on_a_full_tensor_multiplies_norm_gradients(ran: Ran) -> None:
    ran.assert_dense("full tensor", but=("norm",))
    for book in ran.books:
        seen = book.seen["full tensor"]
        assert len(seen["times p"]) == NORMS and max(seen["times p"]) < TOLERANCE
        assert min(e for name, e in seen["errors"].items() if "norm" in name) > 10 * TOLERANCE
        assert seen["kept a DTensor"].startswith("RuntimeError: The size of tensor a")


def test_what_a_shard_of_the_sequence_misleads(ran: Ran) -> None:
    """Positions counted from a shard, and a mask built for it."""
    seen = ran.books[0].seen
    local = 8 // ran.tp
    assert f"(8) must match the size of tensor b ({local})" in seen["positions"]["left out"]
    assert max(seen["eager"]["TP"].values()) < TOLERANCE
    assert seen["eager"]["SP"].startswith("RuntimeError: The size of tensor")
    assert "got mixed torch.Tensor and DTensor" in seen["loss_parallel"]["forward only"]


def test_tied_weights_come_apart(ran: Ran) -> None:
    for book in ran.books:
        seen = book.seen["tied"]
        assert not seen["one"] and seen["loss"] < TOLERANCE
        assert min(seen["parts"]) > 0.05 and seen["sum"] < TOLERANCE
        both = "model.embed_tokens.weight and lm_head.weight are one parameter, and this plan makes two of it"
        assert both + ", S(1) and S(0)" in seen["two ways"] and both + ", whole and S(0)" in seen["one only"]


def test_refusals_name_what_would_work(ran: Ran) -> None:
    seen = ran.books[0].seen["refusals"]
    assert "this one has 2; mesh['dp'] or mesh['tp'] works" in seen["mesh"]
    assert "lm_head is a ParallelLMHead, which ColwiseParallel cannot cut; nn.Linear works" in seen["kind"]
    assert f"sequence length = 9 cannot be split over tp = {ran.tp} ranks; sizes that work: 1, 3, 9" in seen["length"]
    assert "keys that work: model.layers.*.mlp.up_proj" in seen["prefix"]
    assert "spec = ('tp',) for a weight of shape (4, 6); 2 names, or None, work" in seen["spec"]
    assert "'model' does not work; each of ('dp', 'tp') does, once, and None" in seen["name"]
    assert "'tp' does not work; each of ('dp', 'tp') does, once, and None" in seen["twice"]
    assert all(text.startswith("ValueError: ") for text in seen.values())


@pytest.mark.parametrize("dims", [1, 2])
def test_three_marks_make_the_mlp_of_chapter_07(ran: Ran, dims: int) -> None:
    """One all-reduce of y; x's gradient is left a partial, which the f of a model sums."""
    name, model = f"marked {dims}", ran.tp if dims == 1 else 2
    ran.assert_dense(name)
    (row,) = ran.pages[f"{name}: forward"]
    assert row.op == "all_reduce" and len(row.group) == model and ran.pages[f"{name}: backward"] == []
    seen = ran.books[0].seen[name]
    assert seen["x"] == "P(sum)" and seen["down"] == (True, (32, 48 // model), True)


def uneven_length(ids: torch.Tensor) -> None:
    model = plan_traps.by_torch_alone(PlainLlama(CONFIG), llama_plan(sequence_parallel=True))
    plans.forward_backward(model, ids, ids)


def test_an_odd_sequence_hangs_by_torch_alone() -> None:
    """Where nobody refuses it, the ranks hand collectives of two shapes; `run_ranks` names them."""
    with pytest.raises(RankError, match="different shape"):
        run_ranks(uneven_length, 2, torch.zeros(2, 9, dtype=torch.long))


def alone(seed: int, ids: torch.Tensor, targets: torch.Tensor) -> Book:
    book = Book()
    for way in ("tp", "sp"):
        plan = llama_plan(sequence_parallel=way == "sp")
        plans.planned(book, way, lambda: plans.plain(seed), plan, ids, targets)
    return book


def test_on_one_rank_nothing_is_sent() -> None:
    ids = torch.randint(CONFIG.vocab_size, (2, 9))
    run = run_ranks(alone, 1, fresh_seed(), ids[:, :-1], ids[:, 1:])
    for way in ("tp", "sp"):
        assert max(run.values[0].seen[way]["errors"].values()) < TOLERANCE
    assert not [row for row in run.ledger.rows if row.op != "barrier" and row.wire_bytes]
