"""Which gradients are summed over the ranks already, and a refusal of the backward that would add to one.

A partial added to a sum is neither, and no later call can mend it. So the sum comes once, after the last backward of a
step, as in Megatron-LM (`finalize_model_grads`) and in FSDP (`set_requires_gradient_sync`).
"""

from torch import Tensor, nn
from torch.utils.weak import TensorWeakRef

ONCE = "call sync_gradients once, after the last backward of a step, and zero_grad() before the next step"


class Summed:
    """The gradient of `parameter` is summed: kept as `parameter.summed` until the next backward that reaches it.

    That one must find no gradient, or zeros. Two hooks on the parameter look at it, and go with it. On a GPU only zeros
    make the backward wait (zero_grad(set_to_none=False)), not the usual None.
    """

    def __init__(self, name: str, parameter: nn.Parameter) -> None:
        self.name, self.gradient, self.version = name, TensorWeakRef(parameter.grad), _version(parameter.grad)
        self.added_to: bool | None = None  # whether the backward that comes adds to numbers; None: it did not come by
        self.hooks = ()
        if before := Summed.of(parameter):
            before.end(parameter)
        if parameter.requires_grad:
            reference = TensorWeakRef(parameter)
            look = parameter.register_hook(lambda _: self._look(reference().grad))
            self.hooks = look, parameter.register_post_accumulate_grad_hook(self._judge)
        parameter.summed = self

    @staticmethod
    def of(parameter: nn.Parameter) -> "Summed | None":
        """What is known of a parameter; None where no sum was taken since the last backward."""
        return getattr(parameter, "summed", None)

    def covers(self, gradient: Tensor) -> bool:
        """Whether `gradient` is the summed one, as it was. Raises ValueError where it was written to since then."""
        if self.gradient() is not gradient:
            return False
        if _version(gradient) != self.version:
            raise ValueError(
                f"{self.name}: sync_gradients has summed this gradient already, and cannot tell what was written to it "
                f"since then; {ONCE} (where gradients are set by hand: .grad = None before)"
            )
        return True

    def _look(self, gradient: Tensor | None) -> None:
        """Before a gradient is added. (torch.autograd.grad comes this way too, and adds nothing.)"""
        self.added_to = gradient is not None and bool(gradient.any())

    def end(self, parameter: nn.Parameter) -> None:
        """Nothing is known any more; the hooks go."""
        for hook in self.hooks:
            hook.remove()
        parameter.summed = None

    def _judge(self, parameter: nn.Parameter) -> None:
        """After a gradient was added. FSDP adds by itself, without a look before: only None is known to be empty."""
        added_to, unseen = self.added_to, self.added_to is None and self.gradient() is parameter.grad
        self.end(parameter)
        if added_to:
            raise ValueError(
                f"{self.name}: this backward adds to a gradient that sync_gradients has summed over the ranks; {ONCE}"
            )
        if unseen:
            raise ValueError(
                f"{self.name}: this backward adds to a gradient that sync_gradients has summed, or to zeros that were "
                f"written over it, which FSDP does not let us see; {ONCE}, with set_to_none=True"
            )

    def __reduce__(self) -> tuple:
        """None: a parameter that is copied or saved leaves its gradient and its hooks behind."""
        return type(None), ()


def _version(gradient: Tensor) -> int:
    """How often torch has written to the memory; gradients in one bucket (FSDP, DDP) count together."""
    return getattr(gradient, "_local_tensor", gradient)._version
