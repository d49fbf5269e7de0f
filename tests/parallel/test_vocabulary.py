"""Embedding, head and loss cut by words, for odd vocabularies, against nn.Embedding, nn.Linear and F.cross_entropy."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.parallel.twin import Job, assert_like_dense, assert_shows, dense, error, fresh_seed, numbers, on_ranks
from tplearn import per_rank, run_ranks
from tplearn.parallel import (
    ParallelLMHead,
    Place,
    VocabParallelEmbedding,
    cross_entropy,
    partitions,
    reduce_from_group,
    vocab_parallel_cross_entropy,
    vocab_range,
)

TP = (1, 2, 3, 4, 8)


def ids(vocab: int, seed: int) -> Tensor:
    return torch.randint(vocab, (3, 5), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("vocab", [131, 5])
@pytest.mark.parametrize("tp", TP)
def test_embedding(tp: int, vocab: int) -> None:
    seed = fresh_seed()
    for padding in (None, 0, vocab - 1):
        build = lambda padding=padding: VocabParallelEmbedding(vocab, 6, padding).double()  # noqa: E731
        job = Job(build, (ids(vocab, seed),), numbers(3, 5, 6, seed=seed), seed)
        assert_like_dense(job, tp)
        plain = nn.Embedding(vocab, 6, padding).double()
        torch.manual_seed(seed)
        plain.weight.data = nn.Embedding(vocab, 6, padding).weight.data.double()
        plain(job.inputs[0]).backward(job.upstream)
        assert error(dense(job).parameters["weight"], plain.weight.grad) < 1e-12


@pytest.mark.parametrize("gather", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tp", TP)
def test_head(tp: int, bias: bool, gather: bool) -> None:
    seed = fresh_seed()
    build = lambda: ParallelLMHead(131, 6, bias=bias, gather_output=gather).double()  # noqa: E731
    rows = -(-131 // tp) * tp
    dy = numbers(3, 5, 131, seed=seed)
    job = Job(build, (numbers(3, 5, 6, seed=seed + 1),), dy, seed, cut_out=None if gather else -1)
    if not gather:  # the padding's columns get a gradient too, which must lead nowhere
        job = Job(job.build, job.inputs, F.pad(dy, (0, rows - 131), value=7.0), seed, cut_out=-1)
        truth, seen = dense(Job(job.build, job.inputs, dy, seed)), on_ranks(job, tp)
        logits = torch.cat([s.output for s in seen], -1)
        assert error(logits[..., :131], truth.output) < 1e-10 and (logits[..., 131:] == -torch.inf).all()
        assert all(error(s.inputs[0], truth.inputs[0]) < 1e-10 for s in seen)
        assert all(error(s.parameters[n], g) < 1e-10 for s in seen for n, g in truth.parameters.items())
    else:
        assert_like_dense(job, tp)


class Tied(nn.Module):
    """Embedding and head on one table."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = VocabParallelEmbedding(131, 6)
        self.head = ParallelLMHead(131, 6, gather_output=True)
        self.head.tie(self.embedding)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.embedding(words))


@pytest.mark.parametrize("tp", TP)
def test_tied(tp: int) -> None:
    seed = fresh_seed()
    job = Job(lambda: Tied().double(), (ids(131, seed),), numbers(3, 5, 131, seed=seed), seed)
    assert_like_dense(job, tp)
    assert len(dense(job).parameters) == 1


def test_tying_needs_the_same_shape() -> None:
    with pytest.raises(ValueError, match=r"an embedding of shape \(8, 4\) cannot be tied to a head of shape \(9, 4\)"):
        ParallelLMHead(9, 4).tie(VocabParallelEmbedding(8, 4))


class Loss(nn.Module):
    """Takes whole logits, gives each rank its padded columns, and returns the parallel loss."""

    def __init__(self, words: Tensor, **options: object) -> None:
        super().__init__()
        self.words, self.options = words, options

    def forward(self, logits: Tensor) -> Tensor:
        place, vocab = Place.of(), logits.shape[-1]
        start, _, rows = vocab_range(vocab, place.rank, place.world_size)
        padded = F.pad(logits, (0, rows * place.world_size - vocab), value=-torch.inf)
        shard = padded[..., place.rank * rows : (place.rank + 1) * rows]
        return vocab_parallel_cross_entropy(shard, self.words, vocab_size=vocab, **self.options)


OPTIONS = [{}, {"label_smoothing": 0.1}, {"reduction": "sum"}, {"reduction": "none"}, {"ignore_index": 3}]


@pytest.mark.parametrize(
    ("scale", "options"),
    [*((1, options) for options in OPTIONS), *((1000, options) for options in OPTIONS[:2])],
    ids=str,
)
@pytest.mark.parametrize("tp", TP)
def test_cross_entropy(tp: int, options: dict, scale: int) -> None:
    seed = fresh_seed()
    words = ids(131, seed)
    words[0, :2] = options.get("ignore_index", -100)
    logits = scale * numbers(3, 5, 131, seed=seed)
    want_logits = logits.clone().requires_grad_()
    want = F.cross_entropy(want_logits.flatten(0, 1), words.flatten(), **options)
    want = want.view(3, 5) if options.get("reduction") == "none" else want
    dy = numbers(*want.shape, seed=seed + 1)
    want.backward(dy)
    seen = on_ranks(Job(lambda: Loss(words, **options), (logits,), dy, seed), tp)
    assert all(torch.isfinite(s.output).all() and error(s.output, want.detach()) < 1e-10 for s in seen), seed
    gradient = sum(s.inputs[0] for s in seen)  # each rank has the gradient of its own columns
    assert torch.isfinite(gradient).all() and error(gradient, want_logits.grad) < 1e-10, seed


def test_a_local_maximum_shows() -> None:
    seed = fresh_seed()
    words, logits = ids(131, seed), 1000 * numbers(3, 5, 131, seed=seed)

    def locally(x: Tensor, place: Place, reduce_op: str = "sum") -> Tensor:
        return x if reduce_op == "max" else cross_entropy_all_reduce(x, place)

    cross_entropy_all_reduce = cross_entropy.plain_all_reduce

    def broken(shard: Tensor) -> Tensor:
        cross_entropy.plain_all_reduce = locally
        return vocab_parallel_cross_entropy(shard, words, vocab_size=132)

    padded = F.pad(logits, (0, 1), value=-1e9)
    values = run_ranks(broken, 2, per_rank(list(padded.chunk(2, -1)))).values
    want = F.cross_entropy(padded.flatten(0, 1), words.flatten())
    assert not all(error(value, want) < 1e-9 for value in values)


class Unmasked(VocabParallelEmbedding):
    """Ids of other ranks are looked up too, as word 0."""

    def forward(self, words: Tensor) -> Tensor:
        own = (words - self.start).clamp(0, self.stop - self.start - 1)
        return reduce_from_group(F.embedding(own, self.weight))


def test_unmasked_ids_show() -> None:
    seed = fresh_seed()
    job = Job(lambda: Unmasked(131, 6).double(), (ids(131, seed),), numbers(3, 5, 6, seed=seed), seed)
    assert_shows(job, 2, "output")
    assert_shows(job, 4, "weight")


def test_first_values_are_the_dense_tables() -> None:
    def draw() -> list[Tensor]:
        torch.manual_seed(7)
        layers = nn.ModuleList([VocabParallelEmbedding(131, 6, 4), ParallelLMHead(131, 6, bias=True)])
        return [partition.full_tensor(p.detach()) for _, p, partition in partitions(layers)]

    torch.manual_seed(7)
    table, head = nn.Embedding(131, 6, 4), nn.Linear(6, 131)
    for got in run_ranks(draw, 4).values:
        assert all(map(torch.equal, got, (table.weight, head.weight, head.bias)))


def _refusals() -> list[str]:
    said = []
    words = torch.zeros(2, dtype=torch.int64)
    for wrong in (
        lambda: VocabParallelEmbedding(7, 2)(torch.tensor([1, 7])),
        lambda: VocabParallelEmbedding(7, 2)(torch.tensor([1.0])),
        lambda: VocabParallelEmbedding(7, 2, padding_idx=7),
        lambda: vocab_parallel_cross_entropy(torch.zeros(2, 7), words, vocab_size=7),
        lambda: vocab_parallel_cross_entropy(torch.zeros(3, 4), words, vocab_size=7),
        lambda: vocab_parallel_cross_entropy(torch.zeros(2, 4), words + 7, vocab_size=7),
        lambda: vocab_parallel_cross_entropy(torch.zeros(2, 4), words, vocab_size=7, reduction="avg"),
        lambda: vocab_range(0, 0, 1),
    ):
        try:
            wrong()
        except ValueError as error:
            said.append(str(error))
    return said


def test_refusals_on_every_rank() -> None:
    for said in run_ranks(_refusals, 2).values:
        assert said == [
            "ids contain 7, which is not a word; words from 0 to 6 work",
            "ids of dtype torch.float32 are no words; torch.int64 works",
            "padding_idx = 7 is not a word; words from 0 to 6 work",
            "logits_shard has 7 columns; of vocab_size = 7 over tp = 2 each rank has 4",
            "targets of shape (2,); shape that works: (3,)",
            "targets contain 7, which is not a word; words from 0 to 6 work",
            "reduction = 'avg' does not exist; values that work: mean, sum, none",
            "vocab_size = 0 is not a vocabulary; sizes that work: 1, 2, 3, ...",
        ]
