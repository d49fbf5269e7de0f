"""Chapter 15: annotations, a compiled program's ledger, a loader, copies of KV heads, layers by hand.

JAX is imported inside: this module is read where JAX must not be loaded.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks import Case
from tplearn.checks.ch12_real_weights.file import CountingFile
from tplearn.checks.ch15_gspmd.drive import CONFIG, Axes, model_weights
from tplearn.checks.ch15_gspmd.drive_heads import HEAD_DIM, inputs_of
from tplearn.checks.ch15_gspmd.drive_layers import dense_input, mlp_inputs
from tplearn.gspmd.hlo import collectives
from tplearn.llama import Llama

if TYPE_CHECKING:
    from jax import Array
    from jax.sharding import Mesh, PartitionSpec

Row = tuple[str, int, int]
Spec = Callable[[str], "PartitionSpec"]


# 15.1: partition_spec(name, tp_axis, kv_axis)


def by_table(name: str, tp_axis: Axes, kv_axis: Axes) -> PartitionSpec:
    from jax.sharding import PartitionSpec as P

    table = {"q": tp_axis, "k": kv_axis, "v": kv_axis, "gate": tp_axis, "up": tp_axis}
    found = re.search(r"\.(\w+)_proj\.(\w+)$", name)
    if not found:
        return P(None) if "norm" in name else P(tp_axis)
    part, kind = found.groups()
    if part not in table:
        return P(None, tp_axis)
    return P(table[part]) if kind == "bias" else P(table[part], None)


def by_ending(name: str, tp_axis: Axes, kv_axis: Axes) -> PartitionSpec:
    from jax.sharding import PartitionSpec as P

    if name.endswith(("norm.weight",)):
        return P()
    if name.endswith(("o_proj.weight", "down_proj.weight")):
        return P(None, tp_axis)
    return P(kv_axis if ".k_proj." in name or ".v_proj." in name else tp_axis)


def tuples_of_axes(name: str, tp_axis: Axes, kv_axis: Axes) -> PartitionSpec:
    from jax.sharding import PartitionSpec as P

    many = tuple(tp_axis) if isinstance(tp_axis, tuple) else (tp_axis,)
    return (
        P()
        if "norm" in name
        else P(None, many)
        if re.search("o_proj|down", name)
        else P((kv_axis,) if re.search("[kv]_proj", name) else many)
    )


def as_on_one_axis(name: str, tp_axis: Axes, kv_axis: Axes) -> PartitionSpec:
    """Right where both axes are one."""
    return by_ending(name, tp_axis, tp_axis)


def no_annotations(name: str, tp_axis: Axes, kv_axis: Axes) -> PartitionSpec:
    from jax.sharding import PartitionSpec as P

    return P()


def only_the_mlp(name: str, tp_axis: Axes, kv_axis: Axes) -> PartitionSpec:
    from jax.sharding import PartitionSpec as P

    return by_ending(name, tp_axis, kv_axis) if "mlp" in name else P()


def no_spec(name: str, tp_axis: Axes, kv_axis: Axes) -> tuple:
    return (tp_axis, None)


def of_the_model(case: Case) -> dict:
    """Logits from torch; bytes by hand: float64, cut over 8 or over the devices of one row."""
    seed, tp_axis, kv_axis = case.args
    weights, ids = model_weights(seed)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(CONFIG.fields()))
        save_file(weights, f"{folder}/model.safetensors")
        with torch.no_grad():
            logits = Llama.from_pretrained(folder, dtype=torch.float64)(ids)
    held = {}
    for name, weight in weights.items():
        kv = "k_proj" in name or "v_proj" in name
        parts = 1 if "norm" in name else 4 if kv or tp_axis == kv_axis else 8
        held[name] = weight.nbytes // parts
    return {"forward": logits, "bytes on a device": held}


# 15.2: read_ledger(hlo_text)

BYTES = {"pred": 1, "bf16": 2, "f32": 4, "s32": 4, "f64": 8}


def through_the_package(hlo_text: str) -> list[Row]:
    return [(row.op, row.bytes, len(row.group)) for row in collectives(hlo_text) if row.rank == 0]


def without_patterns(hlo_text: str) -> list[list]:
    """By splitting; rows are lists."""
    rows = []
    for line in hlo_text.split("\n"):
        for op in ("all-reduce", "all-gather", "reduce-scatter"):
            if f" {op}(" not in line:
                continue
            result = line.split(" = ")[1].split(f" {op}(")[0]
            groups = line.split("replica_groups=")[1]
            if groups.startswith("{{"):
                p = groups[2 : groups.index("}")].count(",") + 1
            elif groups.startswith("["):
                p = int(groups[1 : groups.index("]")].split(",")[1])
            else:
                sizes = dict(pair.split("=") for pair in groups[5 : groups.index("]")].split(","))
                own = groups[groups.index("{") + 1 : groups.index("}")].split(",")
                p = int(np.prod([int(sizes[name]) for name in own]))
            for dtype in re.findall(r"[a-z]+[0-9]*\[[0-9,]*\]", result):
                letters, shape = dtype[:-1].split("[")
                size = BYTES[letters] * int(np.prod([int(n) for n in shape.split(",")])) if shape else BYTES[letters]
                rows.append(
                    [op.replace("-", "_"), {"all-gather": size / p, "reduce-scatter": size * p}.get(op, size), p]
                )
    return rows


def members_from_all_groups(hlo_text: str) -> list[Row]:
    """p as 8 devices by the number of groups, where it is told."""
    rows = []
    pattern = r"^ *(?:ROOT )?\S+ = (.+?) (all-reduce|all-gather|reduce-scatter)\((.*)$"
    for result, op, rest in re.findall(pattern, hlo_text, flags=re.M):
        if "replica_groups={{" in rest:
            groups = re.search(r"replica_groups=\{\{(.*?)\}\}", rest)[1].split("},{")
            p = 8 // len(groups)
        elif "replica_groups=[" in rest:
            p = 8 // int(re.search(r"replica_groups=\[(\d+),", rest)[1])
        else:
            names = re.findall(r"'(\w+)'(?=[,}])", rest.split("replica_groups=mesh")[1])
            p = math.prod(int(re.search(rf"'{name}'=(\d+)", rest)[1]) for name in names)
        for dtype, shape in re.findall(r"(\w+)\[(.*?)\]", result):
            size = BYTES[dtype] * math.prod(map(int, filter(None, shape.split(","))))
            rows.append((op.replace("-", "_"), round(size * {"all-gather": 1 / p, "reduce-scatter": p}.get(op, 1)), p))
    return rows


def no_rows(hlo_text: str) -> list[Row]:
    return []


def all_reduces_only(hlo_text: str) -> list[Row]:
    return [row for row in through_the_package(hlo_text) if row[0] == "all_reduce"]


def always_four(hlo_text: str) -> list[Row]:
    return [(op, size, 4) for op, size, _ in through_the_package(hlo_text)]


def all_devices(hlo_text: str) -> list[Row]:
    return [(row.op, row.bytes, len(row.group)) for row in collectives(hlo_text)]


def rows_of(case: Case) -> dict:
    return {"forward": [list(row) for row in through_the_package(case.args[0])]}


# 15.3: load_sharded(file, mesh, spec)


def from_single_devices(file: CountingFile, mesh: Mesh, spec: Spec) -> dict[str, Array]:
    """One array for each device, put together."""
    import jax
    from jax.sharding import NamedSharding

    arrays = {}
    for name in file.keys():  # noqa: SIM118
        part, sharding = file.get_slice(name), NamedSharding(mesh, spec(name))
        shape = padded_shape(part.get_shape(), mesh, spec(name))
        known: dict[Any, np.ndarray] = {}
        pieces = []
        for device, index in sharding.devices_indices_map(shape).items():
            spans = tuple(one.indices(n)[:2] for one, n in zip(index, shape, strict=True))
            if spans not in known:
                piece = np.zeros([stop - start for start, stop in spans], own_type(part))
                own = part[tuple(slice(start, stop) for start, stop in spans)].numpy()
                piece[tuple(slice(0, n) for n in own.shape)] = own
                known[spans] = piece
            pieces.append(jax.device_put(known[spans], device))
        arrays[name] = jax.make_array_from_single_device_arrays(shape, sharding, pieces)
    return arrays


def own_type(part: Any) -> np.dtype:
    """The type that numpy has for a tensor of the file."""
    return part[tuple(slice(0, 0) for _ in part.get_shape())].numpy().dtype


def row_by_row(file: CountingFile, mesh: Mesh, spec: Spec) -> dict[str, Array]:
    """Rows are read one at a time, and only those that are there."""
    import jax
    from jax.sharding import NamedSharding

    def load(name: str) -> Array:
        part = file.get_slice(name)
        rows = part.get_shape()[0]
        shape, known = padded_shape(part.get_shape(), mesh, spec(name)), {}

        def piece(index: tuple[slice, ...]) -> np.ndarray:
            if str(index) not in known:
                start, stop, _ = index[0].indices(shape[0])
                due = [len(range(*one.indices(n))) for one, n in zip(index, shape, strict=True)]
                held = np.zeros(due, own_type(part))
                for row in range(start, min(stop, rows)):
                    own = part[(slice(row, row + 1), *index[1:])].numpy()[0]
                    held[(row - start, *(slice(0, n) for n in own.shape))] = own
                known[str(index)] = held
            return known[str(index)]

        return jax.make_array_from_callback(shape, NamedSharding(mesh, spec(name)), piece)

    return {name: load(name) for name in file.tensors}


def with_torch_pad(file: CountingFile, mesh: Mesh, spec: Spec) -> dict[str, Array]:
    import jax
    from jax.sharding import NamedSharding

    arrays = {}
    for name in file.keys():  # noqa: SIM118
        part, sharding = file.get_slice(name), NamedSharding(mesh, spec(name))
        shape = padded_shape(part.get_shape(), mesh, spec(name))
        due, known = sharding.shard_shape(shape), {}
        for index in sharding.devices_indices_map(shape).values():
            if str(index) not in known:
                own = part[index]
                more = [pair for n, have in zip(due, own.shape, strict=True) for pair in (n - have, 0)][::-1]
                known[str(index)] = F.pad(own, more).numpy()
        arrays[name] = jax.make_array_from_callback(shape, sharding, lambda index, known=known: known[str(index)])
    return arrays


def padded_shape(shape: list[int], mesh: Mesh, spec: PartitionSpec) -> tuple[int, ...]:
    sizes = list(shape)
    for dim, entry in enumerate(spec):
        parts = math.prod(mesh.shape[axis] for axis in ((entry,) if isinstance(entry, str) else entry or ()))
        sizes[dim] += -sizes[dim] % parts
    return tuple(sizes)


def nothing_read(file: CountingFile, mesh: Mesh, spec: Spec) -> dict[str, Array]:
    """Shapes, and zeros."""
    import jax
    from jax.sharding import NamedSharding

    return {
        name: jax.device_put(
            np.zeros(padded_shape(file.get_slice(name).get_shape(), mesh, spec(name))), NamedSharding(mesh, spec(name))
        )
        for name in file.keys()  # noqa: SIM118
    }


def past_the_counter(file: CountingFile, mesh: Mesh, spec: Spec) -> dict[str, Array]:
    """Not read through the file."""
    return with_torch_pad(CountingFile(file.tensors), mesh, spec)


def plain_arrays(file: CountingFile, mesh: Mesh, spec: Spec) -> dict[str, np.ndarray]:
    return {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118


def shards_by_hand(case: Case) -> dict:
    tensors, (batch, model), specs = case.args
    shards: dict[str, list[Tensor]] = {}
    for name, weight in tensors.items():
        own = shards[name] = []
        for device in range(batch * model):
            at, sizes, piece = (
                {"batch": device // model, "model": device % model},
                {"batch": batch, "model": model},
                weight,
            )
            for dim, entry in enumerate(specs[name]):
                index, parts = 0, 1
                for axis in (entry,) if isinstance(entry, str) else entry or ():
                    index, parts = index * sizes[axis] + at[axis], parts * sizes[axis]
                rows = -(-weight.shape[dim] // parts)
                whole = torch.zeros_like(piece.narrow(dim, 0, 1)).repeat_interleave(rows * parts, dim)
                whole.narrow(dim, 0, weight.shape[dim]).copy_(piece)
                piece = whole.narrow(dim, index * rows, rows)
            own.append(piece.clone())
    return {"forward": shards, "bytes read": {name: weight.nbytes for name, weight in tensors.items()}}


# 15.4: kv_mesh(batch, model, kv_heads)


def with_devices(batch: int, model: int, kv_heads: int) -> tuple[Mesh, dict[str, PartitionSpec]]:
    import jax
    from jax.sharding import Mesh
    from jax.sharding import PartitionSpec as P

    if model % kv_heads != 0 and kv_heads % model != 0:
        raise ValueError("heads")
    copy = max(1, model // kv_heads)
    devices = np.array(jax.devices()[: batch * model]).reshape(batch, -1, copy)
    q, kv, o = P(("kv", "copy")), P("kv"), P(None, ("kv", "copy"))
    return Mesh(devices, ("batch", "kv", "copy")), {"q_proj": q, "k_proj": kv, "v_proj": kv, "o_proj": o}


def named_by_role(batch: int, model: int, kv_heads: int) -> tuple[Mesh, dict[str, PartitionSpec]]:
    """Few heads or many: gcd; the specs from what each dimension is."""
    import jax
    from jax.sharding import AxisType
    from jax.sharding import PartitionSpec as P

    kv = math.gcd(model, kv_heads)
    if kv not in (model, kv_heads):
        raise ValueError("neither divides the other")
    mesh = jax.make_mesh((batch, kv, model // kv), ("batch", "kv", "copy"), axis_types=(AxisType.Auto,) * 3)
    roles = {"queries": ("kv", "copy"), "keys": "kv", "hidden": None}
    shapes = {"q": ("queries", "hidden"), "k": ("keys", "hidden"), "v": ("keys", "hidden"), "o": ("hidden", "queries")}
    return mesh, {f"{one}_proj": P(*(roles[role] for role in shape)) for one, shape in shapes.items()}


def two_shapes(batch: int, model: int, kv_heads: int) -> tuple[Mesh, dict[str, PartitionSpec]]:
    """Where there are enough heads, without an axis for copies."""
    import jax
    from jax.sharding import AxisType
    from jax.sharding import PartitionSpec as P

    auto = AxisType.Auto
    if kv_heads % model == 0:
        mesh = jax.make_mesh((batch, model), ("batch", "kv"), axis_types=(auto, auto))
        every: Axes = "kv"
    elif model % kv_heads == 0:
        sizes = (batch, kv_heads, model // kv_heads)
        mesh = jax.make_mesh(sizes, ("batch", "kv", "copy"), axis_types=(auto,) * 3)
        every = ("kv", "copy")
    else:
        raise ValueError(f"{kv_heads} KV heads on {model} devices")
    return mesh, {"q_proj": P(every, None), "k_proj": P("kv", None), "v_proj": P("kv"), "o_proj": P(None, every)}


def one_axis(batch: int, model: int, kv_heads: int) -> tuple[Mesh, dict[str, PartitionSpec]]:
    import jax
    from jax.sharding import AxisType
    from jax.sharding import PartitionSpec as P

    mesh = jax.make_mesh((batch, model), ("batch", "model"), axis_types=(AxisType.Auto,) * 2)
    rows = P("model", None)
    return mesh, {"q_proj": rows, "k_proj": rows, "v_proj": rows, "o_proj": P(None, "model")}


def mesh_alone(batch: int, model: int, kv_heads: int) -> Mesh:
    return with_devices(batch, model, kv_heads)[0]


def nothing_is_cut(batch: int, model: int, kv_heads: int) -> tuple[Mesh, dict[str, PartitionSpec]]:
    from jax.sharding import PartitionSpec as P

    mesh, specs = with_devices(batch, model, kv_heads)
    return mesh, dict.fromkeys(specs, P())


def never_refuses(batch: int, model: int, kv_heads: int) -> tuple[Mesh, dict[str, PartitionSpec]]:
    if model % kv_heads and kv_heads % model:
        return nothing_is_cut(batch, model, 1)
    return with_devices(batch, model, kv_heads)


def attention(case: Case) -> dict:
    seed, batch, model, kv_heads = case.args
    if model % kv_heads and kv_heads % model:
        return {"error": "ValueError"}
    weights, x = inputs_of(seed, model, kv_heads)
    q, k, v = (
        F.linear(x, weights[name]).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2)
        for name in ("q_proj", "k_proj", "v_proj")
    )
    y = F.scaled_dot_product_attention(q, k, v, scale=1.0, enable_gqa=True)
    held = {name: weight.nbytes // model for name, weight in weights.items()}
    held |= {name: weights[name].nbytes // min(model, kv_heads) for name in ("k_proj", "v_proj")}
    held["texts"] = x.nbytes // batch
    return {"forward": F.linear(y.transpose(1, 2).flatten(2), weights["o_proj"]), "bytes on a device": held}


# 15.5: mlp_by_hand(mesh, x, gate, up, down, bias)


def turned(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """Weights as [in, out]; the activation by its formula."""
    import jax
    from jax.sharding import PartitionSpec as P

    def layer(x: Array, gate: Array, up: Array, down: Array) -> Array:
        x = jax.lax.pcast(x, "model", to="varying")
        g = x @ gate
        return jax.lax.psum((g / (1 + jax.numpy.exp(-g)) * (x @ up)) @ down, axis_name="model")

    specs = (P("batch"), P(None, "model"), P(None, "model"), P("model"))
    own = jax.shard_map(layer, mesh=mesh, in_specs=specs, out_specs=P("batch", None, None))
    return own(x, gate.T, up.T, down.T) + bias


def bias_outside(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    from functools import partial

    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    @partial(
        jax.shard_map, mesh=mesh, in_specs=(P("batch"), P("model"), P("model"), P(None, "model")), out_specs=P("batch")
    )
    def layer(x: Array, gate: Array, up: Array, down: Array) -> Array:
        x = jax.lax.pcast(x, ("model",), to="varying")
        g, u = jnp.einsum("bsh,ih->bsi", x, gate), jnp.einsum("bsh,ih->bsi", x, up)
        return jax.lax.psum(jnp.einsum("bsi,hi->bsh", g * jax.nn.sigmoid(g) * u, down), "model")

    return layer(x, gate, up, down) + bias


def one_product(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """gate and up stacked: x enters one product, and no f is needed."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    def layer(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
        g, u = jnp.einsum("bsh,pih->pbsi", x, jnp.stack([gate, up]))
        return jax.lax.psum(jax.nn.silu(g) * u @ down.T, "model") + bias

    specs = (P("batch", None, None), P("model", None), P("model", None), P(None, "model"), P(None))
    return jax.shard_map(layer, mesh=mesh, in_specs=specs, out_specs=P("batch"))(x, gate, up, down, bias)


def unshared(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """The dense MLP, for the compiler to cut."""
    import jax

    return jax.nn.silu(x @ gate.T) * (x @ up.T) @ down.T + bias


def first_device_alone(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """All others add zero."""
    import jax
    from jax.sharding import PartitionSpec as P

    def layer(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
        y = jax.nn.silu(x @ gate.T) * (x @ up.T) @ down.T
        return jax.lax.psum(y * (jax.lax.axis_index("model") == 0), "model") + bias

    specs = (P("batch"), P(), P(), P(), P())
    return jax.shard_map(layer, mesh=mesh, in_specs=specs, out_specs=P("batch"))(x, gate, up, down, bias)


def input_back(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    return x + bias


def dense_mlp(case: Case) -> dict:
    inputs, upstream = mlp_inputs(case.args[0])
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    y = F.silu(leaves["x"] @ leaves["gate"].T) * (leaves["x"] @ leaves["up"].T) @ leaves["down"].T + leaves["bias"]
    y.backward(upstream)
    return {"forward": y.detach(), "gradient": {name: leaf.grad for name, leaf in leaves.items()}}


# 15.6: tensor_parallel_dense(key, sizes, mesh, kernel_spec, out_spec)

Dense = tuple["Array", Callable[["Array", "Array"], "Array"]]


def put_afterwards(
    key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec
) -> Dense:
    import jax
    from jax.sharding import NamedSharding

    kernel = jax.random.normal(key, sizes) / np.sqrt(sizes[0])
    ending = NamedSharding(mesh, out_spec)
    return jax.device_put(kernel, NamedSharding(mesh, kernel_spec)), (
        lambda kernel, x: jax.lax.with_sharding_constraint(jax.numpy.dot(x, kernel), ending)
    )


def out_shardings_of_jit(
    key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec
) -> Dense:
    import jax
    from jax.sharding import NamedSharding

    lies, ending = (NamedSharding(mesh, spec) for spec in (kernel_spec, out_spec))
    kernel = jax.jit(jax.random.normal, static_argnums=1, out_shardings=lies)(key, tuple(sizes))
    return kernel / sizes[0] ** 0.5, jax.jit(lambda kernel, x: x @ kernel, out_shardings=ending)


def einsum_and_constraint(
    key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec
) -> Dense:
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding

    @jax.jit
    def draw(key: Array) -> Array:
        kernel = sizes[0] ** -0.5 * jax.random.normal(key, shape=sizes)
        return jax.lax.with_sharding_constraint(kernel, NamedSharding(mesh, kernel_spec))

    def apply(kernel: Array, x: Array) -> Array:
        y = jnp.einsum("...i,io->...o", x, kernel)
        return jax.lax.with_sharding_constraint(y, NamedSharding(mesh, out_spec))

    return draw(key), apply


def kernel_alone(
    key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec
) -> Array:
    return put_afterwards(key, sizes, mesh, kernel_spec, out_spec)[0]


def zeros(key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec) -> Dense:
    import jax
    from jax.sharding import NamedSharding

    kernel, apply = put_afterwards(key, sizes, mesh, kernel_spec, out_spec)
    return jax.device_put(np.zeros(sizes), NamedSharding(mesh, kernel_spec)), apply


def one_device(
    key: Array, sizes: tuple[int, int], mesh: Mesh, kernel_spec: PartitionSpec, out_spec: PartitionSpec
) -> Dense:
    import jax

    return jax.random.normal(key, sizes) / sizes[0] ** 0.5, lambda kernel, x: x @ kernel


def bytes_of_dense(case: Case) -> dict:
    """JAX's random numbers are its own: what each device holds, by hand."""
    seed, sizes, kernel_spec, out_spec = case.args
    parts = lambda spec: math.prod({"batch": 2, "model": 4, None: 1}[axis] for axis in spec)  # noqa: E731
    x = dense_input(seed, sizes)
    held = {"kernel": 8 * math.prod(sizes) // parts(kernel_spec), "y": 8 * len(x) * sizes[1] // parts(out_spec)}
    return {"bytes on a device": held}


# 15.7: explicit_block(x, gate, up, down, bias)


def normed(x: Array) -> Array:
    import jax.numpy as jnp

    return x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True))


def summed_by_reshard(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """The summands as a value of their own, and then g."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    h = jax.reshard(normed(x), P("batch", None, None, reduced={"model"}))
    y = jax.nn.silu(h @ gate.T) * (h @ up.T)
    summands = jnp.einsum("bsi,hi->bsh", y, down, out_sharding=P("batch", None, None, unreduced={"model"}))
    return jax.reshard(summands, P("batch", None, None)) + bias + x


def by_matmul(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    h = jax.reshard(normed(x), P("batch", reduced={"model"}))
    g = jnp.matmul(h, gate.T)
    y = g * jax.nn.sigmoid(g) * jnp.matmul(h, up.T)
    return x + (bias + jnp.matmul(y, down.T, out_sharding=P("batch")))


def by_dot_general(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    import jax
    from jax.sharding import PartitionSpec as P

    f = P("batch", None, None, reduced=frozenset({"model"}))
    h, last = jax.reshard(normed(x), f), (((2,), (1,)), ((), ()))
    y = jax.nn.silu(jax.lax.dot_general(h, gate, last)) * jax.lax.dot_general(h, up, last)
    return x + bias + jax.lax.dot_general(y, down, last, out_sharding=P("batch", None, None))


def as_in_auto_mode(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    import jax

    h = normed(x)
    return x + (jax.nn.silu(h @ gate.T) * (h @ up.T)) @ down.T + bias


def residual_alone(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    return x + bias


def all_gathered(x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
    """Whole weights first."""
    import jax
    from jax.sharding import PartitionSpec as P

    return as_in_auto_mode(x, *(jax.reshard(weight, P(None, None)) for weight in (gate, up, down)), bias)


def dense_block(case: Case) -> dict:
    inputs, upstream = mlp_inputs(case.args[0])
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    h = F.rms_norm(leaves["x"], leaves["x"].shape[-1:], eps=0.0)
    y = F.linear(F.silu(F.linear(h, leaves["gate"])) * F.linear(h, leaves["up"]), leaves["down"], leaves["bias"])
    y = y + leaves["x"]
    y.backward(upstream)
    return {"forward": y.detach(), "gradient": {name: leaf.grad for name, leaf in leaves.items()}}


LAZY: dict[str, dict[str, Any]] = {
    "partition_spec": {
        "as on one axis": as_on_one_axis,
        "nothing cut": no_annotations,
        "MLP only": only_the_mlp,
        "a tuple": no_spec,
    },
    "read_ledger": {
        "nothing": no_rows,
        "all-reduces only": all_reduces_only,
        "always four": always_four,
        "of all devices": all_devices,
    },
    "load_sharded": {"zeros": nothing_read, "past the counter": past_the_counter, "no JAX": plain_arrays},
    "kv_mesh": {
        "one axis": one_axis,
        "the mesh alone": mesh_alone,
        "nothing cut": nothing_is_cut,
        "never refuses": never_refuses,
    },
    "mlp_by_hand": {"left to the compiler": unshared, "one does all": first_device_alone, "x + bias": input_back},
    "tensor_parallel_dense": {"kernel alone": kernel_alone, "zeros": zeros, "one device": one_device},
    "explicit_block": {
        "as in auto mode": as_in_auto_mode,
        "residual alone": residual_alone,
        "all gathered": all_gathered,
    },
}

RIGHT: dict[str, dict[str, Any]] = {
    "partition_spec": {"a table": by_table, "endings": by_ending, "tuples of axes": tuples_of_axes},
    "read_ledger": {
        "the package's": through_the_package,
        "by splitting": without_patterns,
        "by the number of groups": members_from_all_groups,
    },
    "load_sharded": {
        "device by device": from_single_devices,
        "row by row": row_by_row,
        "read before": with_torch_pad,
    },
    "kv_mesh": {"of devices": with_devices, "by role": named_by_role, "two shapes": two_shapes},
    "mlp_by_hand": {
        "bias outside": bias_outside,
        "one product": one_product,
        "turned": turned,
    },
    "tensor_parallel_dense": {
        "put afterwards": put_afterwards,
        "jit's shardings": out_shardings_of_jit,
        "einsum": einsum_and_constraint,
    },
    "explicit_block": {
        "summed by reshard": summed_by_reshard,
        "matmul": by_matmul,
        "dot_general": by_dot_general,
    },
}

ORACLES = {
    "partition_spec": of_the_model,
    "read_ledger": rows_of,
    "load_sharded": shards_by_hand,
    "kv_mesh": attention,
    "mlp_by_hand": dense_mlp,
    "tensor_parallel_dense": bytes_of_dense,
    "explicit_block": dense_block,
}
