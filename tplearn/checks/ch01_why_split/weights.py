"""Exercise 01.2: the bytes of weights that one rank keeps."""

from torch import Generator

from tplearn.checks.ch01_why_split.counted import COUNTED
from tplearn.checks.ch01_why_split.counting import count
from tplearn.checks.ch01_why_split.inputs import SIZES, kv_kinds, kv_label, shape_for
from tplearn.checks.exercise import Case, Exercise, Mutant, mutants_of
from tplearn.planning.memory import parameter_count, weight_bytes_per_rank
from tplearn.planning.models import ModelShape

NOT_CUT = (
    "not cut",
    "Every rank of yours keeps all KV heads. While there are enough of them, K and V are cut by heads, as Q is.",
    "where tp enters the width of k and v.",
)
BELOW = (
    "below one head",
    "Your K and V go on shrinking above num_key_value_heads ranks. From there on each rank keeps one whole head.",
    "tp 4 of a model with 2 KV heads.",
)
ALL_COPIED = (
    "all copied",
    "Where there are fewer KV heads than ranks, every rank of yours keeps all of them. Each needs one: the head that "
    "its query heads share.",
    "tp 4 of a model with 2 KV heads.",
)
NO_HEAD = (
    "no head left",
    "Above num_key_value_heads ranks your ranks have no K and no V. Every rank needs a head: one whole head, a copy.",
    "kv_heads // tp, where tp is larger than kv_heads.",
)
BITS = ("bits", "Your result is 8 times the right one: you counted bits.", "the last factor.")
NUMBERS = ("numbers", "You counted numbers, not bytes: the bytes a number takes are missing.", "the last factor.")


def weight_cases(generator: Generator) -> list[Case]:
    """(shape, tp, bytes_per_parameter), with KV heads cut and copied, vocabularies that divide and that do not."""
    cases = []
    for tp in SIZES:
        for copied in kv_kinds(tp):
            for tied, bias, even, size in ((False, False, False, 2), (True, True, True, 4), (False, True, False, 1)):
                shape = shape_for(generator, tp, copied=copied, even_vocabulary=even, tied=tied, bias=bias)
                cases.append(Case(tp, (shape, tp, size), label=kv_label(copied)))
    return cases


def _all_divided(shape: ModelShape, tp: int, bytes_per_parameter: int) -> int:
    return parameter_count(shape) * bytes_per_parameter // tp


def _all_but_norms(shape: ModelShape, tp: int, bytes_per_parameter: int) -> int:
    norms = (2 * shape.num_hidden_layers + 1) * shape.hidden_size
    return ((parameter_count(shape) - norms) // tp + norms) * bytes_per_parameter


def _tp_ignored(shape: ModelShape, tp: int, bytes_per_parameter: int) -> int:
    return parameter_count(shape) * bytes_per_parameter


WEIGHT_BYTES_PER_RANK = Exercise(
    number="01.2",
    name="weight_bytes_per_rank",
    points=15,
    difficulty=2,
    minutes=15,
    reference=weight_bytes_per_rank,
    cases=weight_cases,
    mutants=(
        Mutant(
            "all divided",
            _all_divided,
            "You divided the whole model by tp. But norms stay whole, KV heads stop at one, and tables are padded.",
            "tensor by tensor: what does one rank keep of it?",
        ),
        Mutant(
            "all but norms",
            _all_but_norms,
            "You divided everything but the norms by tp, as the chapter's on_one_rank does. But KV heads stop at one a "
            "rank, and tables are padded first.",
            "k and v, and the two tables.",
        ),
        Mutant("tp ignored", _tp_ignored, "That is the whole model. Asked is what one rank keeps of it.", "tp."),
        *mutants_of(
            count,
            *COUNTED,
            NOT_CUT,
            ALL_COPIED,
            BELOW,
            NO_HEAD,
            BITS,
            NUMBERS,
            ("q not cut", "Your q and o are whole on every rank. Query heads are cut: heads / tp a rank.", "q and o."),
            (
                "o cut twice",
                "Your o is cut by its inputs and by its outputs. It is cut once, by the heads it reads: [hidden, "
                "heads / tp · head_dim].",
                "o.",
            ),
            ("o not cut", "Your o is whole on every rank. It is cut by the heads it reads, as q is.", "o."),
            (
                "biases whole",
                "Every rank of yours keeps the biases of all heads. A bias is cut with the outputs that it belongs to.",
                "the biases of q, k and v.",
            ),
            ("mlp whole", "Your MLP is whole on every rank. Its inner width, intermediate_size, is cut.", "the MLP."),
            (
                "down whole",
                "gate and up are cut, and down is whole. down is cut along its inputs, the same width.",
                "down.",
            ),
            ("norms cut", "Your norms shrink with tp. They are not cut: every rank keeps every norm whole.", "norms."),
            (
                "tables whole",
                "Your embedding and lm_head stay whole. Both are cut by rows of the vocabulary.",
                "the two tables.",
            ),
            (
                "embedding whole",
                "Your embedding stays whole. It is cut by rows of the vocabulary, as the lm_head is.",
                "the embedding.",
            ),
            (
                "padded to 128",
                "You padded the vocabulary to a multiple of 128 · tp, as Megatron-LM does. Here it is padded to a "
                "multiple of tp.",
                "the rows of the two tables.",
            ),
            (
                "remainder",
                "You dropped the remainder of the vocabulary: the last tokens belong to nobody.",
                "vocab_size // tp.",
            ),
            (
                "one row more",
                "You gave each rank one row more than vocab_size // tp, also where the vocabulary divides. Then "
                "nothing is padded.",
                "a vocabulary that divides by tp.",
            ),
            (
                "tables cut by columns",
                "You divided a table's size by tp. A rank keeps whole rows: the vocabulary is padded first, so that "
                "every rank has the same number of them.",
                "where you round up.",
            ),
        ),
    ),
    ready=("tplearn.planning.memory.weight_bytes_per_rank",),
)
