"""What autograd is told of a collective: that it has happened, and that nobody knows its gradient.

A judged group is Python, so torch calls it past c10d's operators. They have no autograd kernel: a gradient that passes
through one brings a warning, and what some of them fill requires a gradient from then on. The operator here is one more
without a kernel, so that torch does the same for it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("judged", "DEF")  # an operator lives as long as its library
_LIBRARY.define("collective(Tensor[] filled, Tensor[] brought) -> Tensor[]")
_LIBRARY.impl("collective", lambda filled, brought: filled, "CPU")


def tell_autograd(filled: Sequence[Tensor], brought: Sequence[Tensor]) -> None:
    """A collective fills some tensors from what others bring, under the gradient mode of the caller."""
    if any(tensor.requires_grad for tensor in (*filled, *brought)):
        torch.ops.judged.collective(list(filled), list(brought))
