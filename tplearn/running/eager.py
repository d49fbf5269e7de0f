"""torch.compile in a script that is watched: torch leaves functions as they are while a recorder looks on."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import torch

EAGER = (
    "torch.compile has no effect while collectives are watched: the function runs as it is written. With --no-record "
    "it is compiled, and neither diagnosis nor ledger are left."
)


def said_of_compile(rank: int) -> AbstractContextManager:
    """Inside, rank 0 warns where the script compiles something."""
    plain: Callable[..., Any] = torch.compile

    def compile(*args: Any, **kwargs: Any) -> Any:
        if rank == 0:
            warnings.warn(EAGER, stacklevel=2)
        return plain(*args, **kwargs)

    return patch.object(torch, "compile", compile)
