"""What the wrong answers to exercise 13.3 show: means of means, the wrong group, partials, parameters left out."""

from tplearn.checks.ch13_train_on_a_mesh.mean_wrong import wrong_mean_over_dp
from tplearn.checks.exercise import mutants_of

WEIGHT = "the factor of a row: its targets, over the targets of all rows."
SYNC = "sync_gradients(model), once, before or after the mean."

MUTANTS = mutants_of(
    wrong_mean_over_dp,
    (
        "plain mean",
        "You took the plain mean over dp. That is right where all rows have as many targets. A row's loss is the mean "
        "over its own targets: those of a short row then count more than those of a long one, and the mean of means "
        "is not the dense batch's mean.",
        WEIGHT,
    ),
    (
        "plain sum",
        "You added the rows' gradients up. Each is the gradient of a mean, so the sum is about dp times too large. "
        "AdamW hides it well: it divides by the gradient's size, and only clipping and eps notice.",
        WEIGHT,
    ),
    (
        "weighed for DDP",
        "Your gradients are dp times the right ones. The factor targets · dp / total is the recipe for DDP, which "
        "divides by dp itself. An all_reduce does not.",
        WEIGHT,
    ),
    (
        "sum of means over all targets",
        "You added up the rows' gradients and divided by the number of targets. A row's gradient is a mean already: "
        "it has to be weighed by its targets first.",
        WEIGHT,
    ),
    (
        "sum by targets",
        "You weighed each row by its targets, added up, and did not divide: this is the gradient of the summed loss.",
        "the division by the targets of all rows.",
    ),
    (
        "own targets",
        "You weighed each row by its targets, added up, and divided by this row's own targets. The rows find different "
        "gradients then, and their copies drift apart.",
        "the divisor: the targets of all rows, one number for all of them.",
    ),
    (
        "own targets times dp",
        "You weighed each row by its targets, added up, and divided by dp times this row's own. That is right where "
        "all rows have as many; else the rows find different gradients, and their copies drift apart.",
        "the divisor: the targets of all rows, one number for all of them.",
    ),
    (
        "divided by all ranks",
        "You divided by the number of all ranks. Only the dp ranks of a group were added up: on a mesh with tp = 2 "
        "your gradients are half of what they should be.",
        WEIGHT,
    ),
    (
        "targets of all ranks",
        "Your gradients are 1/tp of the right ones: the targets were added up over all ranks, and the tp ranks of a "
        "row all count the same ones.",
        "the group of the sum of targets: dp.",
    ),
    (
        "divided by dp as well",
        "You weighed each row by its share of the targets, and divided by dp too. The shares add up to 1 already.",
        WEIGHT,
    ),
    (
        "shares the other way",
        "Rows with few targets count most in your mean. A row counts in proportion to its targets.",
        WEIGHT,
    ),
    (
        "over the world",
        "You added up over all ranks. Ranks beside each other in a row hold different shards, of other parameters of "
        "the model: a sum of them is no gradient of anything.",
        'the group: mesh.get_group("dp").',
    ),
    (
        "over tp",
        "You added up over the tp group. Its ranks hold different shards for the same data; the copies that saw other "
        "data are in the dp group.",
        'the group: mesh.get_group("dp").',
    ),
    (
        "row 0's for all",
        "Every row has row 0's gradients: they were broadcast. What the other rows have learnt is lost.",
        "the collective: a sum.",
    ),
    (
        "partials left over tp",
        "Partials over tp are still partials: the norm's weight, which met other tokens on each rank of a row, and the "
        "KV heads that several ranks hold.",
        SYNC,
    ),
    (
        "partials alone",
        "You summed the partials over tp, and nothing over dp. Each row goes on with the gradients of its own data, "
        "and the copies drift apart, while every loss still falls.",
        'a sum over mesh.get_group("dp").',
    ),
    (
        "nothing done",
        "The gradients are as backward left them.",
        'a sum over mesh.get_group("dp"), and sync_gradients(model).',
    ),
    (
        "never written back",
        "The sums over dp were made, but no gradient has changed: they are in other tensors. parameter.grad must be "
        "written to.",
        "parameter.grad.copy_(...), or parameter.grad = ....",
    ),
    (
        "all summed over tp",
        "You summed every gradient over tp. Shards are different parameters, and most copies hold the same gradient "
        "already: only partials may be summed. sync_gradients knows which these are.",
        SYNC,
    ),
    (
        "vectors summed over tp",
        "You summed the vectors over tp and nothing else. The norm's weight is a partial, but so are the KV heads that "
        "several ranks of a row share; and the bias of score is not: all ranks have its gradient already.",
        SYNC,
    ),
    (
        "partials averaged",
        "You averaged the partials over tp. They are summands of one gradient: the norm's weight has tp times this.",
        SYNC,
    ),
    (
        "norms alone",
        "Only the vectors (norm, bias) were averaged over dp. Matrices are copied over dp as well: everything is.",
        "the loop over parameters.",
    ),
    (
        "matrices alone",
        "Only the matrices were averaged over dp. The norm's weight and the bias saw other data on each row, too.",
        "the loop over parameters.",
    ),
    (
        "plain module left out",
        "The parameters of the ordinary module, score, were not averaged. Over dp all parameters are copies, whether "
        "or not they are cut over tp.",
        "the loop over parameters: model.parameters().",
    ),
    (
        "weights averaged",
        "You averaged the weights. They are equal on all rows already; it is the gradients that differ.",
        "parameter.grad.",
    ),
    (
        "by gathering",
        "Your gradients are right, at a higher price: every rank got the whole gradients of all rows, (p − 1) · n "
        "bytes, where an all-reduce sends 2 · (p − 1)/p · n.",
        "the collective: all_reduce.",
    ),
)
