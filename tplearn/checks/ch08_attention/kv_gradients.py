"""Exercise 08.4: KV heads that several ranks hold: the gradients of their weight and bias, summed in one message."""

from torch import Generator, Tensor

from tplearn.checks.ch08_attention import kv_sums
from tplearn.checks.ch08_attention.drive import among_copies
from tplearn.checks.ch08_attention.inputs import HIDDEN, LAYOUTS
from tplearn.checks.ch08_attention.kv_sums import Group, Pair
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each
from tplearn.ranks import per_rank


def sum_kv_gradients(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group
) -> Pair:
    """[(heads + 2·kv_heads)·d, hidden] and [the same rows] → both, with their KV rows summed over `group`."""
    return kv_sums.sum_rows(weight_gradient, bias_gradient, *kv_sums.kv_rows(head_dim, heads, kv_heads), group)


def _cases(generator: Generator) -> list[Case]:
    """Groups of neighbours, as the heads are given out; once two that are none: whoever makes groups alone is seen."""
    cases = []
    for layout in LAYOUTS:
        neighbours = tuple(tuple(range(r, r + layout.copies)) for r in range(0, layout.tp, layout.copies))
        for groups in (neighbours, ((0, 2), (1, 3))) if layout[:3] == (4, 8, 2) else (neighbours,):
            heads, kv_heads = layout.heads // layout.tp, max(1, layout.kv_heads // layout.tp)
            rows = (heads + 2 * kv_heads) * layout.head_dim
            weights = per_rank(one_each(layout.tp, generator, rows, HIDDEN))
            biases = per_rank(one_each(layout.tp, generator, rows))
            label = layout.label + ("" if groups == neighbours else ", groups [0, 2] and [1, 3]")
            cases.append(Case(layout.tp, (weights, biases, layout.head_dim, heads, kv_heads, groups), label=label))
    return cases


SUM_KV_GRADIENTS = Exercise(
    number="08.4",
    name="sum_kv_gradients",
    points=10,
    difficulty=2,
    minutes=12,
    reference=sum_kv_gradients,
    cases=_cases,
    observe=among_copies,
    ranks=True,
    mutants=(
        Mutant(
            "replicated KV gradients not summed",
            kv_sums.nothing,
            "Each copy of a KV head kept the gradient of its own query heads. The dense gradient is the sum over all "
            "query heads of the group, which sit on several ranks. Each copy then takes a step of its own, and the "
            "copies drift apart.",
            "the rows from heads · d on: what the other copies know is missing.",
        ),
        Mutant(
            "mean for sum",
            kv_sums.mean,
            "You divided by the number of copies. The copies' gradients are not estimates of one number, as in data "
            "parallelism: each comes from other query heads. They add up.",
            "the division.",
        ),
        Mutant(
            "query gradients summed too",
            kv_sums.over(lambda d, heads, kv: (0, (heads + 2 * kv) * d)),
            "You summed the whole shard. The query rows of different ranks belong to different heads: their gradients "
            "are finished, and have nothing to do with each other.",
            "the first heads · d rows: leave them.",
        ),
        Mutant(
            "summed over all ranks",
            kv_sums.over(kv_sums.kv_rows, everywhere=True),
            "You summed over every rank. Ranks of other groups hold other KV heads, so you added gradients of "
            "different heads. Only the ranks with the same heads form a sum: that is what group is for.",
            "the group argument.",
        ),
        Mutant(
            "values forgotten",
            kv_sums.over(lambda d, heads, kv: (heads * d, (heads + kv) * d)),
            "Your keys are summed and your values are not. Both are copied, so both gradients are partials.",
            "where the rows to sum end: 2 · kv_heads · d rows after the queries.",
        ),
        Mutant(
            "keys forgotten",
            kv_sums.over(lambda d, heads, kv: ((heads + kv) * d, (heads + 2 * kv) * d)),
            "Your values are summed and your keys are not. Both are copied, so both gradients are partials.",
            "where the rows to sum begin: after heads · d rows.",
        ),
        Mutant(
            "heads for rows",
            kv_sums.over(lambda d, heads, kv: (heads, (heads + 2 * kv) * d)),
            "You summed from row `heads` on. A head has d rows: the queries take the first heads · d.",
            "the first row to sum.",
        ),
        Mutant(
            "bias forgotten",
            kv_sums.weight_only,
            "The weight is right, and the bias was not summed. Its numbers belong to the same rows: those of keys and "
            "values are copied, and have partials too.",
            "the second of the two results.",
        ),
        Mutant(
            "the bias of the queries too",
            kv_sums.whole_bias,
            "The weight is right, and the bias was summed as a whole. Its first heads · d numbers belong to query "
            "heads, which no other rank has.",
            "the first heads · d numbers of the bias.",
        ),
        Mutant(
            "a message for weight and one for bias",
            kv_sums.each_alone,
            "The numbers are right, in two messages. A message costs time however short it is: put the rows of the "
            "bias beside those of the weight, sum once, and take them apart.",
            "torch.cat before the sum.",
        ),
        Mutant(
            "two messages, in place",
            kv_sums.slices_in_place,
            "You summed the rows where they lie, so the gradients that you were given have changed: whoever calls you "
            "twice gets the sum of sums. And it took two messages, where one does for weight and bias together.",
            "torch.cat of the rows of weight and bias, which makes a copy; sum it, and take it apart.",
        ),
        Mutant(
            "four messages",
            kv_sums.four_messages,
            "The numbers are right, in four messages. Keys and values lie side by side in the shard, and the bias can "
            "be put beside them: one sum does.",
            "torch.cat before the sum.",
        ),
        Mutant(
            "gradients changed in place",
            kv_sums.in_place,
            "Your sum is right, and the gradients that you were given are not what they were. Whoever calls you twice "
            "gets the sum of sums.",
            "write into a copy, or use reduce_from_group, which makes one.",
        ),
    ),
)
