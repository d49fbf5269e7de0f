"""What an answer draws from the random state that all ranks share, and whether it does draw from it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tplearn.checks.compare import first_difference
from tplearn.checks.observe import plain

OWN_SEED = (
    "your first values are the same whatever the random state was: your code sets a seed of its own. All ranks have "
    "the same state when it starts, and what is drawn must come from there."
)


def drawn(make: Callable[[], Any], seed: int) -> tuple[Any, dict[str, str]]:
    """make() from the state of this seed; and {"seed": a sentence} where another state gives the same numbers.

    Both draws are in the ledger: nothing is due for one.
    """
    generator = torch.default_generator
    generator.manual_seed(seed)
    made = make()
    state = generator.get_state()
    generator.manual_seed(seed + 1)
    other = make()
    generator.set_state(state)
    numbers = _numbers(made)
    alike = any(t.numel() and t.any() for t in numbers) and first_difference(numbers, _numbers(other)) is None
    return made, {"seed": OWN_SEED} if alike else {}


def _numbers(value: Any) -> list[Tensor]:
    """The parameters of a module, or the tensors of a list."""
    found = (
        value.parameters() if isinstance(value, nn.Module) else value if isinstance(value, list | tuple) else [value]
    )
    return [plain(tensor) for tensor in found if isinstance(tensor, Tensor)]
