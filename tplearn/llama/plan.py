"""The Llama as a plan: chapters 06 to 11 in the words of torch.distributed.tensor.parallel, and a step with it.

The names are Hugging Face's, so it fits LlamaForCausalLM and PlainLlama. Not imported by tplearn.llama: what this
module imports takes a second.
"""

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
)
from torch.nn import functional as F

from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place


def llama_plan(*, sequence_parallel: bool = False) -> dict[str, ParallelStyle]:
    """The plan for a LlamaForCausalLM or a PlainLlama. State between the cuts: R, or S(1) with sequence_parallel.

    | module                                     | style              | takes → gives    | here |
    | embed_tokens                               | Rowwise, by words  | R → R or S(1)    | g    |
    | self_attn, mlp                             | PrepareModuleInput | R or S(1) → R    | f    |
    | q_proj, k_proj, v_proj, gate_proj, up_proj | Colwise            | R → S(2)         |      |
    | o_proj, down_proj                          | Rowwise            | S(2) → R or S(1) | g    |
    | lm_head                                    | Colwise, by words  | R or S(1) → S(2) | f    |
    | norms, with sequence_parallel              | SequenceParallel   | S(1) → S(1)      |      |

    g is an all-reduce forward and f one backward; with sequence_parallel g is a reduce-scatter and f an all-gather
    forward, and the other way round backward. L layers have 2L + 1 of each. Without the PrepareModuleInput, q, k, v,
    gate and up would have an f each.
    """
    between, whole = Shard(1) if sequence_parallel else Replicate(), Replicate()
    column, row = ColwiseParallel(), RowwiseParallel(output_layouts=between)
    layer: dict[str, ParallelStyle] = {
        "self_attn": PrepareModuleInput(
            input_kwarg_layouts={"hidden_states": between}, desired_input_kwarg_layouts={"hidden_states": whole}
        ),
        **{f"self_attn.{name}_proj": column for name in ("q", "k", "v")},
        "self_attn.o_proj": row,
        "mlp": PrepareModuleInput(input_layouts=(between,), desired_input_layouts=(whole,)),
        **{f"mlp.{name}_proj": column for name in ("gate", "up")},
        "mlp.down_proj": row,
    }
    if sequence_parallel:
        layer |= {f"{name}_layernorm": SequenceParallel() for name in ("input", "post_attention")}
    return {
        "model.embed_tokens": RowwiseParallel(input_layouts=whole, output_layouts=between),
        **{f"model.layers.*.{name}": style for name, style in layer.items()},
        **({"model.norm": SequenceParallel()} if sequence_parallel else {}),
        # the logits stay a DTensor: loss_parallel asks it how they are cut
        "lm_head": ColwiseParallel(input_layouts=between, use_local_output=False),
    }


def forward_backward(model: nn.Module, ids: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of a model that `llama_plan` has cut, after its backward pass.

    ids, targets: [batch, seq], the same on every rank. Positions are given: a model that counts what it sees would
    count a shard under sequence parallelism. When the last backward of a step is done, call `finish_gradients`.

    Communication beside the plan's: three all-reduces of [batch, seq] in the loss, which loss_parallel must surround
    in the backward pass, too.
    """
    positions = torch.arange(ids.shape[1], device=ids.device)[None]
    with loss_parallel():
        out = model(ids, position_ids=positions)
        logits = out if isinstance(out, Tensor) else out.logits  # [batch, seq, vocab], S(2)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
    return loss.detach().to_local()


@torch.no_grad()
def finish_gradients(model: nn.Module) -> None:
    """After the last backward: each gradient in its parameter's placements. All partials go in one all-reduce.

    A norm under SequenceParallel has a Partial gradient, which the optimizer, the clipping and whoever else looks at it
    would sum again each time. An embedding cut by words has a whole one; of that each rank keeps its own rows.
    `tplearn.parallel.sync_gradients` does this for tplearn's layers.
    """
    partial: dict[tuple[Place, torch.dtype], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        gradient = parameter.grad
        if not isinstance(gradient, DTensor) or gradient.placements == parameter.placements:
            continue
        if gradient.device_mesh.ndim == 1 and gradient.placements[0].is_partial():
            place = Place.of(gradient.device_mesh.get_group())
            partial.setdefault((place, gradient.dtype), []).append(parameter)
        else:
            parameter.grad = gradient.redistribute(placements=parameter.placements)
    for (place, _), parameters in partial.items():
        summands = [parameter.grad.to_local() for parameter in parameters]
        sums = plain_all_reduce(torch.cat([summand.flatten() for summand in summands]), place)
        for parameter, total in zip(parameters, sums.split([summand.numel() for summand in summands]), strict=True):
            whole = DTensor.from_local(total.view(parameter.shape), parameter.device_mesh, [Replicate()])
            parameter.grad = whole.redistribute(placements=parameter.placements)
