"""What the wrong answers to exercise 17.3 show: means of sums, gradients that go nowhere, and no micro-batches."""

from functools import partial

from tplearn.checks.ch17_beyond_tp.pipeline_wrong import wrong_pipeline_step
from tplearn.checks.exercise import Mutant, mutants_of

MEAN = "the loss of a micro-batch: over m, before its backward."
BACK = "what goes back: x.grad, where x is what has arrived, with requires_grad_()."
ARRIVED = "y.backward(gradient): with the gradient that has arrived from the next stage."

MUTANTS = mutants_of(
    wrong_pipeline_step,
    (
        "not divided by m",
        "Your gradients are m times the right ones. A micro-batch's loss is a mean over its own rows. The mean over "
        "the batch is the sum of these means over m.",
        MEAN,
    ),
    (
        "nothing divided",
        "Loss and gradients are m times the right ones: you added up the means of the micro-batches. The mean over the "
        "batch is their sum over m.",
        MEAN,
    ),
    (
        "divided on the last stage alone",
        "The last stage's gradients are right, all others are m times too large: you divided after the gradients had "
        "gone back.",
        MEAN,
    ),
    (
        "divided on every stage",
        "You divided the loss by m, and the gradients again. What arrives has been divided already.",
        MEAN,
    ),
    (
        "divided by p",
        "You divided by the number of stages. The batch is a mean of m micro-batches, whatever the stages.",
        MEAN,
    ),
    (
        "last micro-batch alone",
        "Your gradients are the last micro-batch's: the others were thrown away. backward adds to parameter.grad.",
        "what happens to parameter.grad between two micro-batches: nothing may.",
    ),
    (
        "first micro-batch's input for all",
        "Every micro-batch of yours is the first one.",
        "which rows of the batch and of the targets a micro-batch has.",
    ),
    (
        "zeros sent back",
        "All stages but the last one got a gradient of zeros: what was sent back was not the gradient of what had "
        "arrived. A tensor that was received is a leaf, and collects a gradient only if it is told to.",
        BACK,
    ),
    (
        "ones instead of what arrived",
        "Your earlier stages back-propagate ones. What arrives from the next stage says how much each number of y "
        "counts.",
        ARRIVED,
    ),
    (
        "output's gradient passed on",
        "You sent back the gradient of this stage's output. The stage before wants that of *its* output, which is this "
        "stage's input.",
        BACK,
    ),
    (
        "backwards in another order",
        "Your stages do not agree on the order of the backwards: a gradient meets the output of another micro-batch. "
        "Messages between two ranks arrive in the order in which they were sent.",
        "the order of the second loop, the same on all stages.",
    ),
    (
        "one buffer",
        "You received every micro-batch into the same tensor. The graph of an earlier one still reads its input there, "
        "and finds the last one's.",
        "torch.empty: one for each micro-batch.",
    ),
    (
        "targets dealt out otherwise",
        "Your micro-batches have targets of other rows than their inputs.",
        "how batch and targets are cut: in the same way.",
    ),
    (
        "whole batch at once",
        "Your numbers are right, but the batch went through in one piece: one stage works at a time, and the others "
        "wait. That is a split of the layers, which adds memory and no speed.",
        "the loop over m micro-batches.",
    ),
    (
        "one after the other",
        "Your numbers are right, but a micro-batch starts when the one before is back: one stage works at a time. The "
        "forwards of the next ones are to run meanwhile.",
        "the two loops: forwards first. Or a warm-up, as in 1F1B.",
    ),
    (
        "loss sent to all",
        "Your numbers are right, but the loss was sent to all stages. Only the last one has to know it.",
        "what is sent beside activations and their gradients: nothing.",
    ),
    (
        "gradients summed over the pipeline",
        "You summed the gradients over the pipeline. Its ranks hold different layers: there is nothing to add up. "
        "Sums are for the dp group, whose ranks hold copies.",
        "the collective after the backwards.",
    ),
    (
        "gradients averaged over the pipeline",
        "You averaged the gradients over the pipeline. Its ranks hold different layers: a mean of their gradients is "
        "the gradient of none. Means are for the dp group, whose ranks hold copies.",
        "the collective after the backwards.",
    ),
    (
        "loss of the last micro-batch",
        "The loss that you return is the last micro-batch's. Due is the mean over the batch.",
        "the loss that you return.",
    ),
    (
        "losses summed",
        "The loss that you return is m times too large: it is a sum of the means of the micro-batches.",
        "the loss that you return.",
    ),
    (
        "loss divided twice",
        "The loss that you return is 1/m of the right one: it was divided by m twice.",
        "the loss that you return.",
    ),
    (
        "last stage alone trains",
        "The last stage has its gradients, and all others have none: nothing goes back.",
        "the second loop, on stages that have a next one.",
    ),
    (
        "first stage left out",
        "The first stage has no gradients. It has nobody to send one to, but layers to train.",
        "the second loop on rank 0.",
    ),
    (
        "middle stages left out",
        "The stages between the first and the last one pass gradients on without keeping any: torch.autograd.grad "
        "with respect to x alone.",
        "backward on every stage: it fills parameter.grad.",
    ),
)


def _alone(wrong: str, says: str, look_at: str) -> Mutant:
    return Mutant(wrong, partial(wrong_pipeline_step, wrong=wrong), says, look_at, alone=True)


MUTANTS += (
    _alone(
        "nobody sends back",
        "Gradients are waited for, and nobody sends one. What a stage's backward leaves in x.grad has to be sent "
        "to the stage before.",
        BACK,
    ),
    _alone(
        "no gradient asked for",
        "x.grad is None, and None cannot be sent. A tensor that was received is a leaf: it collects a gradient only "
        "after x.requires_grad_(), which has to come before stage(x).",
        BACK,
    ),
    _alone(
        "numbers of the world",
        "You counted the stages in the group, and named them to send and recv as if they were ranks of the world. In "
        "a pipeline of ranks 0 and 2, stage 1 is rank 2.",
        "group_dst and group_src, where you have dst and src.",
    ),
    _alone(
        "no group given",
        "You counted the stages in the group, and sent in the world. In a pipeline of ranks 1 and 3, stage 1 is rank "
        "3, and rank 1 is stage 0: it sent to itself.",
        "group=group, with group_dst and group_src.",
    ),
)
