"""Cross-entropy of logits that are cut by words: a maximum and two sums cross the wire, never the logits."""

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Group, Place
from tplearn.parallel.words import require_words, vocab_range
from tplearn.sizes import is_number, require_whole, shown
from tplearn.tensors import require_floating, require_tensor

REDUCTIONS = ("mean", "sum", "none")


def vocab_parallel_cross_entropy(
    logits_shard: Tensor,
    targets: Tensor,
    *,
    vocab_size: int | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    group: Group = None,
) -> Tensor:
    """F.cross_entropy of the whole logits, from this rank's columns of them; the same loss on every rank.

    logits_shard: [..., ⌈words/p⌉], padding at the end of the last ranks. targets: [...], words of the whole vocabulary,
    the same on every rank, or `ignore_index`. vocab_size: words; without it, p times the columns given. Half precision
    is computed in float32. Megatron-LM: `vocab_parallel_cross_entropy`; DTensor: `loss_parallel`.

    Communication: three all-reduces of [...] forward, none backward.

    Raises ValueError for logits that are not one rank's columns (whole ones, for instance, where vocab_size is given),
    targets of another shape or kind or outside the vocabulary, and a reduction, smoothing or ignore_index that is none.
    """
    place = Place.of(group)
    require_floating("logits_shard", logits_shard)
    require_tensor("targets", targets)
    if logits_shard.ndim == 0:
        raise ValueError("logits_shard is a single number; [..., words/p] works")
    vocab_size = logits_shard.shape[-1] * place.world_size if vocab_size is None else vocab_size
    start, stop, rows = vocab_range(vocab_size, place.rank, place.world_size)
    if logits_shard.shape[-1] != rows:
        raise ValueError(
            f"logits_shard has {logits_shard.shape[-1]} columns; of vocab_size = {vocab_size} over "
            f"tp = {place.world_size} each rank has {rows}"
        )
    if targets.shape != logits_shard.shape[:-1]:
        raise ValueError(f"targets of shape {tuple(targets.shape)}; shape that works: {tuple(logits_shard.shape[:-1])}")
    if targets.device != logits_shard.device:
        raise ValueError(f"targets on {targets.device}, logits on {logits_shard.device}; the same device works")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction = {shown(reduction)} does not exist; values that work: {', '.join(REDUCTIONS)}")
    if not (is_number(label_smoothing) and 0 <= label_smoothing <= 1):
        raise ValueError(f"label_smoothing = {shown(label_smoothing)} is no share; values from 0 to 1 work")
    require_whole("ignore_index", ignore_index, "-100 works, or the word that shall not count")
    counted = targets != ignore_index
    words = targets.masked_fill(~counted, 0)
    require_words("targets", words, vocab_size)
    losses = _VocabParallelCrossEntropy.apply(logits_shard, words, (start, stop), vocab_size, label_smoothing, place)
    losses = losses.masked_fill(~counted, 0)
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / counted.sum()


class _VocabParallelCrossEntropy(Function):
    """One loss for each token, from the columns [start, stop) of its logits.

    forward:  m = max z,  s = Σ exp(z − m),  t = z[target] − m,  u = mean of z − m over the vocabulary;
              loss = log s − (1 − ε) t − ε u
    backward: dz = exp(z − m) / s − (1 − ε) [word = target] − ε / words
    """

    @staticmethod
    def forward(  # noqa: ANN205
        ctx,  # noqa: ANN001
        logits_shard: Tensor,
        targets: Tensor,
        own: tuple[int, int],
        vocab_size: int,
        smoothing: float,
        place: Place,
    ):
        size = own[1] - own[0]
        z = logits_shard.float() if logits_shard.dtype.itemsize < 4 else logits_shard
        z = z - plain_all_reduce(z.amax(-1), place, "max")[..., None]
        exp = z.exp()
        total = plain_all_reduce(exp.sum(-1), place)
        elsewhere = (targets < own[0]) | (targets >= own[1])
        column = (targets - own[0]).masked_fill(elsewhere, 0)[..., None]
        of_target = z.gather(-1, column).squeeze(-1).masked_fill(elsewhere, 0)
        pull = (1 - smoothing) * of_target
        if smoothing:
            pull = pull + smoothing / vocab_size * z[..., :size].sum(-1)
        ctx.save_for_backward(exp.div_(total[..., None]), column, elsewhere)
        ctx.size, ctx.vocab_size, ctx.smoothing, ctx.dtype = size, vocab_size, smoothing, logits_shard.dtype
        return total.log() - plain_all_reduce(pull, place)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        softmax, column, elsewhere = ctx.saved_tensors
        gradient = softmax * grad_output[..., None]
        of_target = (grad_output * (ctx.smoothing - 1)).masked_fill(elsewhere, 0)
        gradient.scatter_add_(-1, column, of_target[..., None])
        if ctx.smoothing:
            gradient[..., : ctx.size] -= ctx.smoothing / ctx.vocab_size * grad_output[..., None]
        return gradient.to(ctx.dtype), None, None, None, None, None
