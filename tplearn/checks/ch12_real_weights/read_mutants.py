"""What the wrong answers to exercise 12.1 show: too much read, wrong rows, wrong columns, wrong words."""

from tplearn.checks.ch12_real_weights.read_wrong import wrong_read
from tplearn.checks.exercise import mutants_of

MUTANTS = mutants_of(
    wrong_read,
    (
        "load all, then slice",
        "Your shards are right, but you read tensors whole and cut them afterwards. On p ranks the file is then read "
        "p times, and each rank needs room for the largest tensor. That is what runs out of memory on big models. "
        "Slice first: get_slice(name)[start:stop] reads these rows and no others.",
        "the bytes read of qkv_proj: rows of the shard times bytes of a row.",
    ),
    (
        "q, k and v whole",
        "Your shards are right, but you read q_proj, k_proj and v_proj whole, and cut afterwards. Slice each of them "
        "first, then torch.cat the slices.",
        "the bytes read of qkv_proj: rows of the shard times bytes of a row.",
    ),
    (
        "whole tensors of fused parameters",
        "Your shards are right, but for the fused parameters you read each tensor whole, and cut what you had put "
        "together. Slice each of q_proj, k_proj and v_proj first, then torch.cat the slices.",
        "the bytes read of qkv_proj and gate_up_proj.",
    ),
    (
        "whole rows for columns",
        "Your shards are right, but for o_proj and down_proj you read whole rows and cut columns out of them. [:, "
        "start:stop] on the handle reads these columns and no others.",
        "the bytes read of o_proj and down_proj.",
    ),
    (
        "fused parameter cut as one block",
        "You put q, k and v (gate and up) one above the other and cut the pile in equal runs. Rank 0 then has nothing "
        "but queries. Each tensor is cut by its own rows first; then the slices are put together.",
        "the order: slice each of q_proj, k_proj, v_proj, then torch.cat.",
    ),
    (
        "gate and up cut as one block",
        "You put gate above up and cut the pile in equal runs: the first ranks then have nothing but gate. Each of the "
        "two is cut by its own rows first; then the slices are put together.",
        "the order: slice gate_proj and up_proj, then torch.cat.",
    ),
    (
        "fused in reverse",
        "The slices of the fused parameters stand in another order: queries, keys, values from top to bottom, and "
        "gate above up.",
        "the order in torch.cat.",
    ),
    (
        "rows of gate and up interleaved",
        "You interleaved the rows of gate and up. The rank's rows of gate come first, all of them, and then its rows "
        "of up.",
        "gate_up_proj: torch.cat, not stack.",
    ),
    (
        "keys for values",
        "The keys stand twice in your qkv_proj, and the values are missing.",
        "the third slice: v_proj.",
    ),
    (
        "rows where columns are due",
        "o_proj and down_proj are cut along their inputs, and a weight is stored as [out, in]: that is dim 1, "
        "columns. You took rows. With a square o_proj even the number of bytes is right.",
        "get_slice(name)[:, start:stop] for o_proj and down_proj.",
    ),
    (
        "o and down whole",
        "You took all of o_proj and down_proj. They are cut along their inputs: each rank has its columns.",
        "get_slice(name)[:, start:stop] for o_proj and down_proj.",
    ),
    (
        "padding forgotten",
        "A rank with fewer words than the others returned fewer rows. All-gather wants the same shape from every "
        "rank, so each has ⌈words/p⌉ rows, and what no word fills is zero.",
        "the third number that vocab_range gives.",
    ),
    (
        "stop below start",
        "A rank without words returned too many rows. It begins after the last word, so stop − start is below zero "
        "there: ⌈words/p⌉ minus that is more than the padding due.",
        "vocab_range, which gives start = stop for such a rank.",
    ),
    (
        "padding on top",
        "The zeros stand above the words. A rank's first row is its first word; the padding comes below.",
        "torch.nn.functional.pad(t, (0, 0, 0, n)) puts n rows below t.",
    ),
    (
        "words shared out evenly",
        "You shared the words out as evenly as they come. Each rank but the last ones has ⌈words/p⌉ of them: the rank "
        "of a word is then word // ⌈words/p⌉, and no table is needed.",
        "vocab_range(words, rank, world_size).",
    ),
    (
        "a rest dropped",
        "You gave each rank words // p words, and nobody the rest. The last words are in no shard.",
        "vocab_range(words, rank, world_size).",
    ),
    (
        "table whole",
        "You took the whole table of words. Each rank has a run of ⌈words/p⌉ rows.",
        "vocab_range(words, rank, world_size).",
    ),
    (
        "KV heads dealt out",
        "Your keys and values belong to KV head rank mod num_kv_heads. With more ranks than KV heads neighbours share "
        "one: rank // copies. Shapes and bytes are right, and queries meet foreign keys.",
        "head_range(...).keys, for k_proj and v_proj alike.",
    ),
    (
        "KV rows cut evenly",
        "You cut the rows of k_proj and v_proj into p equal runs. With more ranks than KV heads that splits a head: a "
        "rank gets half of one, where neighbours share a whole one.",
        "head_range(...).keys, for k_proj and v_proj alike.",
    ),
    (
        "all KV heads",
        "You took all KV heads on every rank. A rank has those that its queries need, and no others: "
        "head_range(...).keys.",
        "the rows of k_proj and v_proj.",
    ),
    (
        "head_dim forgotten",
        "For you a head is one row. It is d rows of q_proj, k_proj and v_proj, and d is among the sizes.",
        "the numbers of head_range, times d.",
    ),
    (
        "heads for columns",
        "You took heads for columns. A head is d columns of o_proj.",
        "o_proj: equal columns, or query heads times d.",
    ),
    ("rank 0's", "Every rank read rank 0's shard.", "the argument rank."),
)
