"""What goes wrong with exercise 10.6: tokens that stay in memory, partials that are not added, products too many."""

from tplearn.checks.ch10_sequence_parallel.regather_wrong import wrong_linear
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_linear,
    (
        "keeps the gathered tokens",
        "Numbers and gradients are right, but the gathered tokens, [batch, seq, hidden], stay in memory until the "
        "backward pass: p times your shard. That is sbh(4 + 30/t) for a layer, not 34/t.",
        "what is still referred to after the forward pass. Save x_shard, and gather it again in backward.",
    ),
    (
        "a Function that keeps them",
        "Numbers and gradients are right, but your Function holds on to the gathered tokens, [batch, seq, hidden], "
        "until the backward pass: p times your shard. That is sbh(4 + 30/t) for a layer, not 34/t.",
        "what ctx refers to: x_shard and weight_shard are enough. Gather again in backward.",
    ),
    (
        "checkpoint",
        "Numbers, gradients, memory and traffic are right, but the backward pass is not yours: no autograd Function "
        "of your own is in the graph. torch.utils.checkpoint, for example, gathers again without one. Here you "
        "write that backward pass.",
        "a Function with forward and backward, and its apply in regather_linear.",
    ),
    (
        "the product again",
        "Numbers, gradients and memory are right. But the backward pass computes x · weightᵀ once more, and nobody "
        "needs that result: 4 products where 3 are due. That is what checkpoint does with use_reentrant=True.",
        "the backward pass: gather again, and compute the two gradients from it.",
    ),
    (
        "tokens in another order",
        "For the weight's gradient you gathered along dim 0. The tokens then come rank by rank, and those of the "
        "gradient text by text: row i of one does not belong to row i of the other.",
        "the dim of the gather in backward: 1, as in forward.",
    ),
    (
        "texts averaged",
        "Your weight gradient is the mean over the texts of the batch. Each text adds its share: sum over all rows.",
        "what becomes of the batch dimension in the weight's gradient.",
    ),
    (
        "own tokens, summed",
        "You took the weight's gradient from own tokens and summed it over the ranks, as for a norm. But each rank has "
        "other rows of the weight: what the ranks add up belongs to different parameters.",
        "own rows need every token: gather x again, and add nothing up.",
    ),
    (
        "own tokens only",
        "The weight's gradient comes from this rank's tokens alone. The rows of this weight are on this rank and "
        "nowhere else, and they met every token: the gradient needs all of them.",
        "the backward pass: gather x_shard again before it meets grad_output.",
    ),
    (
        "own slice",
        "The gradient of x_shard is a slice of this rank's partial. Each rank used these tokens for its own "
        "outputs, so each holds a partial of their gradient, and the sum over the ranks is due.",
        "the way from [batch, seq, hidden] to [batch, seq/p, hidden] in backward: a reduce-scatter.",
    ),
    (
        "averaged",
        "The gradient of x_shard is divided by p. The ranks hold partials of one gradient, one for each rank's "
        "outputs: they are added, not averaged.",
        "the reduce-scatter in backward: its op, or a division after it.",
    ),
    (
        "gradient of all tokens",
        "Your backward pass returns a gradient for all tokens, and x_shard has this rank's only. What "
        "grad_output @ weight_shard gives is a partial for every token of the sequence.",
        "the last step for x: a reduce-scatter along the sequence.",
    ),
    (
        "all-reduce, then cut",
        "The numbers are right, the traffic is not: an all-reduce sends every rank the gradients of all tokens, "
        "and you keep your own. A reduce-scatter does it with half the bytes.",
        "the ledger due is one all_gather forward, and one all_gather and one reduce_scatter backward.",
    ),
    (
        "weight gradient summed",
        "You summed the weight's gradient over the ranks. weight_shard is a shard: each rank has other rows, and "
        "its gradient is finished when all tokens are in it.",
        "which of the two gradients is a partial: that of the tokens.",
    ),
    (
        "gathered as if used alike",
        "The result is right. But your gather hands back this rank's own slice of its own gradient, as if all ranks "
        "had used the tokens alike. Each used them for its own outputs: the gradients are partials. And the "
        "gathered tokens stay in memory.",
        "gather_from_group is the wrong gather here, and a Function of your own is asked for.",
    ),
    (
        "no gradient through the gather",
        "The result is right, and no gradient reaches x_shard: the collective ran outside autograd. What it brought "
        "is a new tensor that knows nothing of x_shard.",
        "a Function whose backward returns the gradient of x_shard.",
    ),
    (
        "gathered along the batch",
        "You gathered along dim 0: the result has p times the batch, and each text a p-th of its tokens.",
        "the dim of the all-gather. In [batch, seq, hidden] the sequence is dim 1.",
    ),
    (
        "blocks reshaped",
        "The tokens are mixed up: the gathered shards lie one after the other, [p, batch, seq/p, hidden], and you "
        "took that memory for [batch, seq, hidden]. With one text both are the same.",
        "the way from p shards to one sequence: join them along dim 1.",
    ),
    (
        "gradients exchanged",
        "Your backward pass returns its gradients in another order than forward takes its arguments.",
        "the return of backward: x_shard's gradient first, weight_shard's second.",
    ),
    (
        "weight gradient transposed",
        "Your gradient of the weight is transposed: it must have the weight's shape, [out/p, hidden].",
        "gradᵀ · x, not xᵀ · grad.",
    ),
)
