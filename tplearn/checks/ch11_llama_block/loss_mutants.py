"""What the wrong answers to exercise 11.3 show: the shift, the ends of the texts, the mean, one loss for all."""

from tplearn.checks.ch11_llama_block.loss_wrong import wrong_loss
from tplearn.checks.exercise import mutants_of

ONE_LOSS = "the last line: vocab_parallel_cross_entropy returns the loss of all words already, on every rank."

MUTANTS = mutants_of(
    wrong_loss,
    (
        "averaged over the ranks",
        "The loss is right, and that is the trap: the mean of tp equal numbers. But the gradients went through the "
        "division, so all of them are divided by tp. The ranks have one loss, not tp of them.",
        "the last line. In data parallelism there are many losses; here all ranks have the same one.",
    ),
    (
        "divided by the ranks",
        "Loss and gradients are the right ones divided by tp. The ranks have one loss, and each of them knows it: "
        "there is nothing to divide.",
        ONE_LOSS,
    ),
    (
        "multiplied by the ranks",
        "Loss and gradients are tp times the right ones. The ranks have one loss, and each of them knows it: nothing "
        "is due but that.",
        ONE_LOSS,
    ),
    (
        "summed over the ranks",
        "You added the same loss up once for each rank: the value is tp times too large.",
        ONE_LOSS,
    ),
    (
        "not shifted",
        "Each position is asked for its own word, which it can see. Such a loss falls fast, and the model learns to "
        "copy. Position t predicts word t + 1.",
        "which logits meet which ids.",
    ),
    (
        "shifted the wrong way",
        "Each position is asked for the word before it. Position t predicts word t + 1: drop the last position of the "
        "logits, and the first word of the ids.",
        "which end of the logits and which end of the ids is cut off.",
    ),
    (
        "rolled",
        "You shifted the ids in a circle: the last position of a text that fills its row is asked for the first word, "
        "which nobody can know. It has no target.",
        "the last position: it must not be in the mean.",
    ),
    (
        "rolled with its mask",
        "You shifted the ids in a circle, and with them the mask of what counts: so the last position of every row is "
        "asked for the row's first word. It has no target.",
        "the last position: it must not be in the mean.",
    ),
    (
        "padding counted",
        "You counted what stands after the texts' ends. Text b has lengths[b] words; what fills its row up is no "
        "target, whatever its id.",
        "lengths, and the target -100, which the loss ignores.",
    ),
    (
        "padding as word 0",
        "You asked what stands after a text's end for word 0. That is a word as any other, and it is learnt. No "
        "target at all is due there.",
        "the target -100, which the loss ignores.",
    ),
    (
        "one target too many",
        "The last word of each text was asked for the first id of the padding. A text of n words has n − 1 targets: "
        "its words 1 to n − 1.",
        "the comparison of positions with lengths.",
    ),
    (
        "one target too many, in a circle",
        "The last word of each text was asked for what stands after it: the first id of the padding or, where the text "
        "fills its row, the first word. A text of n words has n − 1 targets: its words 1 to n − 1.",
        "lengths[b] − 1.",
    ),
    (
        "word 0 for padding",
        "You took word 0 for padding, and did not look at lengths. Word 0 is a word as any other where it stands in a "
        "text, and what fills up a row need not be 0.",
        "lengths: they say where a text ends.",
    ),
    (
        "one target too few",
        "The last word of each text is missing among the targets. A text of n words has n − 1 targets: its words 1 to "
        "n − 1.",
        "the comparison of positions with lengths.",
    ),
    (
        "left padding",
        "You looked for the words at the right end of each row. They stand at its left end: words 0 to lengths[b] − "
        "1, and then padding.",
        "the comparison of positions with lengths.",
    ),
    (
        "cut at the shortest",
        "You cut all texts at the length of the shortest. Each ends where lengths says.",
        "lengths: one number for each text.",
    ),
    (
        "mean over all positions",
        "The sum is right, but you divided by all positions, the padding included. The mean is over targets.",
        "the divisor: how many targets there are.",
    ),
    (
        "mean of the texts' means",
        "You took the mean of each text, and then the mean of the texts: a word of a short text then counts more. The "
        "mean is over all targets of the batch.",
        "the divisor: one sum, divided once.",
    ),
    (
        "mean of the longer texts' means",
        "You took the mean of each text that has targets, and then the mean of these: a word of a short text then "
        "counts more. The mean is over all targets of the batch.",
        "the divisor: one sum, divided once.",
    ),
    (
        "mean of no targets",
        "A text of one word has no target, and you divided its loss by their number: 0 / 0. The mean is over all "
        "targets of the batch.",
        "the divisor: one sum, divided once.",
    ),
    (
        "divided by the texts",
        "The sum is right, but you divided by the number of texts. The mean is over targets.",
        "the divisor: how many targets there are.",
    ),
    (
        "divided by all places",
        "You divided the sum by all places of the batch. The mean is over the targets alone.",
        "what the sum is divided by.",
    ),
    (
        "divided by the words",
        "The sum is right, but you divided by the number of words. A text of n words has n − 1 targets.",
        "the divisor: how many targets there are.",
    ),
    ("a sum", "You returned the sum of the losses. Their mean over all targets is due.", "the reduction."),
    (
        "mean over own targets",
        "Each rank averaged the losses of the targets among its own words, and you averaged the ranks. Ranks own "
        "different numbers of targets, so a rank with few of them counts too much.",
        "the mean: one over all targets. The parallel loss takes it already.",
    ),
    (
        "own words only",
        "Each rank took the softmax over its own words alone. A word competes with all words of the vocabulary: the "
        "maximum and the sum of exp go over the ranks.",
        "vocab_parallel_cross_entropy in place of F.cross_entropy.",
    ),
    (
        "logits gathered",
        "Loss and gradients are right. But all logits crossed the wire, [batch, seq, words], and are whole on every "
        "rank, where three numbers a token would do.",
        "the ledger: three small all_reduce are due, and no all_gather.",
    ),
    (
        "logits gathered, gradients added",
        "The loss is right. But you gathered the logits, and every rank then computed the same loss of all of them. "
        "The gather's backward adds up the ranks' gradients, which are equal: they count tp times.",
        "the logits stay where they are: vocab_parallel_cross_entropy takes own columns.",
    ),
    (
        "foreign words folded",
        "You took each target modulo the words of a rank, so that every rank finds all targets among its own words, "
        "and the softmax runs over those alone. A target belongs to one rank, and competes with all words.",
        "vocab_parallel_cross_entropy in place of F.cross_entropy.",
    ),
    (
        "text by text",
        "The loss is right, text by text: three messages for each text, where three for the whole batch will do.",
        "one call for all texts, with -100 where a text has ended.",
    ),
    (
        "f missing",
        "The loss is right. But the head is a column cut: each rank's words send back a partial of the gradient, and "
        "without f nobody adds them up. x and the norm get this rank's partial.",
        "copy_to_group, between the norm and the head.",
    ),
    (
        "f before the norm",
        "The loss and the gradient of x are right. But what flows back through the norm is still a partial, and so is "
        "the gradient of the norm's weight: every rank has another one.",
        "the order of norm and copy_to_group: f stands next to the head.",
    ),
    ("no norm", "The norm before the head is missing.", "what the head reads: norm(x, norm_weight)."),
)
