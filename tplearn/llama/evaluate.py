"""How well a model knows texts that it was not trained on, in bits for each byte of them."""

import math

import torch
from torch import Tensor

from tplearn.llama.model import Llama
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place


@torch.no_grad()
def bits_per_byte(
    model: Llama, streams: list[Tensor], bytes_of_text: int, length: int, dp: Place | None = None
) -> float:
    """The bits that the model needs for each byte of texts, each given as tokens behind END; dropout is off meanwhile.

    Windows of `length` tokens overlap by half, so that (but at the start) each token is predicted from at least half
    a window before it. With `dp` the data-parallel ranks share the windows.
    """
    dp = dp or Place()
    windows = [window for stream in streams for window in _windows(stream, length)]
    training = model.training
    model.eval()
    nats = torch.zeros((), dtype=torch.float64)
    # Every rank takes equally many turns: FSDP's replicas gather each block together. Who has no window left reads one
    # once more, and does not count it.
    for number in range(dp.rank, -(-len(windows) // dp.world_size) * dp.world_size, dp.world_size):
        ids, targets = windows[number % len(windows)]
        loss = model.loss(ids[None], targets[None])
        if number < len(windows):
            nats += loss.item() * (targets != -100).sum().item()
    model.train(training)
    nats = plain_all_reduce(nats.to(next(model.parameters()).device), dp)
    return nats.item() / math.log(2) / bytes_of_text


def _windows(stream: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """(ids, targets) of up to `length` tokens; a target that an earlier window has is -100."""
    windows, known = [], 1  # END is given
    for start in range(0, max(1, len(stream) - 1), length // 2):
        window = stream[start : start + length + 1]
        targets = window[1:].clone()
        targets[: known - start - 1] = -100
        known = start + len(window)
        if (targets != -100).any():
            windows.append((window[:-1], targets))
        if known >= len(stream):
            break
    return windows
