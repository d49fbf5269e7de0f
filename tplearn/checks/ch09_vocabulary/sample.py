"""Exercise 09.5: draw the next word, the same one on every rank, without gathering the logits."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch09_vocabulary.inputs import own_range, padded_shards
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import gather_from_group
from tplearn.ranks import per_rank


def _scores(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """[tokens, rows]: logit plus noise of the own words, −∞ in the padding."""
    start, stop, _ = own_range(vocab_size)
    scores = torch.full_like(logits_shard, -torch.inf)
    scores[:, : stop - start] = logits_shard[:, : stop - start] + noise[:, start:stop]
    return scores


def _winner(scores: Tensor, start: int, nobody: int, op: dist.ReduceOp.RedOpType = dist.ReduceOp.MIN) -> Tensor:
    best, column = scores.max(-1)
    top = best.clone()
    dist.all_reduce(top, op=dist.ReduceOp.MAX)
    word = torch.where(best == top, column + start, nobody)
    dist.all_reduce(word, op=op)
    return word


def sample_word(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """logits_shard: [tokens, rows], anything in the padding; noise: [tokens, words], equal on all ranks → [tokens]."""
    return _winner(_scores(logits_shard, noise, vocab_size), own_range(vocab_size)[0], vocab_size)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, vocab_size in ((2, 131), (3, 11), (4, 5)):
        dense = randn(generator, 6, vocab_size)
        noise = -(-torch.rand(6, vocab_size, generator=generator, dtype=torch.float64).log()).log()  # Gumbel
        rows = -(-vocab_size // tp)
        winners = torch.randint(rows, vocab_size, (6,), generator=generator)  # luck decides, and never for rank 0
        noise[torch.arange(6), winners] += 12
        noise[0], dense[0, [1, rows + 1]] = 0, 9.0  # a tie between ranks 0 and 1
        shards = padded_shards(generator, dense, tp, 1, 30.0)  # whoever looks at the padding takes it
        cases.append(Case(tp, (per_rank(shards), noise, vocab_size)))
    return cases


def _padding_sampled(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    start, stop, _ = own_range(vocab_size)
    scores = logits_shard.clone()
    scores[:, : stop - start] += noise[:, start:stop]
    return _winner(scores, start, dist.get_world_size() * logits_shard.shape[1])


def _local_index(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    return _winner(_scores(logits_shard, noise, vocab_size), 0, vocab_size)


def _own_word(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    return _scores(logits_shard, noise, vocab_size).argmax(-1) + own_range(vocab_size)[0]


def _same_noise(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    start, stop, _ = own_range(vocab_size)
    scores = torch.full_like(logits_shard, -torch.inf)
    scores[:, : stop - start] = logits_shard[:, : stop - start] + noise[:, : stop - start]
    return _winner(scores, start, vocab_size)


def _gathered(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    return (gather_from_group(logits_shard, -1)[:, :vocab_size] + noise).argmax(-1)


def _ties_added(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    start = own_range(vocab_size)[0]
    return _winner(_scores(logits_shard, noise, vocab_size), start, 0, dist.ReduceOp.SUM)


SAMPLE_WORD = Exercise(
    number="09.5",
    name="sample_word",
    points=15,
    difficulty=3,
    minutes=15,
    reference=sample_word,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "padded rows sampled",
            _padding_sampled,
            "You drew a word that does not exist: a row of padding had the largest number. Its index is vocab_size or "
            "above, and no tokenizer can turn it into text.",
            "the columns beyond stop − start: they must not take part.",
        ),
        Mutant(
            "local index",
            _local_index,
            "You returned the column within a shard. Column 2 of rank 1 is word start + 2.",
            "the word that a rank proposes: column + start.",
        ),
        Mutant(
            "every rank its own word",
            _own_word,
            "Each rank returns the best of its own words, so ranks go on with different texts. The next forward pass "
            "would sum parts of different sentences.",
            "the ranks have to compare their best: first the values, then the words.",
        ),
        Mutant(
            "the same noise for different words",
            _same_noise,
            "Every rank used the first columns of the noise. Noise is given for the whole vocabulary, so word w needs "
            "column w; with yours, words on different ranks share their luck and the draw depends on tp.",
            "noise[:, start:stop].",
        ),
        Mutant(
            "gathered logits",
            _gathered,
            "The words are right, but all logits crossed the wire for them. A rank's best value and its word are "
            "enough: two numbers for each token.",
            "the ledger: one all_gather of tokens · rows, where two all_reduce of [tokens] are due.",
        ),
        Mutant(
            "ties added up",
            _ties_added,
            "Where two ranks have the same best value, both propose their word, and you added the two: a third word "
            "comes out. Take one of them, the smaller.",
            "the second all_reduce: MIN over the words, with vocab_size from ranks that have nothing to propose.",
        ),
    ),
)
