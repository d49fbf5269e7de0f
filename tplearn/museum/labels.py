"""The labels on the exhibits' backs: what each one is, the public bug or false alarm it comes from, and what mends it.

Nothing that takes or hands on a fingerprint imports this file.
"""

from dataclasses import dataclass

RIGHT = "right"
GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Label:
    """name: the diagnosis. shows: what gives it away. source: where it happened. mend: what to do instead."""

    name: str
    shows: str
    source: str
    mend: str


LABELS: dict[str, Label] = {
    "A": Label(
        "bias added by every rank",
        "the result is off on all ranks alike, and every gradient is right",
        GITHUB + "huggingface/text-generation-inference/issues/1036",
        "reduce_from_group(F.linear(x, weight)) + bias",
    ),
    "B": Label(
        "whole layer summed",
        "the result is tp times the right one, and a rank holds all weights",
        GITHUB + "lightseekorg/tokenspeed/pull/80",
        "cut both matrices, or drop the all-reduce",
    ),
    "C": Label(
        RIGHT,
        "rank 0 alone adds the bias, so it is added once",
        GITHUB + "GeeeekExplorer/nano-vllm/issues/99",
        "",
    ),
    "D": Label(
        "all-reduce missing",
        "each rank has another result, and forward is one all-reduce short",
        GITHUB + "sgl-project/sglang/pull/14811",
        "reduce_from_group(F.linear(x, weight)) + bias",
    ),
    "E": Label(
        "own dropout mask",
        "each rank has another result, and no message is missing",
        GITHUB + "tenstorrent/tt-metal/issues/55947",
        "one seed for all ranks of the group where the tensor is replicated",
    ),
    "F": Label(
        "whole logits taken for a shard",
        "every token's loss is log(tp) too large",
        GITHUB + "NVIDIA/Megatron-LM/issues/7452",
        "ParallelLMHead(..., gather_output=False), or vocab_size=words, which refuses whole logits",
    ),
    "G": Label(
        "QKV cut as one block",
        "the result and every gradient are off, on all ranks alike, and no message is missing",
        GITHUB + "hpcaitech/ColossalAI/issues/817",
        "cut q, k and v each by heads: QKVParallelLinear",
    ),
    "H": Label(
        RIGHT,
        "off by percents in bfloat16, by nothing in float64: sums in another order",
        GITHUB + "pytorch/pytorch/issues/144359",
        "",
    ),
    "I": Label(
        "bias divided by tp",
        "the result is right, and the bias's gradient is 1/tp of the right one",
        GITHUB + "pytorch/torchtitan/pull/4332",
        "add the bias once, after the sum",
    ),
    "J": Label(
        "mean for sum",
        "replicated parameters' gradients are 1/tp of the right ones, after an all-reduce that is due",
        GITHUB + "EleutherAI/gpt-neox/pull/1259",
        "sum the partials: sync_gradients(model)",
    ),
    "K": Label(
        "f missing",
        "x's gradient is another one on each rank, and backward is one all-reduce short",
        GITHUB + "pytorch/torchtitan/pull/2416",
        "F.linear(copy_to_group(x), weight, bias)",
    ),
    "L": Label(
        "graph cut",
        "what is before the all-reduce gets no gradient at all",
        GITHUB + "modelscope/ms-swift/pull/9947",
        "reduce_from_group, an autograd Function, in the place of a plain all_reduce",
    ),
    "M": Label(
        "summed on the way back",
        "gradients are tp times too large, tp² one layer further down, and backward has all-reduces too many",
        GITHUB + "pytorch/pytorch/issues/58005",
        "reduce_from_group, whose backward sends nothing",
    ),
    "N": Label(
        "summed once more",
        "replicated parameters' gradients are tp times too large, after all-reduces that are not due",
        GITHUB + "inclusionAI/AReno/pull/496",
        "sum partials only: sync_gradients(model) knows which they are",
    ),
    "O": Label(
        "copies not summed",
        "x's gradient is right where there is one, a copied weight's is another one on each rank, and nothing is sent "
        "after backward",
        GITHUB + "bigcode-project/Megatron-LM/pull/37",
        "sync_gradients(model) after backward",
    ),
    "P": Label(
        "local padding index",
        "an embedding's gradient is off, with no message missing and no copy that differs",
        GITHUB + "pytorch/torchtitan/pull/4637",
        "padding_idx - start, on the rank that has this word, and None on the others",
    ),
    "Q": Label(
        "an f for each layer",
        "all numbers are right, and backward has an all-reduce too many",
        GITHUB + "huggingface/picotron/blob/main/picotron/tensor_parallel/tensor_parallel.py",
        "one copy_to_group before gate and up, or one merged layer",
    ),
    "R": Label(
        RIGHT,
        "two row layers without an all-reduce, and one for their sum: half the messages",
        GITHUB + "NVIDIA/TensorRT-LLM/pull/9542",
        "",
    ),
    "S": Label(
        "logits gathered",
        "all numbers are right, and forward has fewer messages, of more bytes",
        GITHUB + "meta-pytorch/torchforge/pull/608",
        "vocab_parallel_cross_entropy on the shards",
    ),
    "T": Label(
        "nothing cut",
        "all numbers are right and nothing is sent, because each rank holds and computes everything",
        "https://docs.pytorch.org/tutorials/intermediate/TP_tutorial.html",
        "a plan whose keys are the modules' names: feed_forward, not feed_foward",
    ),
}

FORWARD_BUGS = tuple(LABELS[name].name for name in "ABDEFG")
GRADIENT_BUGS = tuple(LABELS[name].name for name in "IJKLMNOP")
LEDGER_BUGS = tuple(LABELS[name].name for name in "QST")
