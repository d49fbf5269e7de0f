"""What goes wrong with plans, run on ranks for test_plan.py: by PyTorch alone, and with `apply_plan`."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from tests.llama.plans import (
    PLAIN_CONFIG,
    Book,
    dense_step,
    errors_of,
    gradients,
    hugging_face,
    mesh_of,
    plain,
    whole,
)
from tests.parallel.twin import error
from tplearn.llama import Llama
from tplearn.llama.apply_plan import apply_plan
from tplearn.llama.mark_sharding import mark_sharding
from tplearn.llama.plain import PlainMLP
from tplearn.llama.plan import finish_gradients, forward_backward, llama_plan

TP, SP = llama_plan(), llama_plan(sequence_parallel=True)


def said(work: Callable[[], object]) -> str:
    """What is raised, with its kind, or what comes back."""
    try:
        return str(work())
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"


def by_torch_alone(model: nn.Module, plan: dict) -> nn.Module:
    return parallelize_module(model, mesh_of(), plan, src_data_rank=None)


def renamed(plan: dict, old: str, new: str) -> dict:
    return {key.replace(old, new): style for key, style in plan.items()}


def traps(book: Book, seed: int, ids: Tensor, targets: Tensor) -> None:
    """All of them; every entry of book.seen is one."""
    dense = dense_step(plain(seed), ids, targets)

    def step(model: nn.Module) -> dict[str, float]:
        loss = forward_backward(model, ids, targets)
        book.begin("finish and gather")
        finish_gradients(model)
        return errors_of(model, loss, dense)

    typed = renamed(TP, ".mlp", ".mpl")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = by_torch_alone(plain(seed), typed)
    book.begin("typo: step")
    book.seen["typo"] = {
        "warnings": [str(each.message).partition("\n")[0] for each in caught],
        "errors": step(model),
        "refusal": said(lambda: apply_plan(plain(seed), mesh_of(), typed)),
    }
    book.begin("one of a pair")
    typed = renamed(TP, "q_proj", "q_prj")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = by_torch_alone(plain(seed), typed)
    book.seen["one of a pair"] = {
        "torch": said(lambda: step(model)),
        "refusal": said(lambda: apply_plan(plain(seed), mesh_of(), typed)),
    }
    keyword = SP | {
        "model.layers.*.self_attn": PrepareModuleInput(
            input_kwarg_layouts={"hidden_state": Shard(1)}, desired_input_kwarg_layouts={"hidden_state": Replicate()}
        )
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = by_torch_alone(plain(seed), keyword)
    book.begin("keyword: step")
    book.seen["keyword"] = {"errors": step(model), "warnings": caught}
    book.begin("uneven")
    wide = {"hidden_size": 48, "num_attention_heads": 6, "num_key_value_heads": 6}
    for name, sizes in (("heads", wide), ("kv heads", {"num_key_value_heads": 1}), ("ffn", {"intermediate_size": 49})):
        config = replace(PLAIN_CONFIG, **sizes)
        book.seen[name] = {
            "torch": said(lambda c=config: forward_backward(by_torch_alone(plain(seed, c), TP), ids, targets).shape),
            "refusal": said(lambda c=config: apply_plan(plain(seed, c), mesh_of(), TP)),
        }
    book.begin("full tensor")
    norms = {key for key in SP if key not in TP}
    model = by_torch_alone(plain(seed), TP | {key: SequenceParallel(use_local_output=True) for key in norms})
    found = step(model)
    p = dist.get_world_size()
    book.seen["full tensor"] = {
        "errors": found,
        "times p": [error(g / p, dense[2][name]) for name, g in gradients(model).items() if "norm" in name],
        "kept a DTensor": said(
            lambda: forward_backward(by_torch_alone(plain(seed), TP | {k: SP[k] for k in norms}), ids, targets)
        ),
    }
    book.begin("positions")
    model = plain(seed)
    apply_plan(model, mesh_of(), SP)
    book.seen["positions"] = {"left out": said(lambda: model(ids).shape)}
    eager, other = hugging_face(seed, "eager"), dense_step(hugging_face(seed, "eager"), ids, targets)
    apply_plan(eager, mesh_of(), TP)
    under_sp = hugging_face(seed, "eager")
    apply_plan(under_sp, mesh_of(), SP)
    book.seen["eager"] = {
        "TP": errors_of(eager, forward_backward(eager, ids, targets), other),
        "SP": said(lambda: forward_backward(under_sp, ids, targets).shape),
    }
    book.begin("loss_parallel")
    model = plain(seed)
    apply_plan(model, mesh_of(), TP)

    def forward_only() -> None:
        with loss_parallel():
            loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        loss.backward()

    book.seen["loss_parallel"] = {"forward only": said(forward_only)}
    tied(book, seed, ids, targets)
    finishing(book, seed, ids, targets, dense)
    refusals(book, seed)
    marked(book, seed)


def tied(book: Book, seed: int, ids: Tensor, targets: Tensor) -> None:
    """parallelize_module makes two parameters of one, each with a part of the gradient."""
    config = replace(PLAIN_CONFIG, tie_word_embeddings=True)
    dense = dense_step(plain(seed, config), ids, targets)
    model = by_torch_alone(plain(seed, config), TP)
    loss, name = forward_backward(model, ids, targets), "model.embed_tokens.weight"
    parts = [whole(model.model.embed_tokens.weight.grad), whole(model.lm_head.weight.grad)]
    column = TP | {"model.embed_tokens": ColwiseParallel(output_layouts=Replicate())}
    book.seen["tied"] = {
        "one": model.lm_head.weight is model.model.embed_tokens.weight,
        "loss": error(loss, dense[1]),
        "parts": [error(part, dense[2][name]) for part in parts],
        "sum": error(sum(parts), dense[2][name]),
        "two ways": said(lambda: apply_plan(plain(seed, config), mesh_of(), column)),
        "one only": said(lambda: apply_plan(plain(seed, config), mesh_of(), {"lm_head": TP["lm_head"]})),
    }


def finishing(book: Book, seed: int, ids: Tensor, targets: Tensor, dense: tuple) -> None:
    """What clipping and the optimizer send, before and after `finish_gradients`; several backwards, one finish."""
    for name in ("unfinished", "finished"):
        model = plain(seed)
        apply_plan(model, mesh_of(), SP)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, foreach=False)
        forward_backward(model, ids, targets)
        if name == "finished":
            finish_gradients(model)
        book.begin(f"{name}: clip")
        norm = whole(clip_grad_norm_(model.parameters(), 1e9))
        book.begin(f"{name}: optimizer")
        optimizer.step()
        book.begin(f"{name}: after")
        due = torch.stack([gradient.norm() for gradient in dense[2].values()]).norm()
        book.seen[name] = {"norm": error(norm, due)}
    model = plain(seed)
    apply_plan(model, mesh_of(), SP)
    for _ in range(3):
        loss = forward_backward(model, ids, targets)
    finish_gradients(model)
    finish_gradients(model)  # finds nothing to do
    thrice = (dense[0], dense[1], {key: 3 * gradient for key, gradient in dense[2].items()})
    book.seen["three backwards"] = {"errors": errors_of(model, loss, thrice)}


def refusals(book: Book, seed: int) -> None:
    """Sentences, by what is wrong."""
    model, p = plain(seed), dist.get_world_size()
    square = init_device_mesh("cpu", (p // 2, 2), mesh_dim_names=("dp", "tp"))
    apply_plan(model, mesh_of(), SP)
    nine, weight = torch.zeros(2, 9, dtype=torch.long), torch.zeros(4, 6)
    book.seen["refusals"] = {
        "mesh": said(lambda: apply_plan(plain(seed), square, TP)),
        "kind": said(lambda: apply_plan(Llama(PLAIN_CONFIG), mesh_of(), {"lm_head": TP["lm_head"]})),
        "length": said(lambda: forward_backward(model, nine, nine)),
        "prefix": said(lambda: apply_plan(plain(seed), mesh_of(), {"layers.*.mlp.up_proj": ColwiseParallel()})),
        "spec": said(lambda: mark_sharding(weight, square, ("tp",))),
        "name": said(lambda: mark_sharding(weight, square, ("model", None))),
        "twice": said(lambda: mark_sharding(weight, square, ("tp", "tp"))),
    }


def marked(book: Book, seed: int) -> None:
    """An MLP with three marks is the MLP of chapter 07; on a mesh of two dimensions, too."""
    p = dist.get_world_size()
    meshes = [init_device_mesh("cpu", (p,), mesh_dim_names=("model",))]
    meshes += [init_device_mesh("cpu", (p // 2, 2), mesh_dim_names=("data", "model"))]
    for mesh in meshes:
        torch.manual_seed(seed)
        mlp, x = PlainMLP(PLAIN_CONFIG).double(), torch.randn(4, 8, 32, dtype=torch.float64, requires_grad=True)
        dense = mlp(x)
        dense.backward(upstream := torch.randn_like(dense))
        due = {name: parameter.grad for name, parameter in mlp.named_parameters()} | {"x": x.grad, "y": dense.detach()}
        for name, spec in (("gate", ("model", None)), ("up", ("model", None)), ("down", (None, "model"))):
            linear = mlp.get_submodule(f"{name}_proj")
            linear.weight = mark_sharding(linear.weight, mesh, spec)
        cut = [Shard(0) if name == "data" else Replicate() for name in mesh.mesh_dim_names]
        shared = distribute_tensor(x.detach(), mesh, cut, src_data_rank=None).requires_grad_()
        book.begin(f"marked {mesh.ndim}: forward")
        y = mlp(shared).redistribute(placements=cut)
        book.begin(f"marked {mesh.ndim}: backward")
        y.backward(distribute_tensor(upstream, mesh, cut, src_data_rank=None))
        book.begin(f"marked {mesh.ndim}: after")
        got = gradients(mlp) | {"x": whole(shared.grad), "y": whole(y.detach())}
        down = mlp.down_proj.weight
        book.seen[f"marked {mesh.ndim}"] = {
            "errors": {name: error(got[name], due[name]) for name in due},
            "x": str(shared.grad.placements[-1]),
            "down": (isinstance(down, DTensor), tuple(down.to_local().shape), down.requires_grad),
        }
