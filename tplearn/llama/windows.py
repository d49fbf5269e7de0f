"""A text as windows, and which of them a data-parallel rank reads in each step; tensor parallelism has no say here."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler

from tplearn.llama.recipe import Recipe
from tplearn.parallel.place import Place
from tplearn.sizes import require_size
from tplearn.tensors import require_tensor


class Windows(Dataset):
    """Window k: tokens k · length to (k + 1) · length of a stream, and one more, the target of the last one.

    stream: [tokens]. Raises ValueError where it is too short for one window.
    """

    def __init__(self, stream: Tensor, length: int) -> None:
        require_tensor("stream", stream)
        self.stream, self.length = stream, require_size("length", length)
        if stream.ndim != 1:
            raise ValueError(f"a stream of shape {tuple(stream.shape)}; one row of tokens works")
        if len(self) < 1:
            raise ValueError(f"a text of {len(stream)} tokens is too short; more than length = {length} work")

    def __len__(self) -> int:
        return (len(self.stream) - 1) // self.length

    def __getitem__(self, k: int) -> Tensor:
        """[length + 1]."""
        return self.stream[k * self.length : (k + 1) * self.length + 1]


def batches(stream: Tensor, recipe: Recipe, dp: Place, first: int = 0) -> Iterator[Tensor]:
    """This rank's windows of step `first` and of each later one: [batch/dp, length + 1].

    Each epoch has its own order of all windows, the same on every rank. DistributedSampler deals it like cards: rank r
    has windows r, r + dp, r + 2 dp, … of the order, so that the dp hands of a step are what one process would have.

    Raises ValueError where the text has less than one batch of windows, or the batch does not divide.
    """
    windows, share = Windows(stream, recipe.length), recipe.share(dp.world_size)
    a_epoch = len(windows) // recipe.batch  # steps in it; what is left over comes in another epoch's order
    if a_epoch < 1:
        raise ValueError(
            f"batch = {recipe.batch}: a text of {len(stream)} tokens has {len(windows)} windows of {recipe.length}; "
            f"batches up to {len(windows)} work, or a longer text"
        )
    sampler = DistributedSampler(windows, dp.world_size, dp.rank, seed=recipe.seed, drop_last=True)
    own = torch.Generator()  # DataLoader draws a seed: not from the numbers that dropout draws from
    for epoch in itertools.count(first // a_epoch):
        sampler.set_epoch(epoch)
        skip = first % a_epoch if epoch == first // a_epoch else 0
        order = itertools.islice(BatchSampler(sampler, share, drop_last=True), skip, a_epoch)
        yield from DataLoader(windows, batch_sampler=list(order), generator=own)
