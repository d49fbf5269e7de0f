"""The dispatch mode that shows a recorder every operator of one thread; a mode holds for one thread only."""

import sys
from typing import TYPE_CHECKING

import torch
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from tplearn.ranks.ops import name_of, read_call

if TYPE_CHECKING:
    from tplearn.ranks.recorder import Recorder

COMPILER = "torch._dynamo"
WAIT_TENSOR = torch.ops._c10d_functional.wait_tensor.default


class Mode(TorchDispatchMode):
    """Hands collectives to the recorder, and everything else to torch."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's signature)
        return self.handle(func, types, args, kwargs or {}, sys._getframe(1))

    def handle(self, func, types, args, kwargs, frame):  # noqa: ANN001, ANN201
        """An operator, called in `frame`."""
        if any(issubclass(kind, DTensor | AsyncCollectiveTensor) for kind in types):
            return NotImplemented  # they first take themselves apart; their parts come back here
        if func is WAIT_TENSOR:
            return self.recorder.wait_tensor(args[0], func)
        name = name_of(func)
        if not name:
            return func(*args, **kwargs)
        call = read_call(func, name, args, kwargs)
        functional = func.namespace != "c10d"
        return self.recorder.issue(call, lambda: func(*args, **kwargs), frame, functional)


class WithoutCompiler(Mode):
    """The same, as long as torch's compiler is not there.

    To keep it out of a dispatch, torch wraps a mode in a decorator that imports it at a rank's first operator: a second
    of every rank. Once it has come for another reason, this mode becomes the one that keeps it out.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's signature)
        if COMPILER in sys.modules:
            self.__class__ = Mode
        return self.handle(func, types, args, kwargs or {}, sys._getframe(1))


def mode_for(recorder: "Recorder") -> Mode:
    """The dispatch mode that costs this process least."""
    return Mode(recorder) if COMPILER in sys.modules else WithoutCompiler(recorder)
