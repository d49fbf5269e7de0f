"""How well a model knows texts that it was not trained on, in bits for each byte of them."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tplearn.llama.model import Llama
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place


@torch.no_grad()
def bits_per_byte(
    model: Llama, streams: list[Tensor], bytes_of_text: int, length: int, batch: int = 16, dp: Place | None = None
) -> float:
    """The bits that the model needs for each byte of texts, each given as tokens behind END; dropout is off meanwhile.

    Windows of `length` tokens overlap by half, so that (but at the start) each token is predicted from at least half
    a window before it. With `dp` the data-parallel ranks share the batches of windows.
    """
    dp, training = dp or Place(), model.training
    pairs = [pair for stream in streams for pair in _windows(stream, length)]
    batches = torch.stack(pairs).split(batch)  # [windows, 2, length]
    nats = torch.zeros((), dtype=torch.float64)
    model.eval()
    # Every rank takes equally many turns: FSDP's replicas gather each block together. Who has no batch left reads one
    # once more, and does not count it.
    for number in range(dp.rank, -(-len(batches) // dp.world_size) * dp.world_size, dp.world_size):
        ids, targets = batches[number % len(batches)].unbind(1)
        loss = model.loss(ids, targets)
        if number < len(batches):
            nats += loss.item() * (targets != -100).sum().item()
    model.train(training)
    nats = plain_all_reduce(nats.to(next(model.parameters()).device), dp)
    return nats.item() / math.log(2) / bytes_of_text


def _windows(stream: Tensor, length: int) -> list[Tensor]:
    """[ids, targets] of each window, both of `length`. A target that an earlier window has is -100; behind the end of
    the text, too, where nobody looks at the ids, since attention is causal.
    """
    pairs, known = [], 1  # END is given
    for start in range(0, max(1, len(stream) - 1), length // 2):
        window = stream[start : start + length + 1]
        ids, targets = window[:-1], window[1:].clone()
        targets[: known - start - 1] = -100
        known = start + len(window)
        if (targets != -100).any():
            end = (0, length - len(ids))
            pairs.append(torch.stack([F.pad(ids, end), F.pad(targets, end, value=-100)]))
        if known >= len(stream):
            break
    return pairs
