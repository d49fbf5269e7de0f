"""Mutants of exercise 08.3: heads, norm, RoPE and scores, with nothing wrong on the wire."""

from tplearn.checks.ch08_attention import attention as step
from tplearn.checks.ch08_attention.attention import Steps, prepare
from tplearn.checks.ch08_attention.inputs import HIDDEN
from tplearn.checks.exercise import Mutant
from tplearn.parallel import apply_rotary

INSIDE = (
    Mutant(
        "numbers before heads",
        Steps(to_heads=step.numbers_first),
        "You read [heads·d] as d times heads. A head's numbers lie side by side: head 0 is numbers 0 to d − 1. Yours "
        "takes every heads-th number, a little of each head.",
        "unflatten(-1, (-1, d)), then transpose(1, 2).",
    ),
    Mutant(
        "KV heads in turn",
        Steps(attend=step.pairs_in_turn),
        "Query head i went to KV head i mod kv. Query heads that share a KV head are neighbours, so it is i // (heads "
        "/ kv). With one KV head on a rank the two are the same, which is why few tests see it.",
        "repeat_interleave, not repeat; attend does it by itself.",
    ),
    Mutant(
        "keys and values swapped",
        Steps(order=(0, 2, 1)),
        "You took the values for keys and the keys for values. The fused weight is queries, keys, values.",
        "the order of the three after split.",
    ),
    Mutant(
        "keys not turned",
        Steps(prepare=prepare(turned=(apply_rotary, step.unturned, step.unturned))),
        "You turned the queries and left the keys as they are. The score must depend on the distance of two tokens, "
        "so both are turned. Values are not.",
        "apply_rotary: on q and on k.",
    ),
    Mutant(
        "nothing turned",
        Steps(prepare=prepare(turned=(step.unturned,) * 3)),
        "Neither queries nor keys were turned: to your layer all distances between tokens are the same.",
        "apply_rotary: on q and on k.",
    ),
    Mutant(
        "values turned too",
        Steps(prepare=prepare(turned=(apply_rotary,) * 3)),
        "You turned the values too. Only the scores should know of positions: q and k.",
        "apply_rotary: not on v.",
    ),
    Mutant(
        "positions from zero",
        Steps(prepare=prepare(turned=(step.from_zero, step.from_zero, step.unturned))),
        "You turned by the positions 0, 1, 2, … The tokens of this text stand elsewhere, with gaps between them: cos "
        "and sin say where.",
        "cos and sin: use those that are given.",
    ),
    Mutant(
        "turned backwards",
        Steps(prepare=prepare(turned=(step.backwards, step.backwards, step.unturned))),
        "You turned the other way round, as with −sin. q and k agree about that, but a score for distance +3 is then "
        "that for −3.",
        "the signs: left · cos − right · sin, right · cos + left · sin.",
    ),
    Mutant(
        "pairs of neighbours",
        Steps(prepare=prepare(turned=(step.neighbours, step.neighbours, step.unturned))),
        "You turned numbers 2i and 2i + 1 as a pair: Meta's own layout. Here, as in Hugging Face's, i and i + d/2 are "
        "a pair.",
        "the two halves of a head: chunk(2, dim=-1).",
    ),
    Mutant(
        "norm after turning",
        Steps(prepare=step.turn_then_norm),
        "You turned first and normalized then. Turning keeps the length of a pair, but norm's two numbers for a pair "
        "differ, and a turned pair has mixed them: norm comes first.",
        "the order of norm and apply_rotary.",
    ),
    Mutant(
        "one norm for all heads",
        Steps(prepare=prepare((step.of_all_heads, step.of_all_heads, step.as_it_is))),
        "Your norm takes one root mean square for all heads of the rank together. It is one for each head. And a mean "
        "over the rank's heads would depend on tp.",
        "the dimension of the mean: the d numbers of a head.",
    ),
    Mutant(
        "norm without its weight",
        Steps(prepare=prepare((step.without_weight, step.without_weight, step.as_it_is))),
        "You divided by the root mean square and forgot norm's numbers.",
        "the weight of the norm: norm[0] for q, norm[1] for k.",
    ),
    Mutant(
        "rows of norm swapped",
        Steps(prepare=prepare(rows=(1, 0, 0))),
        "Your queries use the keys' row of norm, and the keys the queries'. norm[0] is for q, norm[1] for k.",
        "the rows of norm.",
    ),
    Mutant(
        "one row of norm for both",
        Steps(prepare=prepare(rows=(0, 0, 0))),
        "Queries and keys both use norm[0]. norm[1] is for the keys.",
        "the rows of norm.",
    ),
    Mutant(
        "values normalized too",
        Steps(prepare=prepare((step.of_each_head,) * 3)),
        "You normalized the values too. The norm is for what goes into the scores: q and k.",
        "what the norm is applied to.",
    ),
    Mutant(
        "no norm",
        Steps(prepare=prepare((step.as_it_is,) * 3)),
        "Queries and keys were not normalized.",
        "norm: F.rms_norm on q and on k, before they are turned.",
    ),
    Mutant(
        "not causal",
        Steps(attend=step.softmax(causal=False)),
        "Your tokens see the future: the mask is missing.",
        "attend, which masks; or is_causal=True.",
    ),
    Mutant(
        "scores not scaled",
        Steps(attend=step.softmax(scale=1.0)),
        "Your scores are not divided by √d.",
        "1/√d, with d the numbers of one head.",
    ),
    Mutant(
        "scaled by hidden",
        Steps(attend=step.softmax(scale=HIDDEN**-0.5)),
        "You divided the scores by √hidden. It is √d, with d the numbers of one head: that is how long q and k are.",
        "the scale of the scores.",
    ),
)
