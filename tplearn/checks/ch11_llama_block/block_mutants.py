"""What the wrong answers to exercise 11.2 show: f, g, norms and residuals that are missing or in the wrong place."""

from functools import partial

from tplearn.checks.ch11_llama_block.block_wrong import wrong_block
from tplearn.checks.exercise import Mutant, mutants_of

OF_A_HALF = mutants_of(
    wrong_block,
    (
        "norm of a partial",
        "The norm after a half took the norm of this rank's partial, and the all-reduce added up the norms. A norm "
        "divides by the size of what it sees: the sum of the partials' norms is not the norm of their sum. On one "
        "rank both are the same.",
        "the order of g and the norm after it: reduce first.",
    ),
    (
        "norm and residual before the reduce",
        "You normed this rank's partial, added the residual, and reduced the sum: neither may be done to a partial. "
        "The norm needs the finished sum, and the residual was added once for each rank.",
        "what stands before g: nothing but the partial.",
    ),
    (
        "residual before the reduce",
        "You added the residual to a partial, R + P, and the all-reduce then added it once for each rank; and the "
        "norm after it saw that sum (mirage-project/mirage#722 had such a residual).",
        "where the residual joins: at the end of a half, after g and after the norm.",
    ),
    (
        "residual normed too",
        "The norm after a half saw the residual as well: norm(x + …). That is the order of the first transformers. "
        "Here the residual passes by both norms: x + norm(…).",
        "what the norm after a half gets: what g gives, alone.",
    ),
    (
        "residual from the norm",
        "The residual branches off after the norm. It is the stream as it came: the norm is for what the half reads.",
        "where the residual branches off: before the norm.",
    ),
    (
        "residual through f",
        "The residual branches off after f. Its gradient is finished, the same on every rank, and f's all-reduce adds "
        "it up all the same: it counts tp times.",
        "where the residual branches off: before the norm, and before f.",
    ),
    (
        "no residual",
        "The residual is missing. A half adds to the stream: its input plus its result.",
        "what is added to a half's result.",
    ),
    (
        "not reduced",
        "The all-reduce is missing forward: each rank normed its own partial and went on with it. The ranks now hold "
        "different numbers.",
        "reduce_from_group, between the half and the norm after it.",
    ),
    (
        "f for g",
        "f stands where g is due: copy_to_group passes its argument on as it is, and sums in the backward pass. The "
        "partials are never added up.",
        "reduce_from_group, between the half and the norm after it.",
    ),
    (
        "reduced twice",
        "The all-reduce ran twice: what is finished on every rank was added up once more. The norm after it hides "
        "nearly all of that, for it divides by the size of what it sees: what is left is the epsilon.",
        "one reduce_from_group in each half.",
    ),
    (
        "averaged",
        "The sum of the partials is divided by the number of ranks. The norm after it hides nearly all of that, for "
        "it divides by the size of what it sees: what is left is the epsilon. A sum is due.",
        "the division, or the reduce op.",
    ),
    (
        "no gradient through g",
        "The result is right, but the gradient ends at the all-reduce: the half's weights learn nothing. A collective "
        "outside autograd brings a new tensor that knows nothing of the partials.",
        "reduce_from_group, whose backward hands the gradient on.",
    ),
    (
        "f missing",
        "The result is right. But f is missing: what this rank's heads or columns send back to the norm is a partial, "
        "another one on every rank, and nobody adds them up. x and the norm's weight get this rank's partial.",
        "copy_to_group, between the norm and the half that reads it. Due backward: two all_reduce.",
    ),
    (
        "f before the norm",
        "Result, gradient of x and ledger are right. But what flows back through the norm is still a partial, and so "
        "is the gradient of the norm's weight: every rank has another one, and the weights drift apart with the first "
        "step.",
        "the order of norm and copy_to_group: f stands next to the cut.",
    ),
    (
        "f twice",
        "f stands before the norm and after it. The first of them adds up, once more, a gradient that the second has "
        "finished: it counts once for each rank.",
        "one copy_to_group in each half, between norm and cut.",
    ),
    (
        "no norm before",
        "The norm before the half is missing: norm_1 before attention, norm_2 before the MLP.",
        "what f gets: the norm of the stream.",
    ),
    (
        "no norm after",
        "The norm after the half is missing: post_1 or post_2. Without them it is Llama's block. Gemma 2 norms what a "
        "half gives, once it is reduced, before it joins the stream.",
        "what g gives, before the residual is added.",
    ),
    (
        "norm of a share",
        "You cut the norm before the half: each rank divided by the mean square of its own share of the hidden "
        "numbers. The norm divides by the mean over all of them, so it is not cut, and its weight is replicated.",
        "the norms: x whole, weight whole, no collective.",
    ),
    (
        "norm of a share after",
        "You cut the norm after the half: each rank divided by the mean square of its own share of the hidden "
        "numbers. The norm divides by the mean over all of them, so it is not cut, and its weight is replicated.",
        "the norms: what g gives, whole, weight whole, no collective.",
    ),
)

OF_THE_BLOCK = mutants_of(
    wrong_block,
    (
        "gathered",
        "You put the partials side by side. They are of the full size already, and their sum is due.",
        "reduce_from_group, between the half and the norm after it.",
    ),
    (
        "one reduce for both halves",
        "P + P is P, so one all-reduce is enough where both halves read x. That is GPT-J's block. Here the MLP reads "
        "x + attention, and its norm needs that sum finished: two all-reduces.",
        "the input of the MLP's norm.",
    ),
    (
        "second norm reads x",
        "Your MLP reads norm(x), as attention does. It must read the norm of what attention and the first residual "
        "have made of x.",
        "the input of the MLP's norm: h, not x.",
    ),
    (
        "second residual is x",
        "The second residual adds x, so attention's result reaches the end through the MLP only. The stream goes on "
        "from h.",
        "the second residual.",
    ),
    (
        "attention alone",
        "Your block ends after attention. The MLP's half is missing.",
        "the second half, which reads h.",
    ),
    (
        "norms exchanged",
        "The weights of the norms are exchanged: norm_1 and norm_2 belong before the halves, post_1 and post_2 after "
        "them.",
        "which weight goes to which norm.",
    ),
    (
        "norms of the halves exchanged",
        "The weights of the two halves' norms are exchanged: norm_1 and post_1 belong to attention, norm_2 and post_2 "
        "to the MLP.",
        "which weight goes to which norm.",
    ),
)


def _only(mutant: Mutant, half: str) -> Mutant:
    answer = partial(wrong_block, wrong=mutant.name, only=half)
    return Mutant(f"{mutant.name}, in {half}", answer, f"In {half}: {mutant.says}", mutant.look_at)


IN_ONE = tuple(_only(mutant, half) for half in ("attention", "the MLP") for mutant in OF_A_HALF)
MUTANTS = (*OF_A_HALF, *OF_THE_BLOCK, *IN_ONE)
