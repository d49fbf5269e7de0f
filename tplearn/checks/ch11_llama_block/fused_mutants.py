"""What the wrong answers to exercise 11.6 show: what is reduced, what is added, what is handed on."""

from tplearn.checks.ch11_llama_block.fused_wrong import wrong_fused_block
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_fused_block,
    (
        "residual reduced too",
        "You added partial and residual and reduced their sum. The residual is R: the all-reduce counted it once for "
        "each rank. Only what is P may pass through g.",
        "the first line: reduce the partial, then add the residual.",
    ),
    (
        "residual reduced apart",
        "You reduced the residual too. It is R, the same on every rank: the all-reduce counted it once for each.",
        "the first line: only the partial is reduced.",
    ),
    (
        "residual on rank 0",
        "The results are right: only rank 0 added the residual, so the all-reduce counted it once. But backward it "
        "reaches rank 0 alone: on the other ranks the residual gets no gradient from there, and it is R, the same on "
        "all of them.",
        "the first line: reduce the partial, and add the residual on every rank.",
    ),
    (
        "residual shared out",
        "The results are right: each rank added a p-th of the residual, and the all-reduce made one of it. But its "
        "gradient went through the division: it is R, and each rank gets a p-th of what is due.",
        "the first line: reduce the partial, and add the residual on every rank.",
    ),
    (
        "f and g",
        "The results are right. But the partial went through f and g: f's backward adds up gradients that are "
        "finished and equal, and the partial's gradient counts tp times.",
        "the first line: g alone.",
    ),
    (
        "one reduce for both",
        "You added attention's partial to the one that came in, and reduced both at once. Attention's norm then read "
        "the stream without the MLP of the block before: a norm needs the finished sum.",
        "what the first norm reads: residual + the reduced partial. Two all_reduce are due.",
    ),
    (
        "residual from the norm",
        "After attention the stream goes on from the norm's output. The residual passes by the norm.",
        "what attention's result is added to: residual + the reduced partial.",
    ),
    (
        "stream through f",
        "The results are right. But the stream passes through f after attention, and goes on from there: its gradient "
        "is finished, and f adds it up once for each rank.",
        "copy_to_group: between the second norm and the MLP.",
    ),
    (
        "both streams through f",
        "The results are right. But the stream passes through f after each sum, and both the norm and the residual go "
        "on from there: the residual's gradient is finished, and f adds it up once for each rank.",
        "copy_to_group: between each norm and the half that reads it.",
    ),
    ("MLP missing", "Your block ends with attention's partial. The MLP is missing.", "the first of the two results."),
    (
        "partial not reduced",
        "You took the partial for a finished result: R + P, and then a norm of it. Each rank went on with other "
        "numbers. The block before left its MLP unreduced; yours begins with that all-reduce.",
        "the first line. Two all_reduce are due forward, and the first is for the partial that came in.",
    ),
    (
        "f for the first g",
        "The partial went through f, which passes it on as it is. Each rank went on with other numbers.",
        "the first line: reduce_from_group.",
    ),
    (
        "first sum averaged",
        "You divided the sum of the partials by the number of ranks. They add up.",
        "the first line.",
    ),
    (
        "residual forgotten",
        "The residual that came in is missing from the stream.",
        "the first line: residual + the reduced partial.",
    ),
    (
        "partial forgotten",
        "The partial that came in is missing from the stream.",
        "the first line: residual + the reduced partial.",
    ),
    (
        "no gradient through the first sum",
        "The results are right, but no gradient reaches the partial: the first all-reduce ran outside autograd, and "
        "the MLP of the block before learns nothing.",
        "reduce_from_group, whose backward hands the gradient on.",
    ),
    (
        "norm without the residual",
        "Your first norm reads the MLP's result alone. It must read the stream: residual plus the reduced partial.",
        "what the first norm reads. Reduce, add, then normalise.",
    ),
    (
        "f missing",
        "The results are right. But f is missing before attention and before the MLP: what they send back to the "
        "norms is a partial, and nobody adds it up.",
        "copy_to_group, between each norm and the half that reads it.",
    ),
    (
        "f missing before attention",
        "The results are right. But f is missing before attention: what its heads send back to the norm is a partial, "
        "and nobody adds it up.",
        "copy_to_group, between the first norm and attention.",
    ),
    (
        "f missing before the MLP",
        "The results are right. But f is missing before the MLP: what its columns send back to the norm is a partial, "
        "and nobody adds it up.",
        "copy_to_group, between the second norm and the MLP.",
    ),
    (
        "f before the norms",
        "The results are right. But f stands before the norms: what flows back through them is still a partial, and "
        "so are the gradients of their weights.",
        "the order of norm and copy_to_group: f stands next to the cut.",
    ),
    (
        "attention not reduced",
        "Attention's result joined the stream as it was: R + P. It is reduced inside the block; only the MLP's is "
        "handed on as a partial.",
        "the second all-reduce, after attention.",
    ),
    (
        "residual before attention's reduce",
        "You added the stream to attention's partial and reduced the sum: the stream was counted once for each rank.",
        "the second all-reduce: attention's partial alone.",
    ),
    (
        "residual of before",
        "After attention you added the residual that came in. The stream is that residual plus the reduced partial.",
        "what attention's result is added to.",
    ),
    (
        "second norm reads x",
        "Your second norm reads the stream as it was before attention.",
        "the second norm: it reads h.",
    ),
    (
        "reduced at the end as well",
        "You reduced the MLP's result before you returned it. It is due as a partial: the next block reduces it, and "
        "would now add it up tp times. That makes three all-reduces where two are due.",
        "the first of the two results: P.",
    ),
    (
        "reduced by the block before",
        "You took the first result of the block before for reduced, and reduced your own before you returned it. Here "
        "a block gets P and hands P on: it reduces at its beginning, and not at its end.",
        "the first line, and the first of the two results.",
    ),
    (
        "a finished stream",
        "You finished the stream, reduced and added, as the block of 11.2 does. Here the MLP's partial is handed on "
        "alone: the next block reduces and adds.",
        "the first of the two results: the MLP's partial.",
    ),
    (
        "residual joined and handed on",
        "You added the residual to the partial before you returned it, R + P, and returned it apart as well. The next "
        "block's all-reduce would count it tp times, and then add it once more.",
        "the first of the two results: the MLP's partial alone.",
    ),
    (
        "residual counts the MLP",
        "The residual that you return has the MLP's partial in it, R + P. The partial is handed on apart, and would "
        "count twice.",
        "the second of the two results: the stream after attention.",
    ),
    (
        "old residual",
        "You handed the residual on as it came. The next block adds its first sum to it, so this block's attention, "
        "and the MLP before it, would be forgotten.",
        "the second of the two results: the stream as it is after attention.",
    ),
    (
        "residual without attention",
        "The residual that you return lacks this block's attention. The second norm reads it, and so must the next "
        "block.",
        "the second of the two results: the stream after attention, not before.",
    ),
    ("results exchanged", "You returned the two tensors in the other order: the partial comes first.", "the return."),
)
