"""The model of chapter 14's exercises: a Qwen3 in small, under torchtitan's names, with norms on queries and keys."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.checks.inputs import randn
from tplearn.parallel import apply_rotary, attend, rotary_tables

# One size for most matrices: DTensor thinks about each new shape for ten milliseconds.
HIDDEN = INNER = 8
HEADS, HEAD_DIM = 4, 2


class Attention(nn.Module):
    """Heads are counted by what is there (−1), so that a rank may have some of them only."""

    def __init__(self, norm: type[nn.Module] = nn.RMSNorm) -> None:
        super().__init__()
        self.wq, self.wk, self.wv = (nn.Linear(HIDDEN, HEADS * HEAD_DIM, bias=False) for _ in range(3))
        self.q_norm, self.k_norm = (norm(HEAD_DIM, 1e-6) for _ in range(2))
        self.wo = nn.Linear(HEADS * HEAD_DIM, HIDDEN, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: [batch, seq, hidden]; cos, sin: [seq, head_dim] → as x."""
        q, k, v = (w(x).unflatten(-1, (-1, HEAD_DIM)) for w in (self.wq, self.wk, self.wv))
        q, k = self.q_norm(q), self.k_norm(k)  # [batch, seq, heads, head_dim]
        q, k, v = (y.transpose(1, 2) for y in (q, k, v))
        y = attend(apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v)
        return self.wo(y.transpose(1, 2).flatten(2))  # [batch, heads, seq, head_dim] → [batch, seq, heads·head_dim]


class FeedForward(nn.Module):
    """SwiGLU; w2 is the one that Hugging Face calls down_proj."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w3 = (nn.Linear(HIDDEN, INNER, bias=False) for _ in range(2))
        self.w2 = nn.Linear(INNER, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """Norm, attention, norm, MLP, each pair with a residual around it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.ffn_norm = (nn.RMSNorm(HIDDEN, 1e-6) for _ in range(2))
        self.attention, self.feed_forward = Attention(), FeedForward()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.feed_forward(self.ffn_norm(x))


class ParallelBlock(nn.Module):
    """One norm, which both halves read, and one residual around them. Queries and keys have none."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(HIDDEN, 1e-6)
        self.attention, self.feed_forward = Attention(norm=nn.Identity), FeedForward()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        y = self.norm(x)
        return x + self.attention(y, cos, sin) + self.feed_forward(y)


class Model(nn.Module):
    """A Qwen3 of `words` words and `layers` blocks."""

    def __init__(self, words: int, layers: int) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(words, HIDDEN)
        self.layers = nn.ModuleList([Block() for _ in range(layers)])
        self.norm = nn.RMSNorm(HIDDEN, 1e-6)
        self.output = nn.Linear(HIDDEN, words, bias=False)

    def forward(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """ids: [batch, seq] → [batch, seq, words]. positions: [seq]; None: counted from the vectors."""
        x = self.tok_embeddings(ids)
        positions = torch.arange(x.shape[1]) if positions is None else positions
        cos, sin = rotary_tables(positions, HEAD_DIM)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.output(self.norm(x))


class ParallelStack(nn.Module):
    """Parallel blocks alone."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ParallelBlock() for _ in range(layers)])

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        cos, sin = rotary_tables(torch.arange(x.shape[1]), HEAD_DIM)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return x


@torch.no_grad()
def drawn(model: nn.Module, seed: int) -> nn.Module:
    """The model in float64, the same numbers on every rank; norms are not left at one, where they would hide."""
    generator = torch.Generator().manual_seed(seed)
    model.double()
    for parameter in model.parameters():
        numbers = randn(generator, *parameter.shape)
        parameter.copy_(1 + 0.3 * numbers if parameter.ndim == 1 else 0.5 * numbers)
    return model
