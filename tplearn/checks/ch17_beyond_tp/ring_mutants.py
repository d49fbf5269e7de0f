"""What the wrong answers to exercise 17.7 show: sums of different scales, masks on the wrong chunk, wrong sources."""

from tplearn.checks.ch17_beyond_tp.ring_wrong import wrong_ring_attention
from tplearn.checks.exercise import mutants_of

RESCALE = "what is kept from earlier chunks: times exp(old maximum − new maximum), the sum and the output."
SOURCE = "whose chunk is here: after `step` passes to the right it is rank r − step's."
CAUSAL = "the mask: the triangle for the own chunk, nothing for earlier ones; later ones are left out."
END = "the division by the sum: once, after the last chunk."

MUTANTS = mutants_of(
    wrong_ring_attention,
    (
        "no rescale",
        "You did not rescale what was kept. Sum and output of earlier chunks were taken relative to an older maximum, "
        "so they must be brought to the new one before anything is added to them.",
        RESCALE,
    ),
    (
        "output not rescaled",
        "You rescaled the sum, and not the output. Both were taken relative to the old maximum.",
        RESCALE,
    ),
    (
        "sum not rescaled",
        "You rescaled the output, and not the sum. Both were taken relative to the old maximum.",
        RESCALE,
    ),
    (
        "rescaled the other way",
        "You multiplied what was kept by exp(new − old). The maximum has grown, so old numbers become smaller.",
        RESCALE,
    ),
    (
        "no maximum",
        "Small scores come out right, and large ones overflow: exp of a number above 709 is infinite. The maximum has "
        "to be subtracted first.",
        "exp(scores): the maximum is missing.",
    ),
    (
        "maximum of the first chunk",
        "Small scores come out right, and large ones overflow: you kept the first chunk's maximum. A later chunk may "
        "have scores far above it.",
        "the maximum: of the old one and the chunk's, at each step.",
    ),
    (
        "maximum from 0",
        "Small scores come out right, and very negative ones do not: your maximum begins at 0, and exp of a score far "
        "below that is 0. A query whose scores all are ends in 0 / 0.",
        "where the maximum begins: at −∞, below every score.",
    ),
    (
        "maximum of the chunk alone",
        "Your maximum is each time that of the chunk alone, and so it may fall. Then what was kept is blown up, and "
        "overflows where scores are large.",
        "the maximum: of the old one and the chunk's, at each step.",
    ),
    (
        "mask on foreign chunks",
        "You put the triangle on every chunk. All tokens of an earlier chunk are in the past: a query sees them all.",
        CAUSAL,
    ),
    (
        "no mask",
        "You masked nothing inside the own chunk: each token sees those after it.",
        CAUSAL,
    ),
    (
        "itself not seen",
        "Your mask hides each token from itself. A token sees itself and all before it.",
        "tril: the diagonal belongs to it.",
    ),
    (
        "later chunks seen",
        "You let queries see the chunks of later ranks. With their scores the future gets into the result.",
        CAUSAL,
    ),
    (
        "later chunks alone",
        "You left out the chunks of earlier ranks, and took those of later ones.",
        CAUSAL,
    ),
    (
        "wrong source",
        "You took the chunk that is here for another rank's. What comes from the left neighbour is, after `step` "
        "passes, rank r − step's; you counted upwards.",
        SOURCE,
    ),
    (
        "source one off",
        "You are one pass off: you count a chunk's source before it has been passed on, or after.",
        SOURCE,
    ),
    (
        "the world's rank",
        "You counted the sources by the rank in the world. In a group of ranks 0 and 2, rank 2 is number 1.",
        "dist.get_rank(group).",
    ),
    (
        "chunks averaged",
        "You averaged the chunks' own attentions. A chunk counts by its share of the whole softmax, not as much as any "
        "other.",
        END,
    ),
    (
        "normalised at each step",
        "You divided the output by the sum at each step, and went on adding to it. What is kept between the steps must "
        "not be divided.",
        END,
    ),
    (
        "normalised at each step, and at the end",
        "You divided the output by the sum at each step, and once more at the end. What is kept between the steps must "
        "not be divided.",
        END,
    ),
    (
        "not normalised",
        "You did not divide by the sum in the end: the weights of a query do not add up to 1.",
        END,
    ),
    (
        "one pass too few",
        "The last chunk of the ring was not looked at: with p ranks there are p − 1 passes, and p chunks.",
        "the number of steps.",
    ),
    (
        "own chunk alone",
        "Each rank looked at its own chunk alone. Earlier tokens are on other ranks.",
        "the loop over steps.",
    ),
    (
        "V stays",
        "You passed the keys on, and kept the own values. Keys and values of a token belong together.",
        "what is sent: k and v.",
    ),
    (
        "not scaled",
        "Your scores are not divided by √d.",
        "scores = q · k / √d.",
    ),
    (
        "divided by d",
        "You divided the scores by d. It is √d.",
        "scores = q · k / √d.",
    ),
    (
        "KV heads in turn",
        "You gave query head i KV head i % n. Query heads that share a KV head are neighbours: head i has KV head "
        "i // (heads / n).",
        "repeat, where repeat_interleave is due.",
    ),
    (
        "one pass too many",
        "Your numbers are right, and the chunks went round once more than they are needed: after p − 1 passes each "
        "rank has seen all of them.",
        "the pass after the last chunk.",
    ),
    (
        "heads repeated before sending",
        "Your numbers are right, but you repeated the KV heads before you sent them. Sent once each, they are a "
        "fraction of that: repeat them where they are used.",
        "what is sent: k and v as they came.",
    ),
    (
        "all gathered",
        "Your numbers are right, but the chunks came by a collective. After an all-gather every rank holds the keys "
        "and values of the whole sequence. On a ring it holds one chunk at a time, and passes it on.",
        "send and recv, isend and irecv: the only ones allowed here.",
    ),
    (
        "q sent too",
        "Your numbers are right, but the queries were sent along. Each rank's queries stay at home.",
        "what is sent: k and v.",
    ),
)
