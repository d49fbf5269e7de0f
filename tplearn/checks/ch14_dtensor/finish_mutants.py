"""What the wrong answers to exercise 14.6 show: sums and means over the wrong ranks, and messages too many."""

from tplearn.checks.ch14_dtensor.finish_wrong import wrong_finish
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_finish,
    (
        "every gradient over tp",
        "You summed every gradient over the tp ranks. Of a cut weight each of them has another shard, and sums of "
        "different shards mean nothing; of a copy that has met the same numbers everywhere, each has all of the "
        "gradient already. Only partials are summands.",
        "gradient.placements[0].is_partial().",
    ),
    (
        "replicated ones over tp too",
        "You summed the gradients that are replicated as well as the partials. R is finished: every tp rank has all of "
        "it, and the sum counts it tp times.",
        "gradient.placements[0].is_partial(). The plain tensor and the embedding's gradient are R.",
    ),
    (
        "the plain one over tp too",
        "You took the plain gradient for a partial. No plan speaks of that parameter: its copies have met the same "
        "numbers on all tp ranks, and the sum counts them tp times.",
        "what is summed over tp: DTensors whose placement is Partial.",
    ),
    (
        "averaged over tp",
        "You divided the partials' sum by tp. All tp ranks work on one loss: a partial is a summand of its gradient. "
        "The mean is taken over dp, where each row has a loss of its own.",
        "the division: by the size of dp.",
    ),
    (
        "mean over all ranks",
        "You divided by the number of all ranks. The losses that are averaged are those of the dp rows.",
        "the division: by the size of dp.",
    ),
    (
        "partials by all ranks, then the mean",
        "You divided the partials' sum by the number of all ranks, and then came the mean over dp. Over tp nothing is "
        "divided; over dp, once.",
        "the divisions: one, by the size of dp.",
    ),
    (
        "dp divided by tp",
        "You divided by the size of tp where the mean over dp is taken. There are as many losses as rows, dp.",
        "the division: by the size of dp.",
    ),
    (
        "all over all ranks",
        "You summed every gradient over all ranks. Over tp only partials are summands; shards are different things, "
        "and what is whole would count tp times.",
        "mesh.get_group('dp') and mesh.get_group('tp').",
    ),
    (
        "partials left",
        "The norms' gradients are still partials. AdamW and the clipping sum them when they look at them, each time "
        "anew, and the mean over dp was that of summands.",
        "what happens over tp, before dp.",
    ),
    (
        "placements changed alone",
        "You renamed partials to replicated, and nobody has added them up: each tp rank has another norm now.",
        "one all_reduce over tp.",
    ),
    (
        "still called partials",
        "The numbers are right, and the name is not: these gradients still say that they are partials. Whoever looks "
        "at them next sums them once more, and gets tp times as much.",
        "p.grad = DTensor.from_local(…, mesh['tp'], p.placements).",
    ),
    (
        "partials one by one",
        "Right, and a message for each partial over tp. All of them together are one.",
        "torch.cat before, split after.",
    ),
    (
        "means one by one",
        "Right, and a message for each gradient over dp. All of them together are one.",
        "torch.cat before, split after.",
    ),
    (
        "words left whole",
        "The embedding is cut, and its gradient is not: it is whole on every rank, R where S(0) is due, and whole it "
        "went over dp.",
        "p.grad.redistribute(placements=p.placements), before dp. It sends nothing: each rank keeps its own rows.",
    ),
    (
        "rows by the world",
        "You cut the embedding's gradient by the number of all ranks, or by a rank's number among all. Each row of the "
        "mesh has all of it, and each of the row's tp ranks keeps a tp-th.",
        "mesh['tp'].size() and mesh.get_local_rank('tp'), or redistribute, which knows both.",
    ),
    (
        "full tensors",
        "You put whole, plain tensors in the place of gradients: full_tensor() sends every shard to every rank, and "
        "the optimizer wants a gradient that is cut as its parameter is.",
        "what is assigned to p.grad: a DTensor, with p.placements.",
    ),
    (
        "no mean over dp",
        "Nothing went over dp: each row has the gradients of its own batch, and after the first step a model of its "
        "own.",
        "the mean over mesh.get_group('dp').",
    ),
    (
        "summed over dp",
        "You summed over dp. Each row's loss is the mean over its own batch, and so the gradients' mean is due "
        "(chapter 13).",
        "the division by the size of dp.",
    ),
    (
        "partials alone",
        "Only the gradients that were partials went over dp. Each row has another batch, so every gradient must.",
        "what is in the message over dp.",
    ),
    (
        "cut ones not over dp",
        "The cut weights' gradients did not go over dp. Over tp their shards are different things; over dp they are "
        "gradients of the same shard, from different batches.",
        "what is in the message over dp: everything.",
    ),
    (
        "DTensors alone",
        "The plain gradient did not go over dp. It has no placements, and each row has another batch all the same.",
        "what is in the message over dp: everything.",
    ),
    (
        "dp and tp swapped",
        "The means went over tp. Rows of a dp × tp mesh are tp groups; the ranks with the same shard and other batches "
        "are in a column, the dp group.",
        "the group of the second message.",
    ),
    (
        "zeros for nothing",
        "You gave a gradient of zeros to a parameter that has none. AdamW skips what has none, and decays the weight "
        "of what has zeros.",
        "p.grad is None.",
    ),
)
