"""What the wrong answers to exercise 10.2 show: gathers, sums, the mask of other tokens, where the residual joins."""

from tplearn.checks.ch10_sequence_parallel.mlp_wrong import wrong_half
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_half,
    (
        "used alike",
        "The result is right, the gradient of x_shard is not: your gather hands back this rank's own slice of its own "
        "gradient. But each rank used the gathered tokens for its own columns, so every rank holds a partial of that "
        "gradient, and they must be added: a reduce-scatter.",
        "gather_from_group or gather_sequence: their backward passes differ.",
    ),
    (
        "f before the gather",
        "The result is right. But the gradient of x_shard is summed over the ranks once more, after the gather's own "
        "reduce-scatter: these are different tokens on each rank, and nothing may be added.",
        "copy_to_group: gather_sequence needs no f.",
    ),
    (
        "no gradient through the gather",
        "The result is right, and x_shard gets the residual's gradient alone: nothing flows back through the gather. "
        "A collective outside autograd brings a new tensor that knows nothing of x_shard.",
        "gather_sequence, whose backward is a reduce-scatter.",
    ),
    (
        "no gradient through the scatter",
        "The result is right, but the gradient ends at the reduce-scatter: both weights get none. A collective "
        "outside autograd brings a new tensor that knows nothing of the partials.",
        "reduce_scatter_sequence, whose backward is an all-gather.",
    ),
    (
        "along the batch",
        "You gathered along dim 0, the batch, and scattered along another dim: the tokens of one text now stand there "
        "as p texts, and the shapes do not come out.",
        "the dim of the all-gather. In [batch, seq, hidden] the sequence is dim 1.",
    ),
    (
        "tokens not gathered",
        "You ran f and g on own tokens: the all-reduce adds up partials of different tokens, one for each rank.",
        "what comes before the column cut: every rank's columns need every token.",
    ),
    (
        "nothing sent forward",
        "Each rank ran its own columns on its own tokens, and kept what came out. Of these tokens the other ranks' "
        "columns are missing.",
        "the two collectives: an all-gather before the column cut, a reduce-scatter after the row cut.",
    ),
    (
        "own slice of the own partial",
        "Each rank kept its tokens of its own partial. The other ranks' partials of these tokens are missing.",
        "how the result gets from [batch, seq, hidden] to [batch, seq/p, hidden].",
    ),
    (
        "scatter for reduce-scatter",
        "scatter_to_group takes what is the same on every rank and keeps a slice of it. What a row cut gives is a "
        "partial, another one on every rank: the sum is missing.",
        "reduce_scatter_sequence.",
    ),
    (
        "scattered along hidden",
        "You scattered along the last dimension: each rank has all tokens and some numbers of each. Own tokens, "
        "whole, are due.",
        "the dim of the reduce-scatter. It must be that of the all-gather.",
    ),
    (
        "all-reduce, then cut",
        "The numbers are right, the traffic is not: you summed everything on every rank and threw most of it away. An "
        "all-reduce is a reduce-scatter and an all-gather; the second half was not needed.",
        "the ledger due is one all_gather and one reduce_scatter forward, and the same backward.",
    ),
    (
        "all-reduce, then a slice",
        "The result is right. But a slice hands back zeros for the other ranks' tokens, and the all-reduce's backward "
        "sends nothing: each rank's columns learn from its own tokens only.",
        "the way from [batch, seq, hidden] to own tokens: reduce_scatter_sequence, whose backward is an all-gather.",
    ),
    (
        "averaged",
        "What the MLP adds is divided by p. The partials of a row cut are added up, not averaged.",
        "the reduce-scatter: its op, or a division by the number of ranks.",
    ),
    (
        "the first rank's mask",
        "Every rank used the mask of the first tokens. Rank r's tokens begin at r · seq/p, and so do their rows of "
        "keep.",
        "the slice of keep: it begins at rank · seq/p.",
    ),
    (
        "mask dealt out",
        "You took every p-th row of keep. Own tokens are one run of the sequence, and so is their mask.",
        "the slice of keep: from rank · seq/p up to (rank + 1) · seq/p.",
    ),
    (
        "whole mask",
        "keep has a row for every token of the sequence, and it met own tokens only.",
        "which rows of keep belong to this rank's tokens.",
    ),
    (
        "a mask of its own",
        "You drew a mask. The dense model's is given: keep says which numbers stay. Ranks that draw for themselves "
        "drop other numbers than the dense model does, and with equal seeds the same ones on every rank.",
        "own rows of keep, in place of F.dropout.",
    ),
    (
        "mask upside down",
        "You dropped what keep marks. It is True where a number stays.",
        "y * keep, not y * ~keep.",
    ),
    (
        "not scaled",
        "You dropped a quarter of the numbers and left the others as they are. Dropout divides what stays by 0.75, so "
        "that the mean does not change.",
        "the division by 0.75.",
    ),
    (
        "residual before the sum",
        "Your result holds p times x: the residual was added to every rank's partial, and the reduce-scatter added "
        "them.",
        "where the residual joins: after the reduce-scatter, own tokens to own tokens.",
    ),
    (
        "residual dropped out too",
        "The mask hit the residual as well. Only what the MLP adds is dropped out; x goes on as it is.",
        "the order: reduce-scatter, dropout, and then the residual.",
    ),
    ("no residual", "The residual is missing: the half returns x_shard plus what the MLP adds.", "the last line."),
    (
        "no dropout",
        "keep was not used: dropout is part of this half layer.",
        "own rows of keep, on what the reduce-scatter brings.",
    ),
    (
        "multiplied",
        "You multiplied what stays by 0.75. Dropout divides by it: a quarter is gone, and the rest makes up for it.",
        "the factor after the mask: 1 / (1 − rate).",
    ),
    (
        "divided by 0.25",
        "You divided what stays by 0.25, the share that is dropped. It is divided by the share that stays: 0.75.",
        "y * keep / 0.75.",
    ),
    (
        "tensor parallel in between",
        "The numbers are right. But you gathered the sequence and ran the half layer of tensor parallelism on it, "
        "residual and dropout on all tokens, with f and g: more bytes, and p times the work outside the cut.",
        "gather only what the column cut reads, and let the row cut end in a reduce-scatter.",
    ),
)
