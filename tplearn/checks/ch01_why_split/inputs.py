"""The shapes on which chapter 01's answers are tried: KV heads cut and copied, odd vocabularies, a free head_dim."""

from torch import Generator

from tplearn.checks.inputs import pick
from tplearn.planning.models import ModelShape

SIZES = (1, 2, 3, 4)  # tp


def shape_for(
    generator: Generator,
    tp: int,
    *,
    copied: int = 0,
    even_vocabulary: bool = False,
    tied: bool = False,
    bias: bool = False,
) -> ModelShape:
    """A model that tp ranks can cut, its KV heads one or more a rank, or so many as are `copied`: fewer than ranks.

    The query width is never hidden_size. A vocabulary that is not even leaves 1 over.
    """
    kv_heads = copied or tp * pick(generator, 1, 2)
    heads = (tp if copied else 1) * kv_heads * pick(generator, 2, 3)
    head_dim = pick(generator, 2, 4, 24)  # divides by every tp: half a head is a whole number of values
    return ModelShape(
        hidden_size=heads * (head_dim + 2 * pick(generator, 1, 5)),
        intermediate_size=pick(generator, 60, 90, 12),
        num_hidden_layers=pick(generator, 2, 6),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=pick(generator, 200, 400, 12) + (0 if even_vocabulary else 1),
        tie_word_embeddings=tied,
        qkv_bias=bias,
    )


def kv_kinds(tp: int) -> list[int]:
    """How many KV heads are copied, for every kind of case that tp allows; 0: they are cut."""
    return [0, *(heads for heads in range(1, tp) if tp % heads == 0)]


def kv_label(copied: int) -> str:
    """What sets the kinds apart."""
    return {0: "KV heads to cut", 1: "one KV head for all ranks"}.get(copied, "fewer KV heads than ranks")
