"""Mutants of exercise 08.3: what is sent, and what is not."""

from tplearn.checks.ch08_attention import attention as step
from tplearn.checks.ch08_attention.attention import Steps
from tplearn.checks.exercise import Mutant
from tplearn.parallel import copy_to_group

SENT = (
    Mutant(
        "f missing",
        Steps(project=step.project_some(False, False, False)),
        "Your forward is right and your gradient of x is not: it holds what this rank's heads send back, and no more. "
        "Every head reads all of x, so dx is a sum over ranks. copy_to_group makes that sum on the way back.",
        "what x passes through before the projection.",
    ),
    Mutant(
        "f for the queries only",
        Steps(project=step.project_some(True, False, False)),
        "The gradient that comes back through q is summed over ranks, what comes through k and v is not. The forward "
        "is right, and the ledger shows nothing. This happened in bigcode-project/Megatron-LM#35, where the loss "
        "ended at 3.741 instead of 2.641.",
        "put one copy_to_group before all three projections.",
    ),
    Mutant(
        "f for keys and values only",
        Steps(project=step.project_some(False, True, True)),
        "The gradient that comes back through k and v is summed over ranks, what comes through q is not. The forward "
        "is right, and dx is not.",
        "put one copy_to_group before all three projections.",
    ),
    Mutant(
        "one f for each projection",
        Steps(project=step.project_each(*[copy_to_group] * 3)),
        "The numbers are right. You sent x through copy_to_group three times, for q, k and v, and each makes an "
        "all-reduce on the way back. One is due: sum what all three send back.",
        "copy_to_group(x), once, before the fused projection.",
    ),
    Mutant(
        "f twice",
        Steps(project=lambda x, weight, sizes: step.project(copy_to_group(x), weight, sizes)),
        "x passes through f twice. The second all-reduce of the backward pass adds up tp equal sums: dx is tp times "
        "too large.",
        "how often copy_to_group is called for one x: once.",
    ),
    Mutant(
        "f and norm's f missing",
        Steps(project=step.project_some(False, False, False), norm=step.keep),
        "Your forward is right, and nothing is sent on the way back. x and norm are the same on every rank and used "
        "by other heads on each: what each rank finds for their gradients is a partial. Both need f.",
        "what x and norm pass through first.",
    ),
    Mutant(
        "norm without f",
        Steps(norm=step.keep),
        "Your result, dx and the shards' gradients are right, and norm's gradient is not: each rank has only what its "
        "own heads say about it. norm is a copy on every rank, used by other heads on each. That makes its gradient a "
        "partial, as x's is: the same cure holds for both.",
        "copy_to_group(norm): f is not for activations alone.",
    ),
    Mutant(
        "an f for each row of norm",
        Steps(norm=step.rows_one_by_one),
        "The numbers are right. You sent the two rows of norm through f one by one, which makes two messages on the "
        "way back. One f for the tensor makes one.",
        "copy_to_group(norm), before it is taken apart.",
    ),
    Mutant(
        "an f at every use",
        Steps(project=step.project_each(*[copy_to_group] * 3), norm=step.rows_one_by_one),
        "The numbers are right. Every projection and every row of norm has an f of its own, and each f is an "
        "all-reduce on the way back. x and norm need one each: what their uses send back is added on the rank first.",
        "copy_to_group(x) and copy_to_group(norm), once each.",
    ),
    Mutant(
        "mean for norm",
        Steps(norm=step.mean_gradient),
        "norm's gradient is the right one divided by tp. The ranks' gradients of norm come from other heads each: "
        "they add up.",
        "the division.",
    ),
    Mutant(
        "never summed",
        Steps(end=step.keep),
        "Each rank kept what its own heads give. The output projection is cut by its inputs, so its product is a "
        "partial: reduce_from_group is due.",
        "the end: does rank 0's result depend on rank 1's heads?",
    ),
    Mutant(
        "heads gathered before the output projection",
        Steps(before_output=step.gather_and_cut),
        "The numbers are right, the ledger is not: you gathered all heads and then used your own. The output "
        "projection is cut by its inputs and takes the heads as they lie. Nothing should be sent there.",
        "between attend and the output projection.",
    ),
    Mutant(
        "mean of the ranks",
        Steps(end=step.mean_of_partials),
        "Your result is the right one divided by tp. The ranks' products are partials of one sum: they add up.",
        "the division at the end.",
    ),
)
