"""assert_replicated: who differs, where and by what, the same words on every rank, and silence where all is well."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

from tplearn import RankFailed, run_ranks
from tplearn.llama import Llama, LlamaConfig
from tplearn.parallel import ParallelMLP, QKVParallelLinear, RowParallelLinear, assert_replicated, sync_gradients
from tplearn.parallel.digest import digest

# 2 KV heads: at tp 4 ranks 0 and 1 hold copies of one, 2 and 3 of the other. 131 words: padding.
CONFIG = LlamaConfig(32, 48, 2, 8, 2, 131, qkv_bias=True, tie_word_embeddings=True)


def rank() -> int:
    return dist.get_rank()


def llama(seed: int = 0, group: dist.ProcessGroup | None = None) -> Llama:
    torch.manual_seed(seed)
    return Llama(CONFIG, group)


def edited(change: Callable[[Llama], None]) -> Callable[[], object]:
    def make() -> Llama:
        model = llama()
        with torch.no_grad():
            change(model)
        return model

    return make


def drifted_norms(model: Llama) -> None:
    if rank() in (1, 3):
        model.layers[1].input_layernorm.weight[5] += 0.25
    if rank() == 2:
        model.norm.weight[0] = 7


def a_kv_copy(model: Llama) -> None:
    if rank() == 3:
        model.layers[1].self_attn.qkv_proj.weight[9, 2] += 5  # its 2 query heads have 8 rows: a row of its key head


def a_bias(make_bias: float) -> RowParallelLinear:
    torch.manual_seed(0)
    layer = RowParallelLinear(8, 4)
    layer.bias.data[2] = make_bias
    return layer


def other_places() -> Tensor:
    x = torch.arange(12.0).view(3, 4)
    if rank() in (1, 3):
        x[2, 1] = -5
    if rank() == 3:
        x[0, 3] = 9
    return x


def far_behind() -> Tensor:
    x = torch.zeros(3_000_000)
    x[2_500_001] = rank() == 2
    return x


def nan_on_one() -> Tensor:
    return torch.tensor([[0.0, float("nan") if rank() == 1 else 0.0]])


def norm_of_an_ordinary_module() -> nn.Module:
    module = nn.BatchNorm1d(4)
    module.running_mean[3] = rank()
    return module


def one_in_float64() -> list[Tensor]:
    return [torch.ones(2, dtype=torch.float64 if rank() == 1 else torch.float32)]


def seeded(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The fault that readers make: each rank draws from a seed of its own."""

    def make() -> nn.Module:
        torch.manual_seed(100 + rank())
        return build()

    return make


def other_heads() -> nn.Module:
    """On rank 3 a layer whose weight has the same shape, and is cut another way: no KV head has a copy."""
    torch.manual_seed(0)
    if rank() == 3:
        return QKVParallelLinear(8, 2, 4, 4)  # 4 + 4 + 4 heads, of which a rank has 3
    return QKVParallelLinear(8, 2, 4, 1)  # 4 + 1 + 1, of which a rank has 1 + 1 + 1


DRAWS = "different draws: ranks 1, 2, 3 from rank 0"
FROM_0 = "differ: ranks 1, 2, 3 from rank 0, first at"
FAULTS: list[tuple[Callable[[], object], str]] = [
    (
        other_places,
        "copies of the tensor differ: ranks 1, 3 from rank 0, first at [0, 3]: 9.0 on rank 3, 3.0 on rank 0",
    ),
    (far_behind, "copies of the tensor differ: rank 2 from rank 0, first at [2500001]: 1.0 on rank 2, 0.0 on rank 0"),
    (nan_on_one, "copies of the tensor differ: rank 1 from rank 0, first at [0, 1]: nan on rank 1, 0.0 on rank 0"),
    (lambda: torch.tensor(rank() > 2), "rank 3 from rank 0, first at []: True on rank 3, False on rank 0"),
    (lambda: torch.tensor([1, 2 + rank() % 2]), "ranks 1, 3 from rank 0, first at [1]: 3 on rank 1, 2 on rank 0"),
    (lambda: torch.tensor([1j, rank() + 1j]), f"{FROM_0} [1]: (1+1j) on rank 1, 1j on rank 0"),
    (lambda: torch.ones(3).bfloat16() * rank(), f"{FROM_0} [0]: 1.0 on rank 1, 0.0 on rank 0"),
    (lambda: {"a": torch.ones(2), "b": [torch.zeros(1), torch.full((1,), rank())]}, "copies of b[1] differ"),
    (
        edited(drifted_norms),
        "copies of layers.1.input_layernorm.weight differ: ranks 1, 3 from rank 0, first at [5]:",
    ),
    (edited(drifted_norms), "first at [5]: 1.25 on rank 1, 1.0 on rank 0. In 1 more the bits differ: norm.weight"),
    (edited(a_kv_copy), "self_attn.qkv_proj.weight differ: rank 3 from rank 2, first at [9, 2]: 5."),
    (lambda: a_bias(rank() // 2), "copies of bias differ: ranks 2, 3 from rank 0, first at [2]: 1.0 on rank 2, 0.0 on"),
    (norm_of_an_ordinary_module, f"copies of running_mean {FROM_0} [3]: 1.0 on rank 1, 0.0 on rank 0"),
    (seeded(lambda: ParallelMLP(8, 16)), f"gate_up_proj.weight are cut from {DRAWS} (first number of the dense one: "),
    (seeded(lambda: ParallelMLP(8, 16).double()), "the same torch.manual_seed on every rank before the module is made"),
    (seeded(lambda: Llama(CONFIG)), f"the shards of embed_tokens.weight are cut from {DRAWS}"),
    (seeded(lambda: nn.Linear(2, 2)), f"copies of weight {FROM_0} [0, 0]"),
    (lambda: torch.ones(2, 3 + rank() // 2), "the tensor is (2, 4) float32 on rank 2 and (2, 3) float32 on rank 0"),
    (one_in_float64, "[0] is (2,) float64 on rank 1 and (2,) float32 on rank 0"),
    (lambda: {"a": torch.ones(2)} | ({"b": torch.ones(2)} if rank() == 3 else {}), "b is on rank 3 and not on rank 0"),
    (lambda: [torch.ones(2)] * (2 - rank() // 3), "[1] is on rank 0 and not on rank 3"),
    (lambda: ParallelMLP(8, 8 * (1 + rank() // 3)), "gate_up_proj.weight is (8, 8) float32 on rank 3 and (4, 8)"),
    (other_heads, "rank 3 and rank 0 bring the same tensors, but cut in another way or in another order, from"),
]


def all_told(makes: list[Callable[[], object]]) -> list[tuple[str, str]]:
    """(kind of error, its words) for each, one after the other: a fault leaves all ranks in step."""
    told = []
    for make in makes:
        try:
            assert_replicated(make())
            told.append(("none", ""))
        except Exception as error:
            told.append((type(error).__name__, str(error)))
    return told


def test_a_difference_is_named_on_every_rank() -> None:
    first, *others = run_ranks(all_told, 4, [make for make, _ in FAULTS], record=False).values
    assert others == [first] * 3
    for (kind, words), (_, says) in zip(first, FAULTS, strict=True):
        assert kind == "AssertionError" and says in words, (words, says)


def on_rank_2(what: object, others: object) -> Callable[[], object]:
    return lambda: what if rank() == 2 else others


NOT_COMPARED: list[tuple[Callable[[], object], str]] = [
    (lambda: 3, "the tensor = 3 is not a tensor"),
    (lambda: None, "the tensor = None is not a tensor"),
    (lambda: [torch.ones(2), "x"], "[1] = 'x' cannot be compared; tensors work, in dictionaries and lists too"),
    (lambda: torch.ones(2, device="meta"), "the tensor is on the meta device and has no numbers yet"),
    (lambda: torch.ones(2).to_sparse(), "the tensor is torch.sparse_coo; .to_dense() makes it whole"),
    (on_rank_2(torch.ones(2).numpy(), torch.ones(2)), "rank 2: the tensor = <ndarray of shape (2,)> is not a tensor"),
    (on_rank_2(nn.Linear(2, 2, device="meta"), nn.Linear(2, 2)), "rank 2: weight is on the meta device"),
]


def test_what_cannot_be_compared_leaves_nobody_waiting() -> None:
    first, *others = run_ranks(all_told, 4, [make for make, _ in NOT_COMPARED], record=False).values
    assert others == [first] * 3
    for (kind, words), (_, says) in zip(first, NOT_COMPARED, strict=True):
        assert kind == "ValueError" and words.startswith(says), (words, says)


def well() -> None:
    """All that is equal, or differs as it should."""
    assert_replicated(torch.tensor([float("nan"), -0.0 if rank() else 0.0, torch.inf]))
    assert_replicated(torch.tensor([0x7FC00000 + rank()], dtype=torch.int32).view(torch.float32))  # kinds of NaN
    pair = {"a": torch.ones(2), "b": torch.zeros(1)}
    assert_replicated(pair if rank() else dict(reversed(pair.items())))
    for what in (torch.ones(0, 3), torch.tensor(1.0), [], {}, [torch.ones(3, 4).T, (torch.ones(1).bool(),)], nn.ReLU()):
        assert_replicated(what)
    model = llama()
    for same in (model, model.double(), model.bfloat16(), ParallelMLP(8, 16)):
        assert_replicated(same)
    torch.manual_seed(rank())
    loaded = Llama(CONFIG)  # drawn from another seed on each rank, but then filled with equal numbers
    loaded.load_state_dict(model.state_dict())
    assert_replicated(loaded)


def test_what_is_equal_passes() -> None:
    assert run_ranks(well, 4, record=False).values == [None] * 4


def test_one_rank_and_no_group() -> None:
    for what in (torch.ones(2), llama(), [torch.ones(2)], nn.Linear(2, 2)):
        assert_replicated(what)
    with pytest.raises(ValueError, match="the tensor = 'x' is not a tensor"):
        assert_replicated("x")
    assert run_ranks(lambda: assert_replicated(llama()), 1).ledger.rows == []


def drift(model: Llama, ids: Tensor, sync: bool) -> None:
    """A step of training; without the sync the copies of KV heads take different ways."""
    model.loss(ids, ids).backward()
    if sync:
        sync_gradients(model)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert_replicated(model)


def test_copies_that_training_drove_apart() -> None:
    ids = torch.randint(131, (2, 8))
    run_ranks(lambda: drift(llama(), ids, True), 4, record=False)
    with pytest.raises(
        RankFailed, match=r"copies of layers.0.self_attn.qkv_proj.weight differ: rank 1 from rank 0; rank 3"
    ):
        run_ranks(lambda: drift(llama(), ids, False), 4, record=False)


class Two(nn.Module):
    """A Llama on a group, and an ordinary layer beside it."""

    def __init__(self, seed: int, group: dist.ProcessGroup) -> None:
        super().__init__()
        self.llama, self.plain = llama(seed, group), nn.Linear(2, 2)
        nn.init.ones_(self.plain.weight)
        nn.init.ones_(self.plain.bias)

    def forward(self, ids: Tensor) -> Tensor:
        return self.llama(ids)


def on_a_mesh(other_rows: bool, drifted: bool, fsdp: bool) -> None:
    """A model cut over tp, once in each of two dp rows: perhaps another in the other row, or a copy that drifted."""
    mesh = dist.init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    dp, tp = mesh["dp"].get_local_rank(), mesh["tp"].get_local_rank()
    model = Two(dp if other_rows else 0, mesh.get_group("tp"))
    if drifted and (dp, tp) == (1, 1):
        model.llama.norm.weight.data[20] = 2
    if fsdp:
        fully_shard(model, mesh=mesh["dp"])
    assert_replicated(model)  # over tp; the plain layer over all
    assert_replicated(model, mesh.get_group("dp"))  # over dp, the shards too


@pytest.mark.parametrize("fsdp", [False, True])
def test_groups_inside_the_world(fsdp: bool) -> None:
    run_ranks(on_a_mesh, 4, False, False, fsdp)
    with pytest.raises(
        RankFailed, match=r"copies of llama.norm.weight differ: rank 3 from rank 2, first at \[\d+\]: 2"
    ):
        run_ranks(on_a_mesh, 4, False, True, fsdp)
    if not fsdp:
        with pytest.raises(RankFailed, match="copies of llama.embed_tokens.weight differ: rank 2 from rank 0"):
            run_ranks(on_a_mesh, 4, True, False, fsdp)


def test_a_good_model_costs_two_small_messages() -> None:
    run = run_ranks(lambda: assert_replicated(llama()), 2)
    own = [(row.op, row.bytes) for row in run.ledger.rows if row.rank == 0]
    assert [op for op, _ in own] == ["all_gather"] * 2 and sum(size for _, size in own) < 1000
    large = run_ranks(lambda: assert_replicated(torch.zeros(1 << 20)), 2).ledger.bytes(rank=0)
    assert large < 100


SCRIPT = """
import torch, torch.distributed as dist
from tplearn.parallel import assert_replicated
dist.init_process_group("gloo")
try:
    assert_replicated({"x": torch.full((2,), dist.get_rank())})
except AssertionError as error:
    print(f"{error}\\n", end="", flush=True)  # in one piece
dist.barrier()
dist.destroy_process_group()
"""


def test_under_torchrun(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (
        done.stdout.splitlines()
        == ["copies of x differ: rank 1 from rank 0, first at [0]: 1 on rank 1, 0 on rank 0"] * 2
    )


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int8, torch.bool, torch.complex64]
)
def test_every_change_shows_in_the_digest(dtype: torch.dtype) -> None:
    x = torch.randint(0, 2, (5, 400)).to(dtype)
    seen = {digest(x).item()}
    for at in range(0, 2000, 7):
        other = x.clone()
        other.view(-1)[at] = other.view(-1)[at] == 0
        seen.add(digest(other).item())
    assert len(seen) == 1 + len(range(0, 2000, 7))
    first, second = torch.tensor([[1.0, 2], [3, 4]]).to(dtype), torch.tensor([[1.0, 3], [2, 4]]).to(dtype)
    if dtype != torch.bool:
        assert digest(first) != digest(second) and digest(first) == digest(
            second.T
        )  # the order of the index, not of memory


def test_a_digest_of_many_blocks() -> None:
    x = torch.arange(3 << 20).float()
    other = x.clone()
    other[[5, (1 << 20) + 5]] = other[[(1 << 20) + 5, 5]]  # the same places of two blocks changed over
    assert digest(x) != digest(other) and digest(x) == digest(x.clone())
