"""Exercise 08.5: one step of decoding, of any number of new tokens, with a cache of this rank's own KV heads."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch08_attention.attention import from_zero, softmax, unturned
from tplearn.checks.ch08_attention.cache_step import (
    Cached,
    Step,
    attend_with,
    last_lost,
    new_ones_turned,
    repeated_for_the_queries,
)
from tplearn.checks.ch08_attention.drive import step_by_step
from tplearn.checks.ch08_attention.inputs import BATCH, HIDDEN, LAYOUTS, layer_shards, tables
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import apply_rotary, attend, gather_from_group
from tplearn.ranks import per_rank

TEXTS = ((4, 2, 1), (3, 1, 2), (1, 3, 2))  # how many tokens come in each step


def decode_with_cache(
    x: Tensor, qkv_shard: Tensor, o_shard: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor
) -> Cached:
    """x: [batch, new, hidden]; cos, sin: [new, d]; keys, values: [batch, kv, before, d] → y as x, longer cache."""
    return Step()(x, qkv_shard, o_shard, cos, sin, keys, values)


def _cases(generator: Generator) -> list[Case]:
    """Each layout with two of the three texts."""
    cases = []
    for number, layout in enumerate(LAYOUTS):
        for sizes in (TEXTS[number % 3], TEXTS[(number + 1) % 3]):
            qkv_shards, o_shards = layer_shards(generator, layout)
            x = randn(generator, BATCH, sum(sizes), HIDDEN)
            cos_sin = tables(generator, sum(sizes), layout.head_dim)
            args = (x, per_rank(qkv_shards), per_rank(o_shards), *cos_sin, list(sizes))
            cases.append(Case(layout.tp, args, label=f"{layout.label}, steps of {', '.join(map(str, sizes))} tokens"))
    return cases


DECODE_WITH_CACHE = Exercise(
    number="08.5",
    name="decode_with_cache",
    points=15,
    difficulty=3,
    minutes=15,
    reference=decode_with_cache,
    cases=_cases,
    observe=step_by_step,
    items=lambda step: f"of step {step + 1}",
    ranks=True,
    mutants=(
        Mutant(
            "before forgotten",
            Step(attend=attend_with(lambda q, keys: 0)),
            "attend was not told how many tokens the cache held before, so it takes the new tokens for the first of "
            "the text. There are more keys than that, and it raises a ValueError: without it a token would see the "
            "first keys of the text, and not all up to itself.",
            "the last argument of attend: the length of the cache before the new keys.",
        ),
        Mutant(
            "mask from the first key on",
            Step(attend=softmax()),
            "The mask begins at the first key: the first new token sees key 0 alone, the second two keys, however "
            "long the cache is. That is what is_causal=True does, and torch.tril too. New token i stands at place "
            "before + i and sees all keys up to there.",
            "the mask, or attend with the length of the cache before the new keys.",
        ),
        Mutant(
            "repeated keys and values cached",
            repeated_for_the_queries,
            "You put the keys and values into the cache as often as query heads use them. The cache then has as many "
            "heads as there are query heads, and the next step's keys no longer fit. Repeat them, if at all, for "
            "attention alone; attend does without.",
            "the second dimension of the cache: this rank's KV heads.",
        ),
        Mutant(
            "no mask among the new tokens",
            Step(attend=softmax(causal=False)),
            "New tokens see the new tokens after them. Either there is no mask, or attend was told that the new ones "
            "had been there before. With one new token at a time that is right; several need a mask among themselves.",
            "the last argument of attend: the length of the cache before the new keys.",
        ),
        Mutant(
            "cache never read",
            Step(attend=lambda q, keys, values: attend(q, keys[:, :, -q.shape[2] :], values[:, :, -q.shape[2] :])),
            "The new tokens saw themselves alone: what is in the cache took no part.",
            "the keys and values that attend gets: the cached ones, then the new ones.",
        ),
        Mutant(
            "cache overwritten",
            Step(append=lambda cache, new: new),
            "The new keys and values took the place of the cache, and the tokens before are forgotten. They are put "
            "after it.",
            "torch.cat along the token dimension, dim 2.",
        ),
        Mutant(
            "new keys first",
            Step(append=lambda cache, new: torch.cat([new, cache], dim=2)),
            "The new keys and values stand before the cached ones. A cache is in the order of the text.",
            "the order in torch.cat: cached, new.",
        ),
        Mutant(
            "last cached token lost",
            Step(append=last_lost),
            "The new keys begin where the last one was. A cache of n tokens has places 0 to n − 1; the next goes to "
            "place n.",
            "how much of the old cache is kept: all of it.",
        ),
        Mutant(
            "the old cache given back",
            Step(give_back=lambda old, grown: old),
            "The result of a step is right, and you gave back the cache as it came: at the next step the new tokens "
            "are missing.",
            "what is returned: the keys and values with the new ones.",
        ),
        Mutant(
            "only the new ones given back",
            Step(give_back=lambda old, grown: grown[:, :, old.shape[2] :]),
            "You gave back the new keys and values alone: at the next step all that came before is missing.",
            "what is returned: the keys and values of the whole text so far.",
        ),
        Mutant(
            "all keys turned",
            Step(read=apply_rotary),
            "You turned all keys, the cached ones too, by the tables of the new tokens. A key has one position and is "
            "turned once, when it goes into the cache.",
            "what apply_rotary gets: the queries and keys of the new tokens.",
        ),
        Mutant(
            "keys not turned",
            Step(turn=(apply_rotary, unturned, unturned)),
            "Your keys were not turned. They are turned once, when they go into the cache, by the positions of their "
            "tokens.",
            "apply_rotary: on q and on k.",
        ),
        Mutant(
            "turned for one step",
            Step(turn=(apply_rotary, unturned, unturned), read=new_ones_turned),
            "The new keys were turned for this step's attention alone: into the cache they went as they were. The next "
            "step reads them there, and their tokens' tables are gone.",
            "which keys go into the cache: the turned ones.",
        ),
        Mutant(
            "queries not turned",
            Step(turn=(unturned, apply_rotary, unturned)),
            "Your queries were not turned. The score must depend on the distance of two tokens, so both are turned.",
            "apply_rotary: on q and on k.",
        ),
        Mutant(
            "values turned too",
            Step(turn=(apply_rotary,) * 3),
            "Your values were turned. Only the scores should know of positions: q and k.",
            "apply_rotary: not on v.",
        ),
        Mutant(
            "positions from zero",
            Step(turn=(from_zero, from_zero, unturned)),
            "Each step's tokens were turned by the positions 0, 1, 2, … They stand after all that is in the cache: "
            "cos and sin say where.",
            "cos and sin: use those that are given.",
        ),
        Mutant(
            "a cache of all heads",
            Step(give_back=lambda old, grown: gather_from_group(grown, 1)),
            "You gathered keys and values of all ranks into each cache. Your queries only ever ask your own KV heads, "
            "so the rest is memory for nothing, and nothing needs to be sent for it.",
            "the second dimension of your cache: the KV heads of this rank.",
            alone=True,
        ),
        Mutant(
            "never summed",
            Step(end=lambda y: y),
            "Each rank kept what its own heads give. The output projection is cut by its inputs, so its product is a "
            "partial: reduce_from_group is due.",
            "the end of the step.",
        ),
    ),
)
