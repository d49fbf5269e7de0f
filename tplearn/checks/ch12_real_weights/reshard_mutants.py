"""What the wrong answers to exercise 12.6 show: shards cut in place, copies of KV heads, and old padding."""

from tplearn.checks.ch12_real_weights.reshard_wrong import wrong_reshard
from tplearn.checks.exercise import mutants_of

COPIES = "the rows of your dense K: KV heads · head_dim."

MUTANTS = mutants_of(
    wrong_reshard,
    (
        "shards cut in place",
        "You split each fused shard by itself, or put neighbours together. A shard is queries, then keys, then "
        "values: half of it is all queries, and two of them in a row are q k v q k v. Go by way of the dense "
        "parameter: take apart, join, cut anew.",
        "what the first new shard has: queries, keys and values are all due.",
    ),
    (
        "the old number of ranks",
        "You cut for as many ranks as there were. The new number is world_size.",
        "the loops over ranks, and head_range and vocab_range in them.",
    ),
    (
        "dense parameter as one block",
        "You took the shards apart rightly, and then cut the dense parameter in equal runs: the first new shards are "
        "all queries. Each new shard has its queries, its keys and its values.",
        "the new shards: slices of Q, of K and of V.",
    ),
    (
        "split for the dense sizes",
        "You split each old shard in the proportion of all heads. Where KV heads were copied a shard has more keys "
        "and values than that: head_range(…, rank, old) says how many.",
        "the sizes in your split of an old shard.",
    ),
    (
        "copies summed",
        "You added up the copies of a KV head. Their gradients are partials; the weights themselves are equal, and "
        "the sum of c copies is c times too large. Take one of them.",
        "the keys and values where the old number of ranks is larger than the number of KV heads.",
    ),
    (
        "copies taken for heads",
        "You put the keys of all old shards one above the other and cut that in equal runs. Where KV heads were "
        "copied that makes more heads than the model has. Of each KV head one copy counts: head_range(...).kv_copy == "
        "0.",
        COPIES,
    ),
    (
        "copies joined",
        "You put the keys of all old shards one above the other. Where KV heads were copied, the rows of a head in "
        "that pile are others than in the dense K: the second head comes after all copies of the first. Of each KV "
        "head one copy counts: head_range(...).kv_copy == 0.",
        COPIES,
    ),
    (
        "KV rows cut evenly",
        "You cut the rows of K and V into equal runs. With more ranks than KV heads that splits a head. Neighbours "
        "then share a whole one: head_range(...).keys.",
        "the keys and values of the new shards, where there are more ranks than KV heads.",
    ),
    (
        "KV heads dealt out",
        "Your new keys and values belong to KV head rank mod KV heads. With more ranks than KV heads neighbours share "
        "one: head_range(...).keys.",
        "the keys and values of the new shards.",
    ),
    (
        "all KV heads on every rank",
        "You gave every new rank all keys and values. It has those that its queries need: head_range(...).keys.",
        "the keys and values of the new shards.",
    ),
    (
        "keys and values exchanged",
        "Keys and values are exchanged: a shard is queries, keys, values.",
        "the order of the three.",
    ),
    (
        "padding taken for words",
        "You took the old padding for words: it counts among the rows that you share out. It depends on the old "
        "number of ranks, and what stands in it is nobody's. Join, keep the first vocab_size rows, and pad anew with "
        "zeros.",
        "torch.cat(word_shards)[:vocab_size], before you cut.",
    ),
    (
        "old padding left in",
        "The new shards have the right words, but what stood in the old padding fills them up. What no word fills is "
        "zero.",
        "torch.cat(word_shards)[:vocab_size], before you cut.",
    ),
    (
        "words cut in place",
        "You split each shard of words by itself, or put neighbours together. Then the old padding stands where it "
        "stood, and a rank's words are others than vocab_range says.",
        "torch.cat(word_shards)[:vocab_size], and then vocab_range for the new ranks.",
    ),
    (
        "no new padding",
        "A new rank with fewer words than the others got fewer rows. Each has ⌈vocab_size/p⌉; what no word fills is "
        "zero.",
        "the third number that vocab_range gives.",
    ),
    (
        "padded on top",
        "The zeros stand above the words. The padding comes below them.",
        "pad(t, (0, 0, 0, n)) puts n rows below t.",
    ),
    (
        "words shared out evenly",
        "You shared the words out as evenly as they come. Each rank but the last ones has ⌈vocab_size/p⌉ of them, and "
        "all have that many rows.",
        "vocab_range(vocab_size, rank, world_size).",
    ),
)
