"""Wrong steps with sequence parallelism, for exercise 14.5."""

import contextlib

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)
from torch.nn import functional as F

OWN, WHOLE = Shard(1), Replicate()
QKV, HEAD_NORMS = ("attention.wq", "attention.wk", "attention.wv"), ("attention.q_norm", "attention.k_norm")
BETWEEN, INNER = ("attention_norm", "ffn_norm"), ("feed_forward.w1", "feed_forward.w3")
Plan = dict[str, ParallelStyle]


def _inputs(own: Shard | Replicate = OWN) -> Plan:
    three = {"input_layouts": (own, None, None), "desired_input_layouts": (WHOLE, None, None)}
    return {
        "attention": PrepareModuleInput(**three),
        "feed_forward": PrepareModuleInput(input_layouts=(own,), desired_input_layouts=(WHOLE,)),
    }


def _layer(wrong: str) -> Plan:
    column, row, norm = ColwiseParallel(), RowwiseParallel(output_layouts=OWN), SequenceParallel()
    own_heads = SequenceParallel(sequence_dim=2, use_local_output=True)
    layer: Plan = dict.fromkeys(BETWEEN, norm) | _inputs() | dict.fromkeys((*QKV, *INNER), column)
    layer |= dict.fromkeys(HEAD_NORMS, own_heads) | dict.fromkeys(("attention.wo", "feed_forward.w2"), row)
    if wrong == "no sequence parallelism":
        layer |= _inputs(WHOLE) | dict.fromkeys(("attention.wo", "feed_forward.w2"), RowwiseParallel())
        layer = {name: style for name, style in layer.items() if name not in BETWEEN}
    if wrong == "norms on all tokens":
        layer |= _inputs(WHOLE) | dict.fromkeys(("attention.wo", "feed_forward.w2"), RowwiseParallel())
        layer |= dict.fromkeys(BETWEEN, SequenceParallel(use_local_output=True))
    if wrong == "rows give all tokens":
        layer |= dict.fromkeys(("attention.wo", "feed_forward.w2"), RowwiseParallel())
    if wrong == "each column gathers":
        del layer["attention"], layer["feed_forward"]
        layer |= dict.fromkeys((*QKV, *INNER), ColwiseParallel(input_layouts=OWN))
    if wrong == "attention alone gathers":
        del layer["feed_forward"]
    if wrong == "MLP alone gathers":
        del layer["attention"]
    if wrong == "nobody gathers":
        del layer["attention"], layer["feed_forward"]
    if wrong == "shards taken for whole":
        layer |= _inputs(WHOLE) | dict.fromkeys(BETWEEN, SequenceParallel(use_local_output=True))
    if wrong == "norms between left out":
        layer = {name: style for name, style in layer.items() if name not in BETWEEN}
    if wrong == "norms of heads left out":
        layer = {name: style for name, style in layer.items() if name not in HEAD_NORMS}
    if wrong == "norms of heads give DTensors":
        layer |= dict.fromkeys(HEAD_NORMS, SequenceParallel(sequence_dim=2))
    if wrong == "one input of three":
        layer["attention"] = PrepareModuleInput(input_layouts=(OWN,), desired_input_layouts=(WHOLE,))
    return layer


def _plan(wrong: str) -> Plan:
    words = RowwiseParallel(input_layouts=WHOLE, output_layouts=OWN)
    ends: Plan = {"tok_embeddings": words, "norm": SequenceParallel()}
    ends["output"] = ColwiseParallel(input_layouts=OWN, use_local_output=False)
    if wrong == "no sequence parallelism":
        ends = {
            "tok_embeddings": RowwiseParallel(input_layouts=WHOLE),
            "output": ColwiseParallel(use_local_output=False),
        }
    if wrong == "norms on all tokens":
        ends["tok_embeddings"] = RowwiseParallel(input_layouts=WHOLE)
        ends["norm"] = SequenceParallel(use_local_output=True)
        ends["output"] = ColwiseParallel(use_local_output=False)
    if wrong == "embedding gives all tokens":
        ends["tok_embeddings"] = RowwiseParallel(input_layouts=WHOLE)
    if wrong == "last norm left out":
        del ends["norm"]
    if wrong == "head takes R":
        ends["output"] = ColwiseParallel(use_local_output=False)
    if wrong == "head takes R, norm plain":
        ends["norm"] = SequenceParallel(use_local_output=True)
        ends["output"] = ColwiseParallel(use_local_output=False)
    if wrong == "logits gathered":
        ends["output"] = ColwiseParallel(input_layouts=OWN, output_layouts=WHOLE)
    if wrong == "local logits":
        ends["output"] = ColwiseParallel(input_layouts=OWN)
    return {f"layers.*.{name}": style for name, style in _layer(wrong).items()} | ends


def wrong_step(model: nn.Module, mesh: DeviceMesh, ids: Tensor, targets: Tensor, wrong: str) -> Tensor | None:
    """The step with one thing `wrong`."""
    p, seq = dist.get_world_size(), ids.shape[1]
    if wrong == "weights sent":
        parallelize_module(model, mesh, _plan(wrong))
    elif wrong != "nothing cut":
        parallelize_module(model, mesh, _plan(wrong), src_data_rank=None)
    positions = torch.arange(seq)
    if wrong == "positions of own tokens":
        positions = None
    if wrong == "positions [1, seq]":
        positions = positions[None]
    if wrong == "own targets":
        targets = targets.chunk(p, 1)[dist.get_rank()]
    parallel = wrong not in ("no loss_parallel", "logits gathered", "local logits", "nothing cut")
    with loss_parallel() if parallel else contextlib.nullcontext():
        logits = model(ids, positions)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        if wrong == "sum for mean":
            loss = loss * targets.numel()
        if wrong == "a share of the loss":
            loss = loss / p
        if wrong not in ("backward after the with", "no backward"):
            loss.backward()
    if wrong == "backward after the with":
        loss.backward()
    if wrong == "loss not returned":
        return None
    if wrong == "loss summed over the ranks":
        loss = loss.full_tensor().detach()
        dist.all_reduce(loss)
    if wrong == "norms finished one by one":
        for parameter in model.parameters():
            if isinstance(parameter.grad, DTensor) and parameter.grad.placements != parameter.placements:
                parameter.grad = parameter.grad.redistribute(placements=parameter.placements)
    return loss
