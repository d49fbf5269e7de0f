"""Chapter 09: lazy, right and unsharded answers for words on ranks, lookup, logits, loss, draw and the tied model."""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.distributed import _functional_collectives as funcol
from torch.nn import functional as F

from tests.checks.answers.ch07 import SummedBackward, SummedForward, plain_sum
from tplearn.checks import Case
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group

Words = tuple[int, int, int]
MIN, MAX = dist.ReduceOp.MIN, dist.ReduceOp.MAX


def own_words(vocab_size: int, rows: int) -> tuple[int, int]:
    """This rank's words, by counting."""
    start = min(dist.get_rank() * rows, vocab_size)
    return start, min(start + rows, vocab_size)


# --- 09.1 ----------------------------------------------------------------------------------------------------------


def by_ceil(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    rows = math.ceil(math.ceil(vocab_size / world_size) / multiple) * multiple
    return min(rank * rows, vocab_size), min(rank * rows + rows, vocab_size), rows


def by_loop(vocab_size: int, rank: int, world_size: int, multiple: int) -> list[int]:
    rows = multiple
    while rows * world_size < vocab_size:
        rows += multiple
    words = range(vocab_size)[rank * rows :][:rows]
    return [min(rank * rows, vocab_size), min(rank * rows, vocab_size) + len(words), rows]


def by_padding(vocab_size: int, rank: int, world_size: int, multiple: int) -> Words:
    padded = vocab_size + -vocab_size % (multiple * world_size)
    rows = padded // world_size
    start = rank * rows if rank * rows < vocab_size else vocab_size
    return start, start + max(0, min(rows, vocab_size - start)), rows


# --- 09.2 ----------------------------------------------------------------------------------------------------------


def by_where(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """torch.where on the vectors; the padding word through detach."""
    start, stop = own_words(vocab_size, len(weight_shard))
    mine = (start <= ids) & (ids < stop)
    vectors = weight_shard[torch.where(mine, ids - start, 0)]
    if padding_idx is not None:
        vectors = torch.where((ids == padding_idx)[..., None], vectors.detach(), vectors)
    return reduce_from_group(torch.where(mine[..., None], vectors, torch.zeros(())))


def by_one_hot(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """A matmul with one-hot rows, and g by hand."""
    start, stop = own_words(vocab_size, len(weight_shard))
    own = torch.arange(start, start + len(weight_shard))
    own[stop - start :] = -1
    hot = (ids[..., None] == own).to(weight_shard.dtype)
    if padding_idx is not None:
        frozen = (own == padding_idx)[:, None]
        weight_shard = torch.where(frozen, weight_shard.detach(), weight_shard)
    return SummedForward.apply(hot @ weight_shard, None)


def by_padded_row(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """One row of zeros more, for words of other ranks."""
    start, stop = own_words(vocab_size, len(weight_shard))
    rows = len(weight_shard)
    index = (ids - start).masked_fill((ids < start) | (ids >= stop), rows)
    table = F.pad(weight_shard, (0, 0, 0, 1))
    own = padding_idx - start if padding_idx is not None and start <= padding_idx < stop else rows
    return reduce_from_group(F.embedding(index, table, own))


def tp_1_embedding(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    return F.embedding(ids.clamp(max=len(weight_shard) - 1), weight_shard, padding_idx)


def rows_by_division(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    rows = -(-vocab_size // dist.get_world_size())
    return by_where(ids, weight_shard[:rows], vocab_size, padding_idx)


def whole_table(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """The table comes over the wire without a gradient, and the own shard is put into it."""
    shards = [torch.empty_like(weight_shard) for _ in range(dist.get_world_size())]
    dist.all_gather(shards, weight_shard.detach())
    shards[dist.get_rank()] = weight_shard
    return F.embedding(ids, torch.cat(shards)[:vocab_size], padding_idx)


# --- 09.3 ----------------------------------------------------------------------------------------------------------


def by_concatenation(x: Tensor, weight_shard: Tensor, vocab_size: int, cap: float) -> Tensor:
    """Words and padding apart, then side by side."""
    start, stop = own_words(vocab_size, len(weight_shard))
    logits = cap * torch.tanh(copy_to_group(x) @ weight_shard[: stop - start].T / cap)
    return torch.cat([logits, logits.new_full((len(x), len(weight_shard) - (stop - start)), -torch.inf)], dim=1)


def by_bias(x: Tensor, weight_shard: Tensor, vocab_size: int, cap: float) -> Tensor:
    """−∞ is added to the padding; f by hand."""
    start, stop = own_words(vocab_size, len(weight_shard))
    bias = torch.zeros(len(weight_shard), dtype=x.dtype)
    bias[stop - start :] = -torch.inf
    x = SummedBackward.apply(x, None) if dist.get_world_size() > 1 else x
    return torch.einsum("tw,rw->tr", x, weight_shard).div(cap).tanh().mul(cap) + bias


def by_where_logits(x: Tensor, weight_shard: Tensor, vocab_size: int, cap: float) -> Tensor:
    words = torch.arange(len(weight_shard)) + dist.get_rank() * len(weight_shard)
    logits = F.linear(copy_to_group(x), weight_shard)
    return torch.where(words < vocab_size, cap * (logits / cap).tanh(), -torch.inf)


# --- 09.4 ----------------------------------------------------------------------------------------------------------


class AllReduced(Function):
    """A sum by a functional collective, whose backward is the gradient as it is."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return funcol.wait_tensor(funcol.all_reduce(x.contiguous(), "sum", dist.group.WORLD))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


def mask_of(targets: Tensor, vocab_size: int, rows: int) -> Tensor:
    """[tokens, rows]: True at the target, on its owner."""
    start, _ = own_words(vocab_size, rows)
    return targets[:, None] == torch.arange(start, start + rows)


def loss_with(total_of: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Three numbers a token; the sums by total_of."""

    def answer(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
        largest = logits_shard.detach().max(dim=1).values.clone()
        dist.all_reduce(largest, op=MAX)
        total = total_of((logits_shard - largest[:, None]).exp().sum(1))
        own = logits_shard.masked_fill(~mask_of(targets, vocab_size, logits_shard.shape[1]), 0).sum(1)
        log_z = largest + total.log()
        return (log_z - total_of(own)).mean() + z_weight * log_z.pow(2).mean()

    return answer


def both_sums_at_once(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """Two messages: the maximum, and both sums in one."""
    largest = logits_shard.detach().amax(1)
    handle = dist.all_reduce(largest, op=MAX, async_op=True)
    own = logits_shard.where(mask_of(targets, vocab_size, logits_shard.shape[1]), 0).sum(1)
    handle.wait()
    z = logits_shard - largest[:, None]
    total, of_target = reduce_from_group(torch.stack([z.exp().sum(1), own])).unbind()
    log_z = total.log() + largest
    return (log_z - of_target + z_weight * log_z * log_z).sum() / len(targets)


class ByHand(Function):
    """Loss and gradient by formula: softmax · (1 + 2 z_weight log Z) minus one-hot, over the tokens."""

    @staticmethod
    def forward(ctx, logits: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
        largest = logits.amax(1)
        dist.all_reduce(largest, op=MAX)
        exponentials = (logits - largest[:, None]).exp()
        mask = mask_of(targets, vocab_size, logits.shape[1])
        sums = torch.stack([exponentials.sum(1), logits.masked_fill(~mask, 0).sum(1)])
        dist.all_reduce(sums)
        log_z = largest + sums[0].log()
        softmax = exponentials / sums[0][:, None]
        ctx.save_for_backward((softmax * (1 + 2 * z_weight * log_z)[:, None] - mask.to(softmax.dtype)) / len(targets))
        return (log_z - sums[1] + z_weight * log_z**2).mean()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple:
        return gradient * ctx.saved_tensors[0], None, None, None


def of_logarithms(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    """Each rank's logarithm travels, and the logarithm of the sum of their exponentials is taken on every rank."""
    own = logits_shard.masked_fill(~mask_of(targets, vocab_size, logits_shard.shape[1]), 0).sum(1)
    log_z = gather_from_group(logits_shard.clamp(min=-1e300).logsumexp(1)[None], 0).logsumexp(0)
    return (log_z - reduce_from_group(own) + z_weight * log_z**2).mean()


def float32_loss(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    return loss_with(reduce_from_group)(logits_shard.float(), targets, vocab_size, z_weight).double()


def gathered_loss(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    whole = gather_from_group(logits_shard, 1)[:, :vocab_size]
    return F.cross_entropy(whole, targets) + z_weight * whole.logsumexp(1).square().mean()


def gathered_without_gradient(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    shards = [torch.empty_like(logits_shard) for _ in range(dist.get_world_size())]
    dist.all_gather(shards, logits_shard.detach())
    shards[dist.get_rank()] = logits_shard
    whole = torch.cat(shards, 1)[:, :vocab_size]
    return F.cross_entropy(whole, targets) + z_weight * whole.logsumexp(1).square().mean()


def local_loss(logits_shard: Tensor, targets: Tensor, vocab_size: int, z_weight: float) -> Tensor:
    start, stop = own_words(vocab_size, logits_shard.shape[1])
    return F.cross_entropy(logits_shard, (targets - start).clamp(0, max(stop - start - 1, 0)))


# --- 09.5 ----------------------------------------------------------------------------------------------------------


def own_scores(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> tuple[Tensor, int]:
    start, stop = own_words(vocab_size, logits_shard.shape[1])
    scores = logits_shard[:, : stop - start] + noise[:, start:stop]
    return F.pad(scores, (0, logits_shard.shape[1] - (stop - start)), value=-torch.inf), start


def by_any(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """argmax and gather; async; word numbers beyond all for those who have nothing."""
    scores, start = own_scores(logits_shard, noise, vocab_size)
    column = scores.argmax(1, keepdim=True)
    best = scores.gather(1, column)[:, 0]
    top = best.clone()
    dist.all_reduce(top, op=MAX, async_op=True).wait()
    word = column[:, 0] + start
    word[best != top] = 10**9
    dist.all_reduce(word, op=MIN, async_op=True).wait()
    return word


def by_negative_maximum(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """The smallest word is the largest negative one."""
    scores, start = own_scores(logits_shard, noise, vocab_size)
    best, column = scores.max(1)
    top = best.clone()
    dist.all_reduce(top, op=MAX)
    word = torch.where(best < top, -vocab_size, -(column + start))
    dist.all_reduce(word, op=MAX)
    return -word


def early_at_one_rank(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    if dist.get_world_size() == 1:
        return (logits_shard[:, :vocab_size] + noise).argmax(-1)
    return by_any(logits_shard, noise, vocab_size)


def functional_draw(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    scores, start = own_scores(logits_shard, noise, vocab_size)
    best, column = scores.max(1)
    top = funcol.wait_tensor(funcol.all_reduce(best, "max", dist.group.WORLD))
    return funcol.wait_tensor(
        funcol.all_reduce(torch.where(best == top, column + start, vocab_size), "min", dist.group.WORLD)
    )


def gathered_draw(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    return (gather_from_group(logits_shard, 1)[:, :vocab_size] + noise).argmax(1)


def of_rank_0(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    scores, start = own_scores(logits_shard, noise, vocab_size)
    word = scores.argmax(1) + start
    dist.broadcast(word, src=0)
    return word


def luckiest(logits_shard: Tensor, noise: Tensor, vocab_size: int) -> Tensor:
    """Nobody's logits are asked: the noise is the same everywhere."""
    return noise.argmax(1)


# --- 09.6 ----------------------------------------------------------------------------------------------------------


class Model(nn.Module):
    """The tied model; run(self, ids)."""

    def __init__(self, run: Callable, vocab_size: int, width: int, cap: float, seed: int | None = None) -> None:
        super().__init__()
        if seed is not None:
            torch.manual_seed(seed)
        rows = -(-vocab_size // dist.get_world_size())
        dense = torch.randn(vocab_size, width)
        shard = torch.zeros(rows, width)
        start, stop = own_words(vocab_size, rows)
        shard[: stop - start] = dense[start:stop]
        self.dense = [dense]
        self.weight, self.sizes, self.run = nn.Parameter(shard), (vocab_size, cap), run

    def forward(self, ids: Tensor) -> Tensor:
        return self.run(self, ids)


def model(run: Callable, **how: int) -> Callable[..., nn.Module]:
    return lambda vocab_size, width, cap: Model(run, vocab_size, width, cap, **how)


def tied_by(embed: Callable, head: Callable) -> Callable:
    def run(model: Model, ids: Tensor) -> Tensor:
        vocab_size, cap = model.sizes
        x = embed(ids, model.weight, vocab_size, None) * math.sqrt(model.weight.shape[1])
        return head(x, model.weight, vocab_size, cap)

    return run


def recomputed(model: Model, ids: Tensor) -> Tensor:
    """The dense table is at hand: nobody is asked."""
    vocab_size, cap = model.sizes
    x = model.dense[0][ids] * model.weight.shape[1] ** 0.5
    return by_concatenation(x, model.weight, vocab_size, cap)


def no_f(model: Model, ids: Tensor) -> Tensor:
    vocab_size, cap = model.sizes
    x = by_where(ids, model.weight, vocab_size, None) * model.weight.shape[1] ** 0.5
    own = own_words(vocab_size, len(model.weight))
    logits = cap * torch.tanh(x @ model.weight.T / cap)
    return logits.masked_fill(torch.arange(len(model.weight)) >= own[1] - own[0], -torch.inf)


def detached_head(model: Model, ids: Tensor) -> Tensor:
    vocab_size, cap = model.sizes
    x = by_where(ids, model.weight, vocab_size, None) * model.weight.shape[1] ** 0.5
    return by_concatenation(x, model.weight.data, vocab_size, cap)


def unscaled(model: Model, ids: Tensor) -> Tensor:
    vocab_size, cap = model.sizes
    return by_concatenation(by_where(ids, model.weight, vocab_size, None), model.weight, vocab_size, cap)


def plain_embedding(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    start, stop = own_words(vocab_size, len(weight_shard))
    mine = (start <= ids) & (ids < stop)
    return plain_sum(weight_shard[torch.where(mine, ids - start, 0)] * mine[..., None], None)


LAZY = {
    "words_of_rank": {
        "multiple ignored": lambda words, rank, p, multiple: by_ceil(words, rank, p, 1),
        "words that come out even": lambda words, rank, p, multiple: (
            rank * words // p,
            (rank + 1) * words // p,
            words // p,
        ),
        "tp 1": lambda words, rank, p, multiple: (0, words, by_ceil(words, 0, 1, multiple)[2]),
        "the page": lambda words, rank, p, multiple: (
            rank * -(-words // p),
            min((rank + 1) * -(-words // p), words),
            -(-words // p),
        ),
        "rank 0": lambda words, rank, p, multiple: by_ceil(words, 0, p, multiple),
    },
    "embed_words": {
        "no communication": lambda ids, weight, words, padding: tp_1_embedding(ids, weight, words, None),
        "rows by division": rows_by_division,
        "the whole table": whole_table,
        "plain all_reduce": lambda ids, weight, words, padding: plain_embedding(ids, weight, words, padding),
        "padding forgotten": lambda ids, weight, words, padding: by_where(ids, weight, words, None),
        "padding 0 forgotten": lambda ids, weight, words, padding: by_where(ids, weight, words, padding or None),
        "detached": lambda ids, weight, words, padding: by_where(ids, weight.data, words, padding),
        "sent twice": lambda ids, weight, words, padding: reduce_from_group(
            by_where(ids, weight, words, padding) / dist.get_world_size()
        ),
    },
    "parallel_logits": {
        "no communication": lambda x, weight, words, cap: (cap * torch.tanh(x @ weight.T / cap)).masked_fill(
            torch.arange(len(weight)) >= own_words(words, len(weight))[1] - own_words(words, len(weight))[0], -torch.inf
        ),
        "no padding": lambda x, weight, words, cap: cap * torch.tanh(copy_to_group(x) @ weight.T / cap),
        "no cap": lambda x, weight, words, cap: by_concatenation(x, weight, words, 1e9),
        "detached": lambda x, weight, words, cap: by_concatenation(x.detach(), weight, words, cap),
        "decoy": lambda x, weight, words, cap: by_concatenation(
            x.detach() + 0 * copy_to_group(x) + (x - x.detach()), weight, words, cap
        ),
        "plain all_reduce": lambda x, weight, words, cap: by_concatenation(
            plain_sum(x, None) / dist.get_world_size(), weight, words, cap
        ),
    },
    "parallel_cross_entropy": {
        "plain all_reduce": loss_with(lambda x: plain_sum(x, None)),
        "no communication": local_loss,
        "gathered": gathered_loss,
        "gathered without gradient": gathered_without_gradient,
        "float32": float32_loss,
        "z_weight forgotten": lambda logits, targets, words, z: loss_with(reduce_from_group)(
            logits, targets, words, 0.0
        ),
        "detached": lambda logits, targets, words, z: loss_with(reduce_from_group)(logits.detach(), targets, words, z),
        "functional sums": loss_with(lambda x: funcol.all_reduce(x, "sum", dist.group.WORLD)),
    },
    "sample_word": {
        "no communication": lambda logits, noise, words: (
            own_scores(logits, noise, words)[0].argmax(1) + own_scores(logits, noise, words)[1]
        ),
        "gathered": gathered_draw,
        "rank 0": of_rank_0,
        "noise alone": luckiest,
        "greedy": lambda logits, noise, words: by_any(logits, 0 * noise, words),
        "float64": lambda logits, noise, words: by_any(logits, noise, words).double(),
        "int32": lambda logits, noise, words: by_any(logits, noise, words).int(),
        "no batch of one": lambda logits, noise, words: by_any(logits, noise, words).squeeze(),
    },
    "TiedWords": {
        "recomputed": model(recomputed),
        "no f": model(no_f),
        "detached head": model(detached_head),
        "unscaled": model(unscaled),
        "a seed of zero": model(tied_by(by_where, by_concatenation), seed=0),
        "plain all_reduce": model(tied_by(plain_embedding, by_concatenation)),
        "two f": model(tied_by(by_where, lambda x, *rest: by_concatenation(copy_to_group(x), *rest))),
    },
}

RIGHT = {
    "words_of_rank": {"ceil twice": by_ceil, "a loop": by_loop, "padding": by_padding},
    "embed_words": {"where": by_where, "one-hot": by_one_hot, "a row of zeros": by_padded_row},
    "parallel_logits": {"side by side": by_concatenation, "a bias of −∞": by_bias, "where": by_where_logits},
    "parallel_cross_entropy": {
        "masks": loss_with(reduce_from_group),
        "g by hand": loss_with(lambda x: SummedForward.apply(x, None)),
        "both sums at once, async": both_sums_at_once,
        "a Function": ByHand.apply,
        "of logarithms": of_logarithms,
        "functional g": loss_with(AllReduced.apply),
    },
    "sample_word": {
        "argmax, async": by_any,
        "the largest negative": by_negative_maximum,
        "early at one rank": early_at_one_rank,
        "functional": functional_draw,
    },
    "TiedWords": {
        "where, side by side": model(tied_by(by_where, by_concatenation)),
        "one-hot, a bias": model(tied_by(by_one_hot, by_bias)),
        "a row of zeros, where": model(tied_by(by_padded_row, by_where_logits)),
    },
}


# --- The unsharded computation -------------------------------------------------------------------------------------


def oracle_words(case: Case) -> dict:
    """Rows are counted up until all words fit; then the words are dealt one by one."""
    vocab_size, p, multiple = case.args
    rows = next(n for n in range(multiple, vocab_size + multiple + 1, multiple) if n * p >= vocab_size)
    owners = [word // rows for word in range(vocab_size)]
    firsts = [sum(owner < rank for owner in owners) for rank in range(p)]
    return {"forward": [[first, first + owners.count(rank), rows] for rank, first in enumerate(firsts)]}


def words_in_shards(shards: list[Tensor], vocab_size: int, dim: int) -> Tensor:
    return torch.cat(shards, dim).narrow(dim, 0, vocab_size)


def cut(dense: Tensor, rows: int, tp: int, dim: int) -> list[Tensor]:
    """Zeros fill the padding."""
    missing = rows * tp - dense.shape[dim]
    padding = [0, 0] * (dense.ndim - 1 - dim) + [0, missing]
    return list(F.pad(dense, padding).chunk(tp, dim))


def upstream_for(y: Tensor) -> Tensor:
    return torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(20_231))


def oracle_embed(case: Case) -> dict:
    ids, shards, vocab_size, padding_idx = case.args
    dense = words_in_shards(shards.values, vocab_size, 0).clone().requires_grad_()
    y = F.embedding(ids, dense, padding_idx)
    y.backward(upstream_for(y))
    gradients = cut(dense.grad, len(shards.values[0]), case.tp, 0)
    return {"forward": [y.detach()] * case.tp, "gradient": [[None, own, None, None] for own in gradients]}


def oracle_logits(case: Case) -> dict:
    inputs, upstream = case.args
    x, shards = inputs.values[0][0].clone().requires_grad_(), [own[1] for own in inputs.values]
    vocab_size, cap = inputs.values[0][2:]
    dense = words_in_shards(shards, vocab_size, 0).clone().requires_grad_()
    y = cap * torch.tanh(x @ dense.T / cap)
    y.backward(words_in_shards(upstream.values, vocab_size, 1))
    rows = len(shards[0])
    padded = torch.full((len(x), rows * case.tp), -torch.inf, dtype=x.dtype)
    padded[:, :vocab_size] = y.detach()
    return {
        "forward": list(padded.chunk(case.tp, 1)),
        "gradient": [[x.grad, own, None, None] for own in cut(dense.grad, rows, case.tp, 0)],
    }


def oracle_loss(case: Case) -> dict:
    shards, targets, vocab_size, z_weight = case.args
    dense = words_in_shards(shards.values, vocab_size, 1).clone().requires_grad_()
    loss = F.cross_entropy(dense, targets) + z_weight * torch.logsumexp(dense, 1).square().mean()
    loss.backward(upstream_for(loss))
    gradients = cut(dense.grad, shards.values[0].shape[1], case.tp, 1)
    return {"forward": [loss.detach()] * case.tp, "gradient": [[own, None, None, None] for own in gradients]}


def oracle_draw(case: Case) -> dict:
    shards, noise, vocab_size = case.args
    scores = words_in_shards(shards.values, vocab_size, 1) + noise
    smallest = [min(word for word, s in enumerate(row) if s == max(row)) for row in scores.tolist()]
    return {"forward": [torch.tensor(smallest)] * case.tp}


def oracle_tied(case: Case) -> dict:
    (vocab_size, width, cap), (ids,), upstream, seed = case.args
    torch.manual_seed(seed)
    dense = torch.randn(vocab_size, width, dtype=torch.float64)
    table = dense.clone().requires_grad_()
    y = cap * torch.tanh(width**0.5 * table[ids] @ table.T / cap)
    y.backward(words_in_shards(upstream.values, vocab_size, 1))
    rows = upstream.values[0].shape[1]
    padded = torch.full((len(ids), rows * case.tp), -torch.inf, dtype=torch.float64)
    padded[:, :vocab_size] = y.detach()
    gradients = [{"inputs": [None], "parameters": {"weight": own}} for own in cut(table.grad, rows, case.tp, 0)]
    weights = [{"weight": own} for own in cut(dense, rows, case.tp, 0)]
    return {"weights": weights, "forward": list(padded.chunk(case.tp, 1)), "gradient": gradients}


ORACLES = {
    "words_of_rank": oracle_words,
    "embed_words": oracle_embed,
    "parallel_logits": oracle_logits,
    "parallel_cross_entropy": oracle_loss,
    "sample_word": oracle_draw,
    "TiedWords": oracle_tied,
}
