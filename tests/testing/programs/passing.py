"""Tests that pass on ranks: everything that pytest users expect to work."""

import logging
import os
import random
import warnings

import pytest
import torch
import torch.distributed as dist

from tplearn import run_ranks

pytestmark = pytest.mark.ranks(2)
REFERENCE = torch.randn(300, 300) @ torch.randn(300, 300)  # computed when pytest collects, by all of its threads


@pytest.fixture(scope="session", autouse=True)
def in_double():
    """Gives nothing: it is there for what it does to a process."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def weight():
    """Gives a value: set up once, in pytest's own process."""
    return {"pid": os.getpid(), "tensor": torch.arange(6.0).reshape(2, 3)}


@pytest.fixture(scope="module")
def doubled(weight):
    return weight["tensor"] * 2


@pytest.fixture
def of_rank(weight):
    yield dist.get_rank(), os.getpid(), weight["pid"]
    dist.barrier()


@pytest.fixture(params=["a", "b"])
def letter(request):
    return request.param


@pytest.fixture
def letter_c():
    return "c"


@pytest.fixture(scope="module")
def doubly(request):
    return request.param * 2


class TestOfClass:
    @classmethod
    def setup_class(cls):
        cls.made = torch.ones(2)

    def setup_method(self):
        self.rank = dist.get_rank()

    @pytest.fixture(scope="class")
    def weight(self, weight):
        return weight["tensor"] + 1

    def test_setup_and_override(self, weight):
        assert weight[0, 0] == 1 and self.made.sum() == 2 and self.rank == dist.get_rank()

    @pytest.mark.ranks(1)
    def test_own_mark_counts(self):
        assert dist.get_world_size() == 1


def test_group():
    x = torch.ones(3)
    dist.all_reduce(x)
    assert x.tolist() == [2, 2, 2] and os.environ["WORLD_SIZE"] == "2"


def test_wide_fixtures_do_what_they_do(doubled):
    assert torch.ones(1).dtype == torch.float64 and doubled[1, 2] == 10


def test_one_value_for_all(of_rank):
    rank, own, pytests = of_rank
    seen = [None, None]
    dist.all_gather_object(seen, (rank, own, pytests))
    assert [one[0] for one in seen] == [0, 1] and len({one[1] for one in seen}) == 2
    assert len({one[2] for one in seen}) == 1 and own != pytests


def test_folders(tmp_path, shared_tmp_path, tmp_path_factory):
    (shared_tmp_path / f"{dist.get_rank()}").touch()
    (tmp_path / "mine").touch()
    dist.barrier()
    assert sorted(os.listdir(shared_tmp_path)) == ["0", "1"] and os.listdir(tmp_path) == ["mine"]
    assert tmp_path_factory.mktemp("more").is_dir()


def test_monkeypatch(monkeypatch):
    monkeypatch.setenv("ONLY_HERE", str(dist.get_rank()))
    monkeypatch.setattr(random, "random", lambda: 7)
    assert os.environ["ONLY_HERE"] == str(dist.get_rank()) and random.random() == 7


def test_nothing_stays():
    assert "ONLY_HERE" not in os.environ and random.random() != 7


def test_captured(capsys):
    print("rank", dist.get_rank())
    assert capsys.readouterr().out == f"rank {dist.get_rank()}\n"


def test_captured_below_python(capfd):
    os.write(1, b"below")
    assert capfd.readouterr().out == "below"


def test_logged(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger("a").info("of rank %d", dist.get_rank())
    assert caplog.messages == [f"of rank {dist.get_rank()}"]


def test_warned(recwarn):
    warnings.warn("seen here", stacklevel=1)
    assert len(recwarn) == 1
    with pytest.warns(UserWarning, match="expected"):
        warnings.warn("expected", stacklevel=1)


def test_warns_on_both_ranks():
    warnings.warn("once for all ranks", stacklevel=1)


def test_parametrised_fixture(letter):
    assert letter in "ab"


@pytest.mark.parametrize(("x", "y"), [(1, 2), pytest.param(3, 4, id="second")])
def test_parametrised(x, y):
    assert y == x + 1


@pytest.mark.parametrize("doubly", [2, 3], indirect=True)
def test_indirect(doubly):
    assert doubly in (4, 6)


@pytest.mark.ranks([1, 3])
def test_sizes(ledger):
    dist.all_reduce(torch.ones(2, 2))
    assert dist.get_world_size() in (1, 3)
    assert ledger.count("all_reduce") == 1 and ledger.rows[0].shape == (2, 2)


@pytest.mark.usefixtures("of_rank")
def test_ledger_in_the_middle(ledger):
    assert ledger.count() == 0
    layer = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
    before = ledger.bytes("all_reduce")
    layer(torch.ones(2, 4)).sum().backward()
    assert ledger.bytes("all_reduce") - before == 5 * 8
    assert {row.rank for row in ledger.rows} == {dist.get_rank()}


def test_found_by_name(request):
    assert request.getfixturevalue("letter_c") == "c" and request.getfixturevalue("tmp_path").is_dir()


def test_no_ranks_on_a_rank():
    with pytest.raises(ValueError, match="a rank cannot start ranks"):
        run_ranks(int, 2)


def test_computes_as_collected():
    assert (REFERENCE @ torch.eye(300, dtype=torch.float32)).shape == (300, 300)


def test_records(record_property):
    record_property("the key", 7)


def test_subtests(subtests):
    for i in range(2):
        with subtests.test(i=i):
            assert i < 2


@pytest.mark.anyio
async def test_async(anyio_backend_name):
    assert anyio_backend_name == "asyncio" and dist.get_world_size() == 2
