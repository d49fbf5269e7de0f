"""Imported once by the server that ranks are forked from, so that no rank pays for it.

A fork server swallows errors of its preloads; then every rank must import for itself.
"""

import cloudpickle  # noqa: F401
import torch
import torch.distributed.tensor  # noqa: F401
from torch.utils._python_dispatch import TorchDispatchMode

import tplearn.ranks.worker  # noqa: F401


class _PassThrough(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's signature)
        return func(*args, **(kwargs or {}))


# The first operator under a dispatch mode imports a lot of torch; a tiny one starts no thread that a fork would lose.
with _PassThrough():
    torch.ones(2)
