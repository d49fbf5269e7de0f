"""What test_plan.py runs on ranks: many models in one run, each step between two barriers, which cut the ledger."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import PrepareModuleInput
from torch.nn import functional as F

from tests.parallel.twin import error
from tplearn.llama import Llama, LlamaConfig
from tplearn.llama.apply_plan import apply_plan
from tplearn.llama.plain import PlainLlama
from tplearn.llama.plan import finish_gradients, forward_backward, llama_plan
from tplearn.parallel import sync_gradients
from tplearn.ranks.ledger import Row
from tplearn.ranks.run import Run

# 50 words: 4 ranks get 13, 13, 13 and 11 of them. Biases of q, k and v only in the plain model.
CONFIG = LlamaConfig(32, 48, 2, 8, 4, 50, initializer_range=0.3)
PLAIN_CONFIG = replace(CONFIG, qkv_bias=True)
Amount = tuple[str, tuple[int, ...], int, str | None, str | None]


@dataclass
class Book:
    """On a rank: the names of what ran, in order, each behind a barrier; and what was seen of it."""

    names: list[str] = field(default_factory=list)
    seen: dict[str, dict] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """The rows from here on belong to `name`."""
        self.names.append(name)
        dist.barrier()


def pages(run: Run, rank: int = 0) -> dict[str, list[Row]]:
    """In the parent: a rank's rows, by the names of its book."""
    parts: list[list[Row]] = [[]]
    for row in run.ledger.rows:
        if row.rank == rank:
            parts.append([]) if row.op == "barrier" else parts[-1].append(row)
    return dict(zip(run.values[rank].names, parts[1:], strict=True))


def amounts(rows: list[Row]) -> list[Amount]:
    """Op for op and byte for byte. The loss is [batch·seq, 1] in DTensor and [batch, seq] in tplearn."""
    return [(row.op, row.group, row.bytes, row.dtype, row.reduce_op) for row in rows]


def halves(rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """Forward, loss, backward: the loss begins with the only maximum, and is three rows."""
    (loss,) = (k for k, row in enumerate(rows) if row.reduce_op == "MAX")
    return rows[:loss], rows[loss : loss + 3], rows[loss + 3 :]


def runs_of(rows: list[Row]) -> list[tuple[str, int]]:
    """(op, how often in a row): short enough for an assertion."""
    return [(op, len([*same])) for op, same in groupby(row.op for row in rows)]


def mesh_of() -> DeviceMesh:
    return init_device_mesh("cpu", (dist.get_world_size(),), mesh_dim_names=("tp",))


def hugging_face(seed: int, attention: str = "sdpa", **other: object) -> nn.Module:
    """A LlamaForCausalLM in float64 with CONFIG's sizes and uneven norms, the same on every rank."""
    from transformers import LlamaConfig as TheirConfig
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    fields = CONFIG.fields() | {"attn_implementation": attention, "max_position_embeddings": 64} | other
    return uneven(LlamaForCausalLM(TheirConfig(**fields)).double())


def plain(seed: int, config: LlamaConfig = PLAIN_CONFIG) -> nn.Module:
    """A PlainLlama in float64 with uneven norms, the same on every rank."""
    torch.manual_seed(seed)
    return uneven(PlainLlama(config).double())


@torch.no_grad()
def uneven(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter) / 4)
    return model


def logits_of(out: object) -> Tensor:
    return out if isinstance(out, Tensor) else out.logits


def whole(x: Tensor) -> Tensor:
    return x.full_tensor() if isinstance(x, DTensor) else x


def local(x: Tensor) -> Tensor:
    return x.to_local() if isinstance(x, DTensor) else x


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: whole(parameter.grad) for name, parameter in model.named_parameters()}


def dense_step(model: nn.Module, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Logits, loss and gradients of one process."""
    logits = logits_of(model(ids))
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return logits.detach(), loss.detach(), gradients(model)


def errors_of(model: nn.Module, loss: Tensor, dense: tuple[Tensor, Tensor, dict[str, Tensor]]) -> dict[str, float]:
    """Relative errors of the loss and of every gradient, whole. Every rank must call it."""
    found = {name: error(gradient, dense[2][name]) for name, gradient in gradients(model).items()}
    return found | {"loss": error(loss, dense[1])}


def without_preparation(plan: dict) -> dict:
    """The plan as it is usually written: q, k, v, gate and up each get the whole x by themselves."""
    return {key: style for key, style in plan.items() if not isinstance(style, PrepareModuleInput)}


def planned(book: Book, name: str, make: Callable[[], nn.Module], plan: dict, ids: Tensor, targets: Tensor) -> None:
    """One step of a model that a plan has cut, beside its dense twin."""
    dense = dense_step(make(), ids, targets)
    model, mesh = make(), mesh_of()
    book.begin(f"{name}: apply")
    apply_plan(model, mesh, plan)
    book.begin(f"{name}: logits")
    with torch.no_grad():
        logits = whole(logits_of(model(ids, position_ids=torch.arange(ids.shape[1])[None])))
    book.begin(f"{name}: step")
    with CommDebugMode() as counted:
        loss = forward_backward(model, ids, targets)
    unfinished = {key: parameter.grad for key, parameter in model.named_parameters()}
    book.begin(f"{name}: finish")
    finish_gradients(model)
    book.begin(f"{name}: after")
    book.seen[name] = {
        "errors": errors_of(model, loss, dense) | {"logits": error(logits, dense[0])},
        "counted": {str(op): count for op, count in counted.get_comm_counts().items()},
        "placements": {key: str(g.placements[0]) for key, g in unfinished.items() if isinstance(g, DTensor)},
        "cut alike": all(p.grad.placements == p.placements for p in model.parameters() if isinstance(p, DTensor)),
        "own rows": model.model.embed_tokens.weight.grad.to_local().shape
        == model.model.embed_tokens.weight.to_local().shape,
        "summand": error(local(unfinished["model.norm.weight"]), dense[2]["model.norm.weight"]),
        "tied": model.lm_head.weight is model.model.embed_tokens.weight,
    }


def ours(book: Book, name: str, sequence_parallel: bool, ids: Tensor, targets: Tensor) -> None:
    """The same step of tplearn's own Llama."""
    model = Llama(PLAIN_CONFIG, sequence_parallel=sequence_parallel).double()
    book.begin(f"{name}: step")
    model.loss(ids, targets).backward()
    book.begin(f"{name}: finish")
    sync_gradients(model)
    book.begin(f"{name}: after")


def acceptance(book: Book, seed: int, ids: Tensor, targets: Tensor, folder: Path) -> None:
    """Hugging Face's model and the plain one, with each plan, and tplearn's own; transformers' "auto" from `folder`."""
    for kind, make in (("hf", lambda: hugging_face(seed)), ("plain", lambda: plain(seed))):
        for sequence_parallel in (False, True):
            plan = llama_plan(sequence_parallel=sequence_parallel)
            planned(book, f"{kind} {'sp' if sequence_parallel else 'tp'}", make, plan, ids, targets)
        planned(book, f"{kind} usual", make, without_preparation(llama_plan()), ids, targets)
    tied = replace(PLAIN_CONFIG, tie_word_embeddings=True)
    for sequence_parallel in (False, True):
        plan = llama_plan(sequence_parallel=sequence_parallel)
        name = "sp" if sequence_parallel else "tp"
        planned(book, f"tied {name}", lambda: plain(seed, tied), plan, ids, targets)
        ours(book, f"ours {name}", sequence_parallel, ids, targets)
    auto(book, seed, ids, targets, folder)


def auto(book: Book, seed: int, ids: Tensor, targets: Tensor, folder: Path) -> None:
    """transformers' own plan, which gathers the logits, so that the loss is any loss."""
    from transformers import LlamaForCausalLM
    from transformers.distributed import DistributedConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    rank, ranks = str(dist.get_rank()), str(dist.get_world_size())
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks}
    way = DistributedConfig(tp_size=dist.get_world_size(), tp_plan="auto")
    dense = dense_step(hugging_face(seed), ids, targets)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64, distributed_config=way)
    book.begin("auto: forward")
    logits = model(ids).logits
    book.begin("auto: backward")
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    book.begin("auto: after")
    book.seen["auto"] = {"errors": errors_of(model, loss, dense) | {"logits": error(logits, dense[0])}}


def said(work: Callable[[], object]) -> str:
    """What is raised, with its kind, or what comes back."""
    try:
        return str(work())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
