"""Exercise 08.2: from Megatron-LM's order, KV head by KV head, to a rank's queries, keys and values."""

from torch import Generator

from tplearn.checks.ch08_attention import qkv_rows as rows
from tplearn.checks.ch08_attention.drive import own_shard
from tplearn.checks.ch08_attention.inputs import HIDDEN, LAYOUTS
from tplearn.checks.ch08_attention.qkv_rows import shard_qkv
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn


def _cases(generator: Generator) -> list[Case]:
    """A weight and, as it is cut in the same way, a bias."""
    cases = []
    for layout in LAYOUTS:
        tp, heads, kv_heads, head_dim = layout
        size = (heads + 2 * kv_heads) * head_dim
        for kind, shape in (("weight", (size, HIDDEN)), ("bias", (size,))):
            args = (randn(generator, *shape), head_dim, heads, kv_heads)
            cases.append(Case(tp, args, label=f"{layout.label}, a {kind}"))
    return cases


SHARD_QKV = Exercise(
    number="08.2",
    name="shard_qkv",
    points=10,
    difficulty=2,
    minutes=12,
    reference=shard_qkv,
    cases=_cases,
    observe=own_shard,
    ranks=True,
    mutants=(
        Mutant(
            "fused QKV cut as one block",
            rows.one_block,
            "You cut the fused weight into tp blocks of rows, one after the other. Where a rank has whole KV heads "
            "these are its rows, in Megatron's order still; where KV heads are copied they are not, for a copy is "
            "more than its block. And what is due is all queries, all keys, all values.",
            "what lies in the weight: for each KV head its queries, its key, its value.",
        ),
        Mutant(
            "Megatron's order kept",
            rows.order_kept,
            "Your rows are the right ones, in the order in which they came: for each KV head its queries, its key, "
            "its value. Here a shard has all of its queries, then all of its keys, then all of its values.",
            "the order of the blocks where a rank has more than one KV head.",
        ),
        Mutant(
            "the page's order",
            rows.as_on_the_page,
            "You read the weight as all queries, all keys, all values, as on the page. This one is in Megatron's "
            "order: the queries of KV head 0, its key, its value, then the same of KV head 1. The shapes are right "
            "all the same.",
            "where the key of KV head 0 begins: after the queries that share it.",
        ),
        Mutant(
            "head_dim cut",
            rows.head_dim_cut,
            "You gave every rank d/tp numbers of every head. A score q·k is a sum over d, so each rank would hold a "
            "partial of every score, and an all-reduce of heads · seq² numbers would be due before the softmax. Whole "
            "heads need none.",
            "the dimension that is cut: heads, not the numbers of a head.",
        ),
        Mutant(
            "a KV head cut in pieces",
            rows.rows_cut,
            "You cut the rows of keys and values into tp equal blocks. With more ranks than KV heads that cuts a head "
            "in pieces: each rank gets some of its d numbers. A KV head is never cut: it is copied.",
            "the keys of a rank: whole heads, at least one.",
        ),
        Mutant(
            "KV heads dealt like cards",
            rows.shard_with(keys=rows.dealt),
            "Your keys and values are those of KV head rank mod num_kv_heads. With more ranks than KV heads, "
            "neighbours share one: it is rank // copies. The shapes are right, and the queries meet foreign keys.",
            "ranks 0 and 1 at tp = 4 with 2 KV heads: both need KV head 0.",
        ),
        Mutant(
            "all KV heads on every rank",
            rows.shard_with(keys=lambda own, heads, kv_heads: (0, kv_heads)),
            "Your queries are cut and your keys and values are whole. A rank then stores, computes and caches all KV "
            "heads. It needs those of its own queries.",
            "the rows of keys and values.",
        ),
        Mutant(
            "one KV head on every rank",
            rows.shard_with(keys=lambda own, heads, kv_heads: (own.keys[0], own.keys[0] + 1)),
            "Your shards have one key head and one value head each. Where there are more KV heads than ranks, a rank "
            "has several.",
            "the range .keys: first and stop.",
        ),
        Mutant(
            "all queries of the KV heads",
            rows.shard_with(queries=rows.of_the_group),
            "You took, with each KV head, all queries that share it. Where several ranks hold copies of a KV head, "
            "its queries are shared out among them.",
            "the range .queries.",
        ),
        Mutant(
            "all queries on every rank",
            rows.shard_with(queries=lambda own, heads, kv_heads: (0, heads)),
            "Your shards hold all query heads. Each rank computes its own.",
            "the range .queries.",
        ),
        Mutant(
            "keys for values",
            rows.shard_with(order=(0, 1, 1)),
            "Your values are keys. In Megatron's order the value of a KV head comes after its key: the last d rows of "
            "its group.",
            "the last d rows of a group.",
        ),
        Mutant(
            "values before keys",
            rows.shard_with(order=(0, 2, 1)),
            "Your shard has its values before its keys. Both for the weight that came and for the shard it is "
            "queries, keys, values.",
            "the order in torch.cat.",
        ),
        Mutant(
            "keys and values in pairs",
            rows.pairs_kept,
            "Your queries are right, and after them come a key, its value, the next key, its value. A shard has all "
            "of its keys, then all of its values. With one KV head on a rank the two are the same.",
            "the order of the rows after the queries.",
        ),
        Mutant(
            "numbers before heads",
            rows.numbers_first,
            "You read the rows of a group as d times (queries + 2). A head's rows lie side by side: the first d rows "
            "of a group are its first query head.",
            "the order of the sizes when rows become [KV head, head in the group, d].",
        ),
    ),
)
