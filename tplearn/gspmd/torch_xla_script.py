"""A Hugging Face Llama on Torch-XLA, in an environment of its own: what each way of annotating it comes to, as JSON.

    .venv-xla/bin/python -I tplearn/gspmd/torch_xla_script.py FOLDER 1x8,2x4,4x2,8x1

It imports nothing of the course, and `-I` keeps its own folder off the path: a torch_xla.py stands there too. Lines on
stdout tell how far it is; the last one is the JSON.
"""

import json
import math
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP

TEXTS = 8  # or more, where a mesh deals so many unevenly: one text a device would be matmuls without a batch
SEQUENCE = 32  # tokens of each text
OPS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
COLUMNS, ROWS = ("model", None), (None, "model")  # of a weight [out, in]: its outputs are cut, or its inputs
SPECS = {name: COLUMNS for name in ("embed_tokens", "lm_head", "q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")}
SPECS |= {"o_proj": ROWS, "down_proj": ROWS}
HEADS = (
    "kv",
    "copy",
)  # where several devices share a KV head: both axes together are "model", and KV heads lie on "kv"
KV_COPY_SPECS = {
    name: tuple(axis and ("kv" if name in ("k_proj", "v_proj") else HEADS) for axis in spec)
    for name, spec in SPECS.items()
}
Mark = Callable[[Tensor, tuple], None]  # torch_xla's mark_sharding on a mesh: (weight, spec)


def in_place(model: nn.Module, mark: Mark, specs: dict[str, tuple] = SPECS) -> None:
    """The weights of a model that stays as it is."""
    for name, module in model.named_modules():
        if spec := specs.get(name.split(".")[-1]):
            mark(module.weight, spec)


class TensorParallelLinear(nn.Module):
    """A linear layer that knows how it is cut: by outputs, or by inputs."""

    def __init__(self, dense: nn.Linear, spec: tuple[str | None, ...]) -> None:
        super().__init__()
        self.weight, self.spec = dense.weight, spec

    def apply_sharding(self, mark: Mark) -> None:
        mark(self.weight, self.spec)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight)


def own_classes(model: LlamaForCausalLM, mark: Mark) -> None:
    """Each linear layer replaced by one of our own, which cuts itself; the table of words stays what it is, marked."""
    for name, module in list(model.named_modules()):
        spec = SPECS.get(name.split(".")[-1])
        if isinstance(module, nn.Linear):
            layer = TensorParallelLinear(module, spec)
            layer.apply_sharding(mark)
            model.set_submodule(name, layer)
        elif spec:
            mark(module.weight, spec)


class TensorParallelLlamaMLP(LlamaMLP):
    """The MLP of transformers, with a method more; the rest of the model stays whole."""

    def apply_sharding(self, mark: Mark) -> None:
        in_place(self, mark)


def subclassed_mlp(model: LlamaForCausalLM, mark: Mark) -> None:
    """Each MLP replaced by the subclass, which takes its weights over."""
    for layer in model.model.layers:
        mlp = TensorParallelLlamaMLP(model.config)
        for name, module in layer.mlp.named_children():
            setattr(mlp, name, module)
        mlp.apply_sharding(mark)
        layer.mlp = mlp


def einsum_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: object, scaling: float, **_: object
) -> tuple[Tensor, None]:
    """Causal attention of q [b, heads, s, d] and k, v [b, kv, s, d]: no matmul merges batch and heads into one."""
    b, heads, s, d = query.shape
    q = query.reshape(b, key.shape[1], -1, s, d)  # [b, kv, heads of each, s, d]
    scores = torch.einsum("bkgqd,bkcd->bkgqc", q, key) * scaling
    later = torch.ones(s, s, dtype=torch.bool, device=q.device).triu(1)  # words that are not to be seen
    weights = scores.masked_fill(later, -math.inf).softmax(-1)
    return torch.einsum("bkgqc,bkcd->bqkgd", weights, value).reshape(b, s, heads, d), None


# What marks the weights, and the attention's name.
WAYS: dict[str, tuple[Callable, str]] = {
    "in place": (in_place, "eager"),
    "own classes": (own_classes, "eager"),
    "subclassed MLP": (subclassed_mlp, "eager"),
    "einsum attention": (in_place, "einsum"),
    "einsum attention, kv × copy": (partial(in_place, specs=KV_COPY_SPECS), "einsum"),
}


def groups(line: str) -> list[list[int]]:
    """Who takes part, in XLA's two spellings of this release. Raises ValueError for another one."""
    if found := re.search(r"(?:replica_groups|source_target_pairs)=\{(\{.*?\})\}", line):
        return [[int(n) for n in inner.split(",")] for inner in re.findall(r"\{([\d,]+)\}", found[1])]
    if found := re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line):
        shape, sizes, order = ([int(n) for n in part.split(",")] if part else None for part in found.groups())
        return np.arange(math.prod(sizes)).reshape(sizes).transpose(order).reshape(shape).tolist()
    raise ValueError(f"a collective without groups that can be read: {line.strip()}")


def collectives(text: str) -> list[dict]:
    """Of a partitioned program: op, groups and how often it is there, by op and groups."""
    lines = [(match[1], line) for line in text.splitlines() if (match := re.search(rf" ({OPS})(?:-start)?\(", line))]
    found = Counter((op.replace("-", "_"), json.dumps(groups(line))) for op, line in lines)
    return [{"op": op, "groups": json.loads(who), "count": found[op, who]} for op, who in sorted(found)]


def run(folder: str, way: str, batch: int, size: int, ids: Tensor, due: Tensor, dump: Path, seen: dict) -> dict:
    """One way on one mesh. seen: the programs so far, for XLA compiles equal ones once and dumps no second text."""
    import torch_xla
    from torch_xla.distributed.spmd import Mesh, mark_sharding

    annotate, attention = WAYS[way]
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()
    shape, axes = (batch, size), ("batch", "model")
    if way.endswith("copy"):
        kv = math.gcd(model.config.num_key_value_heads, size)
        shape, axes = (batch, kv, size // kv), ("batch", *HEADS)
    mesh, model, ids = Mesh(np.arange(batch * size), shape, axes), *(x.to(torch_xla.device()) for x in (model, ids))
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight  # what .to() has untied
    annotate(model, lambda weight, spec: mark_sharding(weight, mesh, spec))
    mark_sharding(ids, mesh, ("batch", None))
    torch_xla.sync()
    old = set(dump.iterdir())
    logits = model(ids, use_cache=False).logits
    program = shape, torch_xla._XLAC._get_graph_hash([logits]).hex()
    torch_xla.sync()  # without it .cpu() would compute everything once more
    if written := set(dump.glob("*SyncTensorsGraph*cpu_after_optimizations.txt")) - old:
        seen[program] = len(seen) + 1, collectives(max(written, key=lambda path: path.stat().st_size).read_text())
    number, counted = seen[program]
    own, due = logits.cpu().double(), due.double()
    shards = torch_xla._XLAC._get_local_shards(list(model.parameters()))
    return {
        "way": way,
        "mesh": shape,
        "max_difference": float(f"{(own - due).abs().max().item():.1e}"),
        "pcc": round(torch.corrcoef(torch.stack([own.flatten(), due.flatten()]))[0, 1].item(), 9),
        "top_1": (own.argmax(-1) == due.argmax(-1)).double().mean().item(),
        "bytes_on_a_device": sum(pieces[0][0].nbytes for pieces in shards),
        "program": number,
        "collectives": counted,
    }


@torch.no_grad()
def main(folder: str, meshes: list[tuple[int, int]]) -> None:
    """Print one JSON object: the versions, the shape of the logits, the results."""
    AttentionInterface.register("einsum", einsum_attention)
    single = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    config, batch = single.config, math.lcm(TEXTS, *(batch for batch, _ in meshes))
    length = min(SEQUENCE, config.max_position_embeddings)
    ids = torch.randint(config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(0))
    due, results, seen = single(ids, use_cache=False).logits, [], {}
    with tempfile.TemporaryDirectory() as dump:
        # Read when torch_xla starts: as many devices as the meshes have, and where the compiler leaves its programs.
        os.environ |= {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": str(math.prod(meshes[0]))}
        os.environ["XLA_FLAGS"] = f"--xla_dump_to={dump} --xla_dump_hlo_as_text"
        import torch_xla.runtime

        torch_xla.runtime.use_spmd()
        for data, size in meshes:
            whole = config.num_key_value_heads % size == 0  # then the kv × copy mesh has no copies: nothing new
            for way in list(WAYS)[: -1 if whole else None]:
                print(f"{data}x{size}: {way}", flush=True)
                results.append(run(folder, way, data, size, ids, due, Path(dump), seen))
    versions = {name: version(name).split("+")[0] for name in ("torch", "torch_xla", "transformers")}
    print(json.dumps({"versions": versions, "logits": tuple(due.shape), "results": results}))


if __name__ == "__main__":
    main(sys.argv[1], [tuple(map(int, mesh.split("x"))) for mesh in sys.argv[2].split(",")])
