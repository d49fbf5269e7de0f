"""The models that exhibits are, with words: the loss of every token, an embedding, a small Llama."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.llama import Llama, LlamaConfig
from tplearn.museum.models import Layer
from tplearn.museum.sizes import PADDING, Sizes
from tplearn.parallel import (
    ParallelLMHead,
    ParallelRMSNorm,
    Place,
    VocabParallelEmbedding,
    vocab_parallel_cross_entropy,
)


class TokenLoss(nn.Module):
    """The loss of every token, from x: [batch, seq, hidden] and targets: [batch, seq] → [batch, seq].

    loss(logits, targets, words, place) takes the head's logits: this rank's words, or with `gather` all of them.
    """

    def __init__(self, sizes: Sizes, place: Place, loss: Callable[..., Tensor], gather: bool) -> None:
        super().__init__()
        self.place, self.words, self.loss = place, sizes.vocab, loss
        self.norm = ParallelRMSNorm(sizes.hidden, group=place)
        self.head = ParallelLMHead(sizes.vocab, sizes.hidden, gather_output=gather, group=place)

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        """→ [batch, seq]."""
        return self.loss(self.head(self.norm(x)), targets, self.words, self.place)


def loss_of_shards(logits: Tensor, targets: Tensor, words: int | None, place: Place) -> Tensor:
    """Cross-entropy of logits [..., words/p]; `words` None: p times as many as the columns given."""
    return vocab_parallel_cross_entropy(logits, targets, vocab_size=words, reduction="none", group=place)


def loss_of_shards_unchecked(logits: Tensor, targets: Tensor, words: int, place: Place) -> Tensor:
    """The same, without saying how many words there are."""
    return loss_of_shards(logits, targets, None, place)


def loss_of_whole(logits: Tensor, targets: Tensor, words: int, place: Place) -> Tensor:
    """Cross-entropy of logits [..., words]."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


class Words(nn.Module):
    """An embedding with a padding word. ids: [batch, seq] → [batch, seq, hidden]."""

    def __init__(self, sizes: Sizes, place: Place, layer: Layer = VocabParallelEmbedding) -> None:
        super().__init__()
        self.embed_tokens = layer(sizes.vocab, sizes.hidden, PADDING, place)

    def forward(self, ids: Tensor) -> Tensor:
        """→ [batch, seq, hidden]."""
        return self.embed_tokens(ids)


class SmallLlama(Llama):
    """A Llama of one layer with one KV head, which every rank holds. ids: [batch, seq] → its loss."""

    def __init__(self, sizes: Sizes, place: Place) -> None:
        config = LlamaConfig(
            hidden_size=sizes.hidden,
            intermediate_size=sizes.intermediate,
            num_hidden_layers=1,
            num_attention_heads=sizes.heads,
            num_key_value_heads=1,
            vocab_size=sizes.vocab,
        )
        super().__init__(config, place)

    def forward(self, ids: Tensor) -> Tensor:
        """The mean loss of each word's prediction from those before it."""
        return self.loss(ids[:, :-1], ids[:, 1:])
