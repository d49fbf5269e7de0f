"""Mutants of exercise 09.4: terms of the loss, where all that crosses the ranks is right."""

from tplearn.checks.ch09_vocabulary import cross_entropy as step
from tplearn.checks.ch09_vocabulary.cross_entropy import Loss
from tplearn.checks.exercise import Mutant

TERMS = (
    Mutant(
        "z-loss of the shifted sum",
        Loss(finish=lambda at: (at.entropy + at.z_weight * at.log_total.square()).mean()),
        "Your z-loss squares the logarithm of Σ exp(z − m). In the cross-entropy m cancels; in log Z it does not: log "
        "Z = m + log Σ exp(z − m).",
        "what is squared: m is missing.",
    ),
    Mutant(
        "no gradient through log Z",
        Loss(total=lambda own: step.reduce_from_group(own.detach())),
        "The loss is right, and nothing comes back through log Z: what is left is the gradient of the target's logit. "
        "Only the maximum may be detached, because it cancels; the sum of exponentials does not.",
        "the sum of exponentials: no detach(), no no_grad.",
    ),
    Mutant(
        "gradient through the owner's maximum",
        step.owners_maximum,
        "The loss is right, and its gradient is wrong at the largest logits. Their owner kept the graph of the "
        "maximum, and what comes back to it is this rank's part of something that cancels over all words. The loss "
        "does not depend on what is subtracted: no rank may keep the graph.",
        "the maximum: take it of logits_shard.detach().",
    ),
    Mutant(
        "no gradient of the z-loss",
        Loss(finish=lambda at: (at.entropy + at.z_weight * at.log_z.detach().square()).mean()),
        "The loss is right, and its gradient is that of the cross-entropy alone. The z-loss has one too: each "
        "probability times 2 · z_weight · log Z.",
        "what comes back through z_weight · log² Z.",
    ),
    Mutant(
        "z-loss not squared",
        Loss(finish=lambda at: (at.entropy + at.z_weight * at.log_z).mean()),
        "You added z_weight · log Z. It is the square of log Z.",
        "the z-loss.",
    ),
    Mutant(
        "square of the mean",
        Loss(finish=lambda at: at.entropy.mean() + at.z_weight * at.log_z.mean().square()),
        "You squared the mean of log Z. The mean is taken last, over the squares.",
        "the order of square and mean.",
    ),
    Mutant(
        "no z-loss",
        Loss(finish=lambda at: at.entropy.mean()),
        "Your loss is the cross-entropy alone: z_weight · log² Z is missing.",
        "z_weight.",
    ),
    Mutant(
        "maximum on one side only",
        Loss(finish=step.unshifted_target),
        "You subtracted the maximum in the exponentials, and the target's logit is as it was: the loss is off by the "
        "maximum. Subtract it from both, or add it again to the logarithm.",
        "the two terms of the loss: both with m, or both without.",
    ),
    Mutant(
        "maximum subtracted on every rank",
        Loss(finish=lambda at: step.finish(at._replace(of_target=at.of_target - (step.ranks() - 1) * at.largest))),
        "Every rank subtracted the maximum from what it brings to the target's logit, also where it brings 0. The sum "
        "over the ranks then lacks it tp times, where once is due.",
        "the target's logit: subtract the maximum on its owner, or after the sum.",
    ),
    Mutant(
        "sum over the tokens",
        Loss(finish=lambda at: step.finish(at) * len(at.log_total)),
        "Your loss is the sum over the tokens. The mean is due.",
        "the end: mean().",
    ),
    Mutant(
        "losses averaged at the end",
        Loss(finish=lambda at: step.mean(step.finish(at))),
        "The loss is right, and its gradient is divided by tp. Every rank has the whole loss: there is nothing left to "
        "average, and what comes back through the division is too small.",
        "the end: no sum, no division.",
    ),
    Mutant(
        "losses added at the end",
        Loss(finish=lambda at: step.reduce_from_group(step.finish(at))),
        "Your loss is tp times too large: every rank has the whole loss, and you added them up.",
        "the end: no sum.",
    ),
    Mutant(
        "divided by tp",
        Loss(finish=lambda at: step.finish(at) / step.ranks()),
        "Your loss is the right one divided by tp. Every rank has the whole loss: there is nothing left to average.",
        "the end.",
    ),
)
