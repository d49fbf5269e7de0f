"""Exercise 08.1: which query heads and which KV heads a rank computes, also with more ranks than KV heads."""

from torch import Generator

from tplearn.checks.ch08_attention import head_rules as wrong
from tplearn.checks.ch08_attention.drive import every_rank
from tplearn.checks.ch08_attention.head_rules import heads_of_rank
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick


def _cases(generator: Generator) -> list[Case]:
    """(heads for each KV head, KV heads, tp), and what is refused: in each of the three ways, at more than one tp."""

    def case(heads: int, kv_heads: int, tp: int) -> Case:
        return Case(tp, (heads, kv_heads, tp))

    shared = pick(generator, 1, 3)
    fitting = [(4, 2, 1), (2 * shared, 4, 2), (4 * shared, 2, 4), (4 * shared, 1, 4), (3 * shared, 3, 3)]
    fitting += [(3 * shared, 3, 9), (2 * shared, 6, 3), (8, 1, 8), (1, 4, 4)]
    uneven_kv = [(4 * shared, 3, 2), (6 * shared, 2, 3), (6 * shared, 4, 6)]
    uneven_heads = [(3, 3, 2), (5, 2, 4), (1, 8, 16)]
    no_groups = [(8, 3, 2), (12, 8, 4), (9, 2, 3)]
    return [case(each * kv_heads, kv_heads, tp) for each, kv_heads, tp in fitting + uneven_kv + uneven_heads] + [
        case(*sizes) for sizes in no_groups
    ]


HEADS_OF_RANK = Exercise(
    number="08.1",
    name="heads_of_rank",
    points=5,
    difficulty=2,
    minutes=8,
    reference=heads_of_rank,
    cases=_cases,
    observe=every_rank,
    items="for rank {}".format,
    mutants=(
        Mutant(
            "KV head off by one",
            wrong.ranges_with(wrong.one_further),
            "With c = tp / num_kv_heads copies of each KV head, rank r needs KV head r // c. Yours is one too far for "
            "the last rank of each set of copies: ranks count from 0.",
            "the last rank: its KV head is num_kv_heads − 1.",
        ),
        Mutant(
            "KV heads dealt like cards",
            wrong.ranges_with(wrong.dealt),
            "You gave rank r the KV head r mod num_kv_heads, as cards are dealt. But query heads are given out in "
            "runs: ranks 0 and 1 are neighbours in the same group, and need the same KV head. It is r // copies.",
            "the first two ranks where tp is twice the number of KV heads.",
        ),
        Mutant(
            "rank divided by the KV heads",
            wrong.ranges_with(wrong.by_kv_heads),
            "Where a KV head is copied yours is rank // num_kv_heads. A KV head has tp / num_kv_heads copies, and so "
            "many neighbours share it: it is rank // copies. The two are the same only where there are as many copies "
            "as KV heads.",
            "8 query heads and 1 KV head on 4 ranks: all need KV head 0.",
        ),
        Mutant(
            "KV stop rounded down",
            wrong.ranges_with(wrong.rounded_stop),
            "You rounded both ends of the KV range down. Where several ranks share a KV head, the stop falls back "
            "onto the start: all but the last of them have no KV head at all.",
            "the stop: at least one KV head more than the start.",
        ),
        Mutant(
            "as many KV heads as query heads",
            wrong.ranges_with(wrong.as_many_as_queries),
            "Your KV heads are your query heads. That is multi-head attention. With grouped queries, query head i "
            "uses KV head i // (num_heads / num_kv_heads).",
            "which of the two head counts the KV range is made from.",
        ),
        Mutant(
            "no KV head left",
            wrong.ranges_with(wrong.none_left),
            "num_kv_heads // tp is 0 as soon as there are more ranks than KV heads, so your ranks attend to nothing. "
            "A KV head cannot be shared out further: it is copied.",
            "the number of KV heads of a rank: at least 1.",
        ),
        Mutant(
            "one KV head always",
            wrong.ranges_with(wrong.always_one),
            "Your ranks have one KV head each. Where there are more KV heads than ranks, a rank has several: all that "
            "its query heads use, up to the last one's.",
            "the stop of the KV range: it follows from the rank's last query head.",
        ),
        Mutant(
            "all KV heads on every rank",
            wrong.ranges_with(wrong.all_of_them),
            "Your ranks hold all KV heads. A rank needs those that its own query heads use, and no others: the rest "
            "would be memory for nothing.",
            "the KV range: it depends on the rank.",
        ),
        Mutant(
            "all query heads of the KV heads",
            wrong.ranges_with(queries=wrong.of_the_group),
            "The copies of a KV head all compute the same query heads: all that it serves. Only K and V are copied; "
            "the query heads are shared out, and each is computed once.",
            "the query range: num_heads / tp heads, by the rank alone.",
        ),
        Mutant(
            "query heads by the KV index",
            wrong.ranges_with(queries=wrong.by_kv_index),
            "The copies of a KV head get the same query heads in your answer, those of index rank // copies. So some "
            "query heads are computed twice and others by nobody. Only K and V are copied; each rank has its own "
            "queries.",
            "the query range: it goes by the rank alone.",
        ),
        Mutant(
            "the last one for the stop",
            wrong.last_for_stop,
            "Your ranges end with the last head, (first, last). Here they end with the one after it, (first, stop), "
            "as a slice does.",
            "the second number of each pair.",
        ),
        Mutant(
            "the count for the stop",
            wrong.count_for_stop,
            "The second number of your pairs is how many heads there are. It should be where they stop: first + count.",
            "the second number of each pair.",
        ),
        Mutant(
            "counted from 0 on every rank",
            wrong.local,
            "Your ranges begin at 0 on every rank. Heads are counted over the whole model: the ranges of the ranks "
            "lie one after the other.",
            "the first number of each pair, from rank 1 on.",
        ),
        Mutant(
            "copies refused",
            wrong.no_copies,
            "You refuse more ranks than KV heads. That is legal where tp is a multiple of num_kv_heads: each KV head "
            "is then held by tp / num_kv_heads neighbours.",
            "the third condition: one of num_kv_heads and world_size divides the other.",
        ),
        Mutant(
            "nothing is refused",
            wrong.careless(groups=False, heads=False, kv=False),
            "Your ranges are right where they can be. Where the heads do not come out even you return something all "
            "the same, and some heads belong to nobody, or a rank's queries to KV heads that it does not have.",
            "raise a ValueError unless kv divides heads, tp divides heads, and of tp and kv one divides the other.",
        ),
        Mutant(
            "groups of different sizes",
            wrong.careless(groups=False),
            "You do not ask whether num_kv_heads divides num_heads. If it does not, the query heads cannot be given "
            "out to the KV heads in groups of one size.",
            "num_heads = 8, num_kv_heads = 3.",
        ),
        Mutant(
            "query heads left over",
            wrong.careless(heads=False),
            "You do not ask whether world_size divides num_heads. If it does not, some query heads are left over.",
            "num_heads % world_size.",
        ),
        Mutant(
            "a group torn apart",
            wrong.careless(kv=False),
            "You do not ask whether num_kv_heads and world_size fit. 12 query heads do divide by 2, but with 3 KV "
            "heads rank 0 gets all four queries of KV head 0 and two of the four of KV head 1.",
            "one of num_kv_heads and world_size must divide the other.",
        ),
    ),
    ready=("tplearn.parallel.heads",),
)
