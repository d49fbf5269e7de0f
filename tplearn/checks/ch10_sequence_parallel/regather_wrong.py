"""Wrong answers to exercise 10.6: what is kept, what is gathered and along which dim, what is added."""

from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tplearn.parallel import gather_from_group, gather_sequence
from tplearn.parallel.collectives import own_shard, plain_all_gather, plain_all_reduce, plain_reduce_scatter
from tplearn.parallel.place import Place


class _Regather(Function):
    """As the reference's, with one thing `wrong`."""

    @staticmethod
    def forward(ctx, x_shard: Tensor, weight_shard: Tensor, wrong: str) -> Tensor:  # noqa: ANN001
        x = _gathered(x_shard, wrong)
        ctx.save_for_backward(x_shard, weight_shard)
        ctx.wrong, ctx.kept = wrong, x if wrong == "a Function that keeps them" else None
        return F.linear(x, weight_shard)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        x_shard, weight_shard = ctx.saved_tensors
        place, partial = Place.of(), grad_output @ weight_shard  # [batch, seq, out/p] → [batch, seq, hidden]
        if ctx.kept is not None:
            x, grad = ctx.kept, grad_output
        elif ctx.wrong == "tokens in another order":
            x, grad = plain_all_gather(x_shard, 0, place), grad_output
        elif ctx.wrong in ("own tokens only", "own tokens, summed"):
            x, grad = x_shard, own_shard(grad_output, 1, place)
        else:
            x, grad = _gathered(x_shard, ctx.wrong), grad_output
        grad_weight = grad.flatten(0, 1).T @ x.flatten(0, 1)
        if ctx.wrong == "texts averaged":
            grad_weight = grad_weight / len(x)
        if ctx.wrong in ("weight gradient summed", "own tokens, summed"):
            grad_weight = plain_all_reduce(grad_weight, place)
        if ctx.wrong == "gradient of all tokens":
            return partial, grad_weight, None
        if ctx.wrong == "gradients exchanged":
            return grad_weight, _to_own_tokens(partial, ""), None
        if ctx.wrong == "weight gradient transposed":
            return _to_own_tokens(partial, ""), grad_weight.T, None
        return _to_own_tokens(partial, ctx.wrong), grad_weight, None


def _gathered(x_shard: Tensor, wrong: str = "") -> Tensor:
    place = Place.of()
    if place.world_size == 1:
        return x_shard
    if wrong == "blocks reshaped":
        batch, tokens, hidden = x_shard.shape
        return plain_all_gather(x_shard, 0, place).view(batch, tokens * place.world_size, hidden)
    return plain_all_gather(x_shard, 1, place)


def _to_own_tokens(partial: Tensor, wrong: str) -> Tensor:
    """[batch, seq, hidden] → [batch, seq/p, hidden]: the sum over the ranks, or what a mutant takes for it."""
    place = Place.of()
    if place.world_size == 1 or wrong == "own slice":
        return own_shard(partial, 1, place)
    if wrong == "all-reduce, then cut":
        return own_shard(plain_all_reduce(partial, place), 1, place)
    return plain_reduce_scatter(partial, 1, place) / (place.world_size if wrong == "averaged" else 1)


def wrong_linear(x_shard: Tensor, weight_shard: Tensor, wrong: str) -> Tensor:
    """A column-parallel layer on own tokens, with one thing `wrong`."""
    if wrong == "keeps the gathered tokens":
        return F.linear(gather_sequence(x_shard, dim=1), weight_shard)
    if wrong == "gathered as if used alike":
        return F.linear(gather_from_group(x_shard, dim=1), weight_shard)
    if wrong == "gathered along the batch":
        return F.linear(gather_sequence(x_shard, dim=0), weight_shard)
    if wrong == "no gradient through the gather":
        return F.linear(_gathered(x_shard.detach()), weight_shard)
    if wrong in ("checkpoint", "the product again"):
        layer = lambda x, weight: F.linear(gather_sequence(x, dim=1), weight)  # noqa: E731
        return checkpoint(layer, x_shard, weight_shard, use_reentrant=wrong != "checkpoint")
    return _Regather.apply(x_shard, weight_shard, wrong)
