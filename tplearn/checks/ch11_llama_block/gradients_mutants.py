"""What the wrong answers to exercise 11.5 show: copies, roots and sums in the wrong order, messages too many."""

from tplearn.checks.ch11_llama_block.gradients_wrong import wrong_gradient_norm
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_gradient_norm,
    (
        "copies counted on every rank",
        "You added the squares of everything that every rank has. A copy is one parameter, and it was counted once "
        "for each rank that has it. The norm is too large, and clipping cuts too much (NVIDIA-NeMo/RL#3788).",
        "copies: what n ranks have may enter the sum once, or n times with an n-th of its square.",
    ),
    (
        "copies on rank 0 only",
        "You counted copies on rank 0 only. That is right for what every rank has. A KV head that ranks 2 and 3 share "
        "is not on rank 0: it is missing from your sum.",
        "copies[i] between 1 and tp: divide the square by it, on every rank.",
    ),
    (
        "rank 0 alone",
        "Only rank 0's gradients are in your sum. The other ranks have shards of their own.",
        "what each rank brings to the all-reduce.",
    ),
    (
        "own norm",
        "You took the norm of what this rank has. Every rank finds another number, divides by it, and the copies "
        "drift apart. The norm of the model is one number: squares add up over the shards.",
        "one all_reduce of one number is due.",
    ),
    (
        "own norm, copies in full",
        "You took the norm of everything that this rank has, and asked nobody else. Every rank finds another number, "
        "divides by it, and the copies drift apart.",
        "one all_reduce of one number is due; and copies.",
    ),
    (
        "norms added",
        "You took the root on each rank and added the roots. Squares add up, roots do not: 3 and 4 make 5, not 7.",
        "the order of root and sum: sum over the ranks first, root last.",
    ),
    (
        "sum of the tensors' norms",
        "You added up the norms of the tensors. Squares add up, norms do not: 3 and 4 make 5, not 7.",
        "the order of root and sum: one root, at the very end.",
    ),
    (
        "sum of all norms",
        "You added up the norms of all tensors on all ranks. Squares add up, norms do not; and what several ranks "
        "have was counted once for each.",
        "the order of root and sum: one root, at the very end. And copies.",
    ),
    (
        "norms squared twice",
        "You squared the sums of squares once more before the all-reduce.",
        "how often each number is squared: once.",
    ),
    ("no root", "You returned the sum of squares. The norm is its root.", "the last step."),
    (
        "absolute values",
        "You added absolute values. The norm is the root of the sum of squares.",
        "g.square(), and the root at the end.",
    ),
    (
        "the largest rank",
        "You took the largest of the ranks' sums. They add up: each rank has other numbers of the model.",
        "the reduce op: SUM.",
    ),
    (
        "averaged",
        "You averaged the ranks' sums of squares. They add up: each rank has other numbers of the model.",
        "the reduce op, or a division by tp.",
    ),
    (
        "everything divided by tp",
        "You divided every square by tp. That is right for what every rank has, once. A shard is on one rank only and "
        "counts in full.",
        "the divisor: copies[i].",
    ),
    (
        "copies left out",
        "You left the copies out. They are parameters of the dense model and belong in its norm, once.",
        "gradients whose copies[i] is above 1.",
    ),
    (
        "copies added afterwards",
        "You added the copies' squares after the all-reduce. That is right for what every rank has. Of KV heads each "
        "rank then counts its own copy only, and the ranks find different numbers.",
        "the all-reduce: an n-th of each square goes into it, copies too.",
    ),
    (
        "copies alone",
        "You left the shards out. They are most of the model.",
        "gradients whose copies[i] is 1.",
    ),
    (
        "copies divided by tp",
        "You divided every copy's square by tp. That is right for a norm's weight, which all ranks have. A KV head "
        "may be on 2 of 4: copies[i] says on how many.",
        "the divisor: copies[i].",
    ),
    (
        "partly copied as shards",
        "What all ranks have is counted once, but a KV head on 2 of 4 ranks is counted twice: you took it for a shard.",
        "copies[i] between 1 and tp.",
    ),
    (
        "partly copied left out",
        "What all ranks have is counted, and what one rank has; a KV head on 2 of 4 ranks is missing.",
        "copies[i] between 1 and tp.",
    ),
    (
        "multiplied by copies",
        "You multiplied the squares by copies. n ranks each add the same square, so each may add an n-th of it.",
        "a division, not a product.",
    ),
    (
        "divided before the square",
        "You divided the gradient by its copies, and then squared: that divides the square by copies². n ranks each "
        "add an n-th of the square.",
        "the order of division and square.",
    ),
    (
        "root of copies",
        "You divided the square by the root of copies. n ranks each add an n-th of the square.",
        "the divisor: copies[i] itself, for squares.",
    ),
    (
        "a message for each tensor",
        "The norm is right, with one message for each tensor. Add up on the rank first: one number has to travel.",
        "the ledger: one all_reduce of one number.",
    ),
    (
        "everything sent",
        "The norm is right, but the ranks sent each other whole gradients. Square and add up on the rank first: one "
        "number has to travel.",
        "the ledger: one all_reduce of one number.",
    ),
    (
        "gradients added up",
        "You summed the gradients over the ranks, as data parallelism does. Shards are different parameters, and "
        "copies are equal: neither may be added. Only the sums of squares may.",
        "what goes into the all-reduce: one number.",
    ),
    (
        "gradients added up and divided",
        "You summed the gradients over the ranks before you squared them, and divided by copies afterwards. Shards "
        "are different parameters, and may not be added; only the sums of squares may.",
        "what goes into the all-reduce: one number.",
    ),
)
