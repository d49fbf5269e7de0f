"""What the wrong answers to exercise 13.4 show: copies, partials, roots and groups on a mesh of two dimensions."""

from tplearn.checks.ch13_train_on_a_mesh.norm_wrong import wrong_mesh_norm
from tplearn.checks.exercise import mutants_of

DIVISOR = "the divisor of a square: dp where over dp it is no S, times tp where over tp it is no S."
LAST = "the last all_reduce: all ranks, one number, the root after it."

MUTANTS = mutants_of(
    wrong_mesh_norm,
    (
        "sum over dp",
        "You summed the rows' gradients and did not divide by dp. Each is the gradient of a mean over its own data; "
        "the dense gradient is their mean. With nothing but these your norm is dp times too large.",
        "P over dp: the sum, divided by mesh['dp'].size().",
    ),
    (
        "mean over all ranks",
        "You divided the sum over dp by the number of all ranks. Only the dp ranks of a group were added up.",
        "P over dp: the sum, divided by mesh['dp'].size().",
    ),
    (
        "own squares over dp²",
        "You divided each row's own square by dp², which is the square of a mean where the rows have nothing in "
        "common. They have: the mean of the gradients comes first, then the square.",
        "P over dp: an all_reduce of the gradient itself, before the square.",
    ),
    (
        "finished over dp counted",
        "A P over dp was finished rightly, and then its square was counted dp times: once it is finished, all rows "
        "have the same. A finished P is an R.",
        DIVISOR,
    ),
    (
        "finished over tp counted",
        "A P over tp was finished rightly, and then its square was counted tp times: once it is finished, all ranks of "
        "a row have the same. A finished P is an R.",
        DIVISOR,
    ),
    (
        "finished ones counted",
        "What was P was finished rightly, and then its square was counted on every rank of the group: once it is "
        "finished, all of them have the same. A finished P is an R.",
        DIVISOR,
    ),
    (
        "one sum for both",
        "You finished every P by one sum over all ranks, divided by dp. That is right where both letters are P. With S "
        "beside the P it adds up different parameters, and with R the copies.",
        "P over dp: the dp group; P over tp: the tp group.",
    ),
    (
        "mean over tp",
        "You averaged the partials over tp. Those are summands of one gradient: only over dp a mean is due.",
        "P over tp: the sum.",
    ),
    (
        "partials as they are",
        "You squared partials. The square of a sum is not the sum of the squares: a P must be finished first, over tp "
        "by a sum and over dp by a mean.",
        "P: an all_reduce of the gradient itself, before the square.",
    ),
    (
        "partials over dp as copies",
        "You took each row's own gradient for a copy, and so the mean of the rows' squares. The norm of the mean is "
        "smaller: what the rows disagree in cancels out. Clipping before the mean does this.",
        "P over dp: an all_reduce of the gradient itself, before the square.",
    ),
    (
        "partials over dp as shards",
        "You added the squares of the rows' own gradients, as if each row had other parameters. They are the same "
        "ones, for other data: their mean comes first, then the square.",
        "P over dp: an all_reduce of the gradient itself, before the square.",
    ),
    (
        "partials over tp as copies",
        "You took the partials over tp for copies, and squared them as they are. Their sum comes first, then the "
        "square.",
        "P over tp: an all_reduce of the gradient itself, before the square.",
    ),
    (
        "partials over tp as shards",
        "You added the squares of the partials over tp, as if they were shards. Their sum comes first, then the "
        "square.",
        "P over tp: an all_reduce of the gradient itself, before the square.",
    ),
    (
        "mean of row norms",
        "You took a norm for each row, and the mean of these norms over dp. The norm of the mean gradient is due: it "
        "is smaller, because what the rows disagree in cancels out.",
        "the order: first the mean of the gradients, then one norm.",
    ),
    (
        "everything counted",
        "You added the squares of everything that every rank has. A copy is one parameter, and was counted once for "
        "each rank that has it.",
        DIVISOR,
    ),
    (
        "copies over dp counted",
        "What is the same on all rows was counted dp times. After the mean over dp the rows are copies of each other; "
        "only an S over dp is another part on each.",
        DIVISOR,
    ),
    (
        "copies over tp counted",
        "What is the same on all ranks of a row was counted tp times: norms' weights, mostly. With few of them the "
        "norm is off by very little, and clipping is wrong all the same.",
        DIVISOR,
    ),
    (
        "shards over dp as copies",
        "You divided every square by dp. That is right for what all rows have; an S over dp, as FSDP keeps it, is "
        "another part on each row, and counts in full.",
        DIVISOR,
    ),
    (
        "shards over tp as copies",
        "You divided every square by tp. That is right for what all ranks of a row have; an S over tp is another part "
        "on each, and counts in full.",
        DIVISOR,
    ),
    (
        "everything divided",
        "You divided every square by the number of all ranks. That is right for copies on all of them; an S is another "
        "part on each rank, and counts in full.",
        DIVISOR,
    ),
    (
        "divided before the square",
        "You divided the gradient by its copies, and then squared: that divides the square by copies². n ranks each "
        "add an n-th of the square.",
        "the order of division and square.",
    ),
    (
        "groups exchanged",
        "You finished what is a P over dp in the tp group, and the other way round.",
        'the names: mesh.get_group("dp") joins the rows, mesh.get_group("tp") the ranks of a row.',
    ),
    (
        "partials summed over the world",
        "You finished the partials over all ranks. A P over dp and S over tp is another parameter on each rank of a "
        "row: those must not be added.",
        "the group of each all_reduce; without one it is all ranks.",
    ),
    (
        "torch's own norm",
        "You took the norm of all that this rank has, as nn.utils.get_total_norm and clip_grad_norm_ do, and asked "
        "nobody. Every rank finds another number, clips by it, and the copies drift apart.",
        "what has to be finished first, and the all_reduce of one number at the end.",
    ),
    (
        "own norm",
        "You took the norm of what this rank has. Every rank finds another number, clips by it, and the copies drift "
        "apart.",
        LAST,
    ),
    (
        "summed over tp only",
        "Your squares are added up over tp only. What is an S over dp has more parts on the other rows, and what was "
        "divided by dp is waiting for its other shares there.",
        LAST,
    ),
    (
        "dp left out",
        "Your sum runs over tp alone, with nothing divided by dp. That is right for all that is the same on every row. "
        "Of an S over dp the other rows have more parts.",
        LAST,
    ),
    (
        "summed over dp only",
        "Your squares are added up over dp only. The other ranks of a row hold the other shards.",
        LAST,
    ),
    (
        "norms of ranks added",
        "You took the root on each rank and added the roots. Squares add up, roots do not: 3 and 4 make 5, not 7.",
        LAST,
    ),
    (
        "norms of tensors added",
        "You added up the norms of the tensors. Squares add up, norms do not: 3 and 4 make 5, not 7.",
        "one root, at the very end.",
    ),
    (
        "averaged",
        "You averaged the ranks' sums of squares. They add up: what was there n times is divided by n already.",
        LAST,
    ),
    ("no root", "You returned the sum of squares. The norm is its root.", "the last step."),
    (
        "absolute values",
        "You added absolute values. The norm is the root of the sum of squares.",
        "gradient.square(), and the root at the end.",
    ),
)
