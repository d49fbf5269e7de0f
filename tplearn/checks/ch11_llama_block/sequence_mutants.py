"""What the wrong answers to exercise 11.4 show: what the norms see, how their gradients are summed, the collectives."""

from functools import partial

from tplearn.checks.ch11_llama_block.sequence_wrong import wrong_sp_block
from tplearn.checks.exercise import Mutant, mutants_of

OF_THE_BLOCK = mutants_of(
    wrong_sp_block,
    (
        "norm of gathered tokens",
        "All numbers are right. But a norm of yours sees the whole sequence: you gathered before it. So each rank does "
        "the norm of every token, and keeps it. Sequence parallelism is there to save just that.",
        "the order of norm and gather_sequence: norm own tokens, then gather.",
    ),
    (
        "along the batch",
        "You gathered and scattered along dim 0, the batch. The MLP does not mind, attention does: each text is cut "
        "into tp short ones that do not see each other.",
        "the dim of gather and scatter. In [batch, seq, hidden] the sequence is dim 1.",
    ),
    (
        "all-reduce, then cut",
        "The numbers are right. But an all-reduce brings every rank all tokens, and you keep your own and throw the "
        "rest away: twice the bytes of the reduce-scatter that is due.",
        "what stands behind a row cut: reduce_scatter_sequence, in place of an all-reduce and a slice.",
    ),
    (
        "f on every weight",
        "All weights went through f. Only the norms' weights are the same on every rank. The others are shards, each "
        "rank has rows of its own, and their gradients may not be added.",
        "copy_to_group: for norm_1 and norm_2 alone.",
    ),
    (
        "not summed",
        "Result and gradient of x_shard are right. But each copy of a norm's weight has met its own tokens only, and "
        "its gradient is a partial. After one step the copies differ (NVIDIA/Megatron-LM#1446).",
        "the two norms' weights: what goes into every rank's own computation passes through f.",
    ),
    (
        "one norm summed",
        "The gradient of norm_2 is a partial: it met this rank's tokens only, and nobody summed it. norm_1's is right.",
        "both weights, through f together.",
    ),
    (
        "a message for each norm",
        "All numbers are right. But the two norms are summed in two messages, where one of twice the length is due. A "
        "model of 80 layers has 161 norms; small messages cost their latency, not their bytes.",
        "torch.stack both weights, and pass them through copy_to_group once.",
    ),
    (
        "averaged",
        "The norms' gradients are the right ones divided by tp. All ranks work on one loss, each on its own tokens: "
        "the partials are added, not averaged.",
        "the reduce op, or a division.",
    ),
    (
        "summed forward",
        "You summed the norms' weights forward, where they are the same on every rank, and their gradients not at all.",
        "copy_to_group sums in the backward pass, reduce_from_group in the forward pass.",
    ),
    (
        "norms exchanged",
        "The norms are exchanged: norm_1 belongs to attention, norm_2 to the MLP.",
        "which weight goes where.",
    ),
    (
        "whole block of 11.2",
        "You gathered the sequence at the start, ran a block of tensor parallelism on all tokens, and cut its result. "
        "Norms and residuals then run on every token on every rank.",
        "x_shard stays as it is; gather only what a column cut reads, and reduce-scatter what a row cut gives.",
    ),
    (
        "second norm reads x",
        "Your MLP reads norm(x_shard), as attention does. It must read the norm of what attention and the first "
        "residual have made of it.",
        "the input of the second norm.",
    ),
    (
        "second residual is x",
        "The second residual adds x_shard, so attention's result reaches the end through the MLP only.",
        "the second residual.",
    ),
)

OF_A_HALF = mutants_of(
    wrong_sp_block,
)


def _only(mutant: Mutant, half: str) -> Mutant:
    answer = partial(wrong_sp_block, wrong=mutant.name, only=half)
    return Mutant(f"{mutant.name}, in {half}", answer, f"In {half}: {mutant.says}", mutant.look_at)


IN_ONE = tuple(_only(mutant, half) for half in ("attention", "the MLP") for mutant in OF_A_HALF)
MUTANTS = (*OF_A_HALF, *OF_THE_BLOCK, *IN_ONE)

OF_A_HALF = mutants_of(
    wrong_sp_block,
    (
        "used alike",
        "The result is right, the gradients are not: your gather's backward takes this rank's own slice of its own "
        "gradient. Each rank used the gathered tokens for other heads and columns, so the gradients are partials, and "
        "a reduce-scatter is due.",
        "gather_from_group or gather_sequence: their backward passes differ.",
    ),
    (
        "f as well",
        "The result is right. But what comes back from the gather, finished for own tokens, is summed over the ranks "
        "once more, over different tokens.",
        "copy_to_group belongs to the norms' weights alone: gather_sequence stands in f's place.",
    ),
    (
        "no gradient through the gather",
        "The result is right, but no gradient comes back through the gather: the norms learn nothing, and x_shard "
        "gets the residual's gradient alone.",
        "gather_sequence, whose backward is a reduce-scatter.",
    ),
    (
        "no gradient through the scatter",
        "The result is right, but no gradient comes back through the reduce-scatter: the weights of attention and MLP "
        "learn nothing.",
        "reduce_scatter_sequence, whose backward is an all-gather.",
    ),
    (
        "all-reduce, then a slice",
        "The result is right. But a slice hands back zeros for the other ranks' tokens, and nothing is sent for them: "
        "each rank's heads and columns learn from its own tokens only.",
        "the way from all tokens to own tokens: reduce_scatter_sequence, whose backward is an all-gather.",
    ),
    (
        "own slice of the own partial",
        "Each rank kept its tokens of its own partial. What the other ranks' heads and columns have to say about them "
        "is missing.",
        "the way from all tokens to own tokens: reduce_scatter_sequence.",
    ),
    (
        "scatter for reduce-scatter",
        "scatter_to_group takes what is the same on every rank. A row cut gives a partial, another one on every rank: "
        "the sum is missing.",
        "reduce_scatter_sequence.",
    ),
    ("partials averaged", "What each half adds is divided by p. Partials are added up, not averaged.", "the division."),
    (
        "tokens not gathered",
        "You ran the block of 11.2 on own tokens: f and g. Each rank's heads or columns then see only this rank's "
        "tokens, and the all-reduce adds up partials of different tokens.",
        "what stands between the norm and the column cut: every head and every column needs every token.",
    ),
    (
        "nothing sent",
        "Each rank ran its own heads and columns on its own tokens, and nothing was sent between them.",
        "an all-gather before each column cut, a reduce-scatter after each row cut.",
    ),
    (
        "residual before the reduce",
        "You added the residual, gathered, to the partial. The reduce-scatter counts it once for each rank: the "
        "result holds tp residuals.",
        "the residual stays what it is: own tokens, added after the reduce-scatter.",
    ),
    (
        "no residuals",
        "The residuals are missing. Each half adds to the stream: its input plus its result.",
        "both halves' last step.",
    ),
)


def _only(mutant: Mutant, half: str) -> Mutant:
    answer = partial(wrong_sp_block, wrong=mutant.name, only=half)
    return Mutant(f"{mutant.name}, in {half}", answer, f"In {half}: {mutant.says}", mutant.look_at)


IN_ONE = tuple(_only(mutant, half) for half in ("attention", "the MLP") for mutant in OF_A_HALF)
MUTANTS = (*OF_A_HALF, *OF_THE_BLOCK, *IN_ONE)
