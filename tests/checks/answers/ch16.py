"""Chapter 16: α and β, what a collective, a block and a token cost, and layouts; counted again, step by step."""

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tplearn.checks import Case
from tplearn.planning.models import ModelShape

Shape = ModelShape
Layout = dict[str, int]

# 16.1: fit_alpha_beta(nbytes, seconds)


def by_polyfit(nbytes: list[int], seconds: list[float]) -> tuple[float, float]:
    """numpy squares the weights."""
    if min(nbytes) == max(nbytes):
        raise ValueError("one size")
    beta, alpha = np.polyfit(nbytes, seconds, 1, w=1 / np.array(seconds))
    return alpha, beta


def by_normal_equations(nbytes: list[int], seconds: list[float]) -> np.ndarray:
    """An array; numpy has an error of its own for a matrix without an inverse."""
    n, t = np.array(nbytes, dtype=float), np.array(seconds)
    rows = np.stack([1 / t, n / t * 1e-6], axis=1)
    try:
        if len(np.unique(n)) == 1:
            raise np.linalg.LinAlgError
        return np.linalg.solve(rows.T @ rows, rows.sum(0)) * np.array([1, 1e-6])
    except np.linalg.LinAlgError:
        raise ValueError("no line") from None


def by_cramer(nbytes: list[int], seconds: list[float]) -> Tensor:
    """Sums alone; a tensor."""
    pairs = list(zip(nbytes, seconds, strict=True))
    if len({n for n, _ in pairs}) == 1:
        raise ValueError(f"all sizes are {nbytes[0]}")
    a, b, c = (sum(n**k / t**2 for n, t in pairs) for k in (0, 1, 2))
    u, v = (sum(n**k / t for n, t in pairs) for k in (0, 1))
    return torch.tensor([(u * c - v * b) / (a * c - b * b), (a * v - b * u) / (a * c - b * b)], dtype=torch.float64)


def plain_polyfit(nbytes: list[int], seconds: list[float]) -> tuple[float, float]:
    if len(set(nbytes)) < 2:
        raise ValueError("one size")
    beta, alpha = np.polyfit(nbytes, seconds, 1)
    return alpha, beta


def by_median_slope(nbytes: list[int], seconds: list[float]) -> tuple[float, float]:
    pairs = sorted(set(zip(nbytes, seconds, strict=True)))
    slopes = [(t - s) / (n - m) for (m, s), (n, t) in zip(pairs, pairs[1:], strict=False) if n > m]
    if not slopes:
        raise ValueError("one size")
    beta = sorted(slopes)[len(slopes) // 2]
    return pairs[0][1] - beta * pairs[0][0], beta


def to_eight_digits(nbytes: list[int], seconds: list[float]) -> tuple[float, ...]:
    return tuple(float(f"{one:.7e}") for one in by_polyfit(nbytes, seconds))


# 16.2: collective_seconds(op, nbytes, p, messages, alpha, beta)


def message_by_message(op: str, nbytes: int, p: int, messages: int, alpha: float, beta: float) -> float:
    total = 0.0
    steps = {"all_reduce": 2 * (p - 1), "all_gather": p - 1, "reduce_scatter": p - 1}.get(op)
    if steps is None:
        raise ValueError(op)
    for _ in range(messages):
        total += (alpha if steps else 0) + steps * (nbytes / messages / p) * beta
    return total


def in_halves(op: str, nbytes: int, p: int, messages: int, alpha: float, beta: float) -> float:
    """An all-reduce is both halves, but starts once."""
    halves = ("all_reduce", "all_gather", "reduce_scatter").index(op) == 0  # ValueError where it is none of them
    half = (nbytes - nbytes / p) * beta
    return half * (1 + halves) + messages * alpha * (p > 1)


def by_bandwidth(op: str, nbytes: int, p: int, messages: int, alpha: float, beta: float) -> float:
    match op:
        case "all_reduce":
            factor = 2 - 2 / p
        case "all_gather" | "reduce_scatter":
            factor = 1 - 1 / p
        case _:
            raise ValueError(f"{op} is no op")
    return 0 if p < 2 else math.fsum([alpha] * messages) + factor * nbytes / (1 / beta)


# 16.3: block_flops(shape, batch, seq, tp, causal)


def matrix_by_matrix(shape: Shape, batch: int, seq: int, tp: int, causal: bool) -> int:
    h, d, tokens = shape.hidden_size, shape.head_dim, batch * seq
    q, kv, inner = shape.num_attention_heads // tp * d, -(-shape.num_key_value_heads // tp) * d, shape.intermediate_size
    sizes = [(h, q), (h, kv), (h, kv), (q, h), (h, inner // tp), (h, inner // tp), (inner // tp, h)]
    lengths = range(1, seq + 1) if causal else [seq] * seq
    attention = sum(2 * 2 * batch * (q // d) * d * length for length in lengths)
    return sum(2 * tokens * a * b for a, b in sizes) + attention


def token_by_token(shape: Shape, batch: int, seq: int, tp: int, causal: bool) -> float:
    """In floats: what one token costs, and how many keys it sees on average."""
    heads = shape.num_attention_heads / tp
    kv_heads = 1 if tp > shape.num_key_value_heads else shape.num_key_value_heads / tp
    weights = 2 * shape.hidden_size * shape.head_dim * (heads + kv_heads)
    weights += 3 * shape.hidden_size * shape.intermediate_size / tp
    seen = (seq + 1) / 2 if causal else seq
    return float(batch * seq) * (2 * weights + 4 * heads * shape.head_dim * seen)


def from_all_ranks(shape: Shape, batch: int, seq: int, tp: int, causal: bool) -> int:
    """All ranks' work together, copies and all, over tp."""
    d, kv_heads = shape.head_dim, max(tp, shape.num_key_value_heads)
    attention = 2 * shape.hidden_size * d * (shape.num_attention_heads + kv_heads)
    pairs = sum(i + 1 if causal else seq for i in range(seq))
    flops = 2 * batch * seq * (attention + 3 * shape.hidden_size * shape.intermediate_size)
    return (flops + 4 * batch * pairs * d * shape.num_attention_heads) // tp


# 16.4: decode_seconds(shape, weight_bytes, tp, batch, context, bandwidth, peak, alpha, beta)


def layer_by_layer(
    s: Shape, weights: int, tp: int, batch: int, context: int, bandwidth: float, peak: float, alpha: float, beta: float
) -> float:
    layers = s.num_hidden_layers
    read = compute = send = 0.0
    for _ in range(layers):
        cached = batch * context * max(s.num_key_value_heads / tp, 1) * s.head_dim
        read += (weights / layers / tp + 2 * 2 * cached) / bandwidth
        compute += 2 * (weights / layers / 2) * batch / tp / peak
        for _ in ("attention", "mlp"):
            send += (alpha + 2 * (1 - 1 / tp) * 2 * batch * s.hidden_size * beta) if tp > 1 else 0
    return (read if read > compute else compute) + send


def in_bytes_and_flops(
    s: Shape, weights: int, tp: int, batch: int, context: int, bandwidth: float, peak: float, alpha: float, beta: float
) -> float:
    kv_heads = s.num_key_value_heads // tp or 1
    nbytes = weights / tp + 4 * s.num_hidden_layers * kv_heads * s.head_dim * context * batch
    ridge = peak / bandwidth
    seconds = nbytes / bandwidth if weights * batch / tp / nbytes < ridge else weights * batch / tp / peak
    collectives = 2 * s.num_hidden_layers * (tp > 1)
    return seconds + collectives * alpha + collectives * (tp - 1) / tp * 4 * batch * s.hidden_size * beta


def with_tensors(
    s: Shape, weights: int, tp: int, batch: int, context: int, bandwidth: float, peak: float, alpha: float, beta: float
) -> float:
    with torch.device("meta"):
        kv = [torch.empty(batch, context, -(-s.num_key_value_heads // tp), s.head_dim, dtype=torch.bfloat16)] * 2
        message = torch.empty(batch, s.hidden_size, dtype=torch.bfloat16)
    read = (weights / tp + s.num_hidden_layers * sum(x.nbytes for x in kv)) / bandwidth
    each = alpha * bool(tp - 1) + 2 * message.nbytes * beta * (tp - 1) / tp
    return max(read, batch * weights / tp / peak) + 2 * s.num_hidden_layers * each


# 16.5: predict_tokens_per_second(measured, weight_bytes, layers, other_weight_bytes, other_layers, tp)


def by_solve(measured: dict, weights: int, layers: int, others: int, other_layers: int, tp: int) -> float:
    sizes, rates = np.array(list(measured)), np.array(list(measured.values()))
    x, y = np.linalg.solve(np.stack([1 / sizes, np.ones(2)], axis=1), 1 / rates)
    return (x * others / weights / tp + y * other_layers / layers) ** -1


def by_extrapolation(measured: dict, weights: int, layers: int, others: int, other_layers: int, tp: int) -> float:
    """Seconds are a line in 1 / tp: its end at 1 / tp = 0, and its slope."""
    (small, few), (large, many) = sorted(measured.items())
    at_infinity = (large / many - small / few) / (large - small)
    slope = (1 / few - at_infinity) * small
    return 1.0 / (at_infinity * (other_layers / layers) + slope * (others / weights) / tp)


def in_units(measured: dict, weights: int, layers: int, others: int, other_layers: int, tp: int) -> float:
    """a in seconds a gigabyte, c in seconds a layer, by elimination."""
    (p, r), (q, s) = measured.items()
    gigabytes = weights / 1e9
    a = (p * q / (q - p)) * (1 / r - 1 / s) / gigabytes
    c = (1 / s - gigabytes / q * a) / layers
    return np.reciprocal(others / 1e9 / tp * a + other_layers * c)


# 16.6: max_tp(shape, gpus, peak, link, copies)


def downwards(s: Shape, gpus: int, peak: float, link: float, copies: bool) -> int:
    tp = min(gpus, s.num_attention_heads)
    while tp > 1:
        pieces = s.num_attention_heads / tp, s.intermediate_size / tp, s.num_key_value_heads / tp
        kv = pieces[2].is_integer() or copies and (1 / pieces[2]).is_integer()
        if pieces[0].is_integer() and pieces[1].is_integer() and kv and peak / link <= s.intermediate_size / tp:
            return tp
        tp -= 1
    return tp


def by_divisors(s: Shape, gpus: int, peak: float, link: float, copies: bool) -> int:
    common = math.gcd(s.num_attention_heads, s.intermediate_size)
    kv = s.num_key_value_heads
    works = {1} | {tp for tp in range(1, common + 1) if common % tp == 0 and tp * peak <= s.intermediate_size * link}
    return max(tp for tp in works if tp <= gpus and (kv % tp == 0 or copies and tp % kv == 0 or tp == 1))


def by_times(s: Shape, gpus: int, peak: float, link: float, copies: bool) -> int:
    sizes = torch.arange(1, gpus + 1)
    kv = s.num_key_value_heads
    fits = (s.num_attention_heads % sizes == 0) & (s.intermediate_size % sizes == 0)
    fits &= (kv % sizes == 0) | ((sizes % kv == 0) & copies)
    fits &= (4 * s.hidden_size * s.intermediate_size / sizes.double() / peak >= 4 * s.hidden_size / link) | (sizes == 1)
    return sizes[fits].max().item()


# 16.7: crossover_tokens(parameters, hidden, p, recompute, gradient_bytes)


def without_p(parameters: int, hidden: int, p: int, recompute: bool, gradient_bytes: int) -> float:
    return parameters * (4 + gradient_bytes) / hidden / (24 if recompute else 16)


def by_two_points(parameters: int, hidden: int, p: int, recompute: bool, gradient_bytes: int) -> float:
    """TP's bytes for one token, and how often they go into FSDP's."""
    ring = lambda n: (p - 1) * n / p  # noqa: E731
    tokens_sent = sum(2 * ring(2 * hidden) for _ in range(4 + 2 * recompute))
    return (2 * ring(2 * parameters) + ring(gradient_bytes * parameters)) / tokens_sent


def by_halving(parameters: int, hidden: int, p: int, recompute: bool, gradient_bytes: int) -> float:
    """A search, down to the last digit."""
    all_reduces, fsdp = (6 if recompute else 4), parameters * (2 + 2 + gradient_bytes)
    low, high = 0.0, float(parameters)
    for _ in range(200):
        tokens = (low + high) / 2
        low, high = (tokens, high) if all_reduces * 2 * tokens * hidden * 2 < fsdp else (low, tokens)
    return low


# 16.8: recommend_parallelism(weight_bytes, heads, layers, gpus, gpus_per_node, room)


def by_sorting(weights: int, heads: int, layers: int, gpus: int, node: int, room: int) -> Layout:
    """All pairs that fit, in the order of the task."""
    pairs = [
        (pp, tp)
        for pp, tp in product(range(1, gpus + 1), range(1, gpus + 1))
        if math.gcd(heads, node) % tp == 0 and tp * pp <= gpus and weights * -(-layers // pp) <= room * layers * tp
    ]
    if not pairs:
        raise ValueError("nothing fits")
    pp, tp = sorted(pairs)[0]
    return {"dp": gpus // pp // tp, "tp": tp, "pp": pp}


def tp_by_division(weights: int, heads: int, layers: int, gpus: int, node: int, room: int) -> Layout:
    """The tp that a stage needs, then the next that is allowed."""
    allowed = [tp for tp in range(1, node + 1) if not heads % tp and not node % tp]
    for pp in range(1, gpus + 1):
        stage = Fraction(weights * math.ceil(layers / pp), layers)
        tp = next((tp for tp in allowed if tp >= stage / room), None)
        if tp and tp * pp <= gpus:
            return dict(tp=tp, pp=pp, dp=gpus // (tp * pp))
    raise ValueError("more GPUs, please")


def by_recursion(weights: int, heads: int, layers: int, gpus: int, node: int, room: int, pp: int = 1) -> Layout:
    if pp > layers:
        raise ValueError(f"room = {room} is too small")
    for tp in (1, 2, 3, 4, 5, 6, 7, 8):
        fits = weights / layers * max(len(part) for part in np.array_split(np.arange(layers), pp)) / tp
        if heads % tp == node % tp == 0 and tp * pp <= gpus and fits <= room * (1 + 1e-12):
            return {"tp": tp, "pp": pp, "dp": int(gpus / tp / pp)}
    return by_recursion(weights, heads, layers, gpus, node, room, pp + 1)


def sum_of_the_gpus(weights: int, heads: int, layers: int, gpus: int, node: int, room: int) -> Layout:
    """As if memory could be poured."""
    needed = -(-weights // room)
    if needed > gpus:
        raise ValueError("too much")
    tp = next((tp for tp in (1, 2, 4, 8) if tp >= needed and tp <= node), min(8, node))
    pp = -(-needed // tp)
    return {"tp": tp, "pp": pp, "dp": gpus // (tp * pp)}


def never_refuses(weights: int, heads: int, layers: int, gpus: int, node: int, room: int) -> Layout:
    try:
        return by_sorting(weights, heads, layers, gpus, node, room)
    except ValueError:
        return {"tp": 1, "pp": 1, "dp": 0}


LAZY: dict[str, dict[str, Any]] = {
    "fit_alpha_beta": {
        "numpy's line, without weights": plain_polyfit,
        "the slope in the middle": by_median_slope,
        "the task's example": lambda nbytes, seconds: (1.0874e-4, 9.9104e-10),
        "eight digits": to_eight_digits,
    },
    "collective_seconds": {
        "all-reduce only": lambda op, nbytes, p, messages, alpha, beta: by_bandwidth(
            "all_reduce", nbytes, p, messages, alpha, beta
        ),
        "two ranks": lambda op, nbytes, p, messages, alpha, beta: by_bandwidth(op, nbytes, 2, messages, alpha, beta),
        "one message": lambda op, nbytes, p, messages, alpha, beta: by_bandwidth(op, nbytes, p, 1, alpha, beta),
        "bytes alone": lambda op, nbytes, p, messages, alpha, beta: by_bandwidth(op, nbytes, p, messages, 0.0, beta),
        "the task's example": lambda op, nbytes, p, messages, alpha, beta: 0.01202,
    },
    "block_flops": {
        "2 FLOPs a parameter and token": lambda shape, batch, seq, tp, causal: (
            matrix_by_matrix(shape, batch, seq, tp, causal) - matrix_by_matrix(shape, 1, 1, tp, causal)
        ),
        "tp = 1": lambda shape, batch, seq, tp, causal: matrix_by_matrix(shape, batch, seq, 1, causal),
        "everything divides": lambda shape, batch, seq, tp, causal: matrix_by_matrix(shape, batch, seq, 1, causal) / tp,
        "all pairs": lambda shape, batch, seq, tp, causal: matrix_by_matrix(shape, batch, seq, tp, False),
        "about right": lambda shape, batch, seq, tp, causal: (
            round(token_by_token(shape, batch, seq, tp, causal), -3) + 500
        ),
    },
    "decode_seconds": {
        "short context": lambda s, w, tp, batch, context, *rest: layer_by_layer(s, w, tp, batch, 0, *rest),
        "one sequence": lambda s, w, tp, batch, context, *rest: layer_by_layer(s, w, tp, 1, context, *rest),
        "one rank": lambda s, w, tp, *rest: layer_by_layer(s, w, 1, *rest),
        "one rank, over tp": lambda s, w, tp, *rest: layer_by_layer(s, w, 1, *rest) / tp,
        "infinitely fast": lambda s, w, tp, batch, context, bandwidth, peak, *rest: layer_by_layer(
            s, w, tp, batch, context, bandwidth, math.inf, *rest
        ),
    },
    "predict_tokens_per_second": {
        "what was measured": lambda measured, *rest: list(measured.values())[0],
        "looked up": lambda measured, weights, layers, others, other_layers, tp: {1: 104.9, 2: 168.84, 4: 254.02}.get(
            tp, 328.43
        ),
        "the same model": lambda measured, weights, layers, others, other_layers, tp: by_solve(
            measured, weights, layers, weights, layers, tp
        ),
        "the smaller tp first": lambda measured, weights, layers, others, other_layers, tp: by_solve(
            dict(zip(sorted(measured), measured.values(), strict=True)), weights, layers, others, other_layers, tp
        ),
        "from 1 and 2": lambda measured, *rest: by_solve(dict(zip((1, 2), measured.values(), strict=True)), *rest),
    },
    "max_tp": {
        "a node": lambda s, gpus, peak, link, copies: gpus,
        "4": lambda s, gpus, peak, link, copies: 4,
        "what divides": lambda s, gpus, peak, link, copies: math.gcd(gpus, s.num_key_value_heads),
        "an endless link": lambda s, gpus, peak, link, copies: by_divisors(s, gpus, 1.0, 1.0, copies),
        "the chapter's H100": lambda s, gpus, peak, link, copies: by_divisors(s, gpus, 989e12, 450e9, copies),
    },
    "crossover_tokens": {
        "20,000": lambda parameters, hidden, p, recompute, gradient_bytes: 20_000.0,
        "the example's formula": lambda parameters, hidden, *rest: without_p(parameters, hidden, 8, False, 2),
        "in float32": lambda parameters, hidden, p, recompute, gradient_bytes: without_p(
            parameters, hidden, p, recompute, 4
        ),
        "whole tokens": lambda *args: round(without_p(*args)),
    },
    "recommend_parallelism": {
        "one of everything": lambda *args: {"tp": 1, "pp": 1, "dp": 1},
        "as in Llama 3's paper, in the order of its table": lambda *args: (8, 16, 128),
        "a node": lambda weights, heads, layers, gpus, node, room: {"tp": min(gpus, node), "pp": 1, "dp": gpus // node},
        "memory poured": sum_of_the_gpus,
        "never refuses": never_refuses,
        "always refuses what one node does not hold": lambda weights, heads, layers, gpus, node, room: by_sorting(
            weights, heads, 1, gpus, node, room
        ),
    },
}

RIGHT: dict[str, dict[str, Any]] = {
    "fit_alpha_beta": {"polyfit": by_polyfit, "normal equations": by_normal_equations, "sums": by_cramer},
    "collective_seconds": {"by messages": message_by_message, "in halves": in_halves, "by bandwidth": by_bandwidth},
    "block_flops": {"by matrices": matrix_by_matrix, "by tokens": token_by_token, "from all ranks": from_all_ranks},
    "decode_seconds": {"by layers": layer_by_layer, "by the ridge": in_bytes_and_flops, "by tensors": with_tensors},
    "predict_tokens_per_second": {"solve": by_solve, "a line in 1 / tp": by_extrapolation, "in units": in_units},
    "max_tp": {"downwards": downwards, "divisors": by_divisors, "all at once": by_times},
    "crossover_tokens": {"without p": without_p, "ring by ring": by_two_points, "halving": by_halving},
    "recommend_parallelism": {"sorted": by_sorting, "by division": tp_by_division, "recursive": by_recursion},
}


def _exact_fit(case: Case) -> dict[str, Any]:
    """In fractions: where both derivatives of the sum of squared relative errors are 0."""
    pairs = [(Fraction(n), Fraction(t)) for n, t in zip(*case.args, strict=True)]
    ones, firsts, seconds = (sum(n**k / t**2 for n, t in pairs) for k in (0, 1, 2))
    determinant = ones * seconds - firsts**2
    if determinant == 0:
        return {"error": "ValueError"}
    u, v = (sum(n**k / t for n, t in pairs) for k in (0, 1))
    alpha, beta = (u * seconds - v * firsts) / determinant, (ones * v - firsts * u) / determinant
    return {"alpha": float(alpha), "beta": float(beta)}


def _ring_clock(case: Case) -> dict[str, Any]:
    """Every chunk that rank 0 sends on its way round, in fractions of a byte."""
    op, nbytes, p, messages, alpha, beta = case.args
    rounds = {"all_reduce": "two", "all_gather": "one", "reduce_scatter": "one"}
    if op not in rounds:
        return {"error": "ValueError"}
    starts, sent = 0, Fraction(0)
    for _ in range(messages if p > 1 else 0):
        starts += 1
        chunks = [Fraction(nbytes, messages * p)] * p
        for _ in range(2 if rounds[op] == "two" else 1):
            sent += sum(chunks[1:])
    return {"forward": float(starts * Fraction(alpha) + sent * Fraction(beta))}


def _counted_by_torch(case: Case) -> dict[str, Any]:
    """torch's own counter over a rank's layers, without numbers in them."""
    shape, batch, seq, tp, causal = case.args
    heads, d, hidden = shape.num_attention_heads // tp, shape.head_dim, shape.hidden_size
    kv_heads, inner = max(1, shape.num_key_value_heads // tp), shape.intermediate_size // tp
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        x = torch.empty(batch, seq, hidden)
        q = nn.Linear(hidden, heads * d)(x).view(batch, seq, heads, d).transpose(1, 2)
        k, v = (nn.Linear(hidden, kv_heads * d)(x).view(batch, seq, kv_heads, d).transpose(1, 2) for _ in "kv")
        k, v = (part[:, [0] * heads] for part in (k, v))  # a head for each query head: which one does not matter
        for token in range(seq):
            seen = slice(token + 1 if causal else seq)
            weights = q[:, :, token : token + 1] @ k[:, :, seen].mT
            weights @ v[:, :, seen]
        nn.Linear(heads * d, hidden)(q.transpose(1, 2).flatten(2))
        up = nn.Linear(hidden, inner)(x) * nn.Linear(hidden, inner)(x)
        nn.Linear(inner, hidden)(up)
    return {"forward": counter.get_total_flops()}


def _decode_clock(case: Case) -> dict[str, Any]:
    """In fractions; bytes of K and V head by head, the rank with most of them."""
    shape, weight_bytes, tp, batch, context, bandwidth, peak, alpha, beta = case.args
    heads = [head * shape.num_key_value_heads // shape.num_attention_heads for head in range(shape.num_attention_heads)]
    share = len(heads) // tp
    kv_heads = max(len(set(heads[rank * share : (rank + 1) * share])) for rank in range(tp))
    vectors = 2 * kv_heads * shape.num_hidden_layers * batch * context
    reading = (Fraction(weight_bytes, tp) + 2 * shape.head_dim * vectors) / Fraction(bandwidth)
    parameters = Fraction(weight_bytes, 2 * tp)
    computing = 2 * parameters * batch / Fraction(peak)
    steps = 2 * (tp - 1)
    each = steps * Fraction(2 * batch * shape.hidden_size, tp) * Fraction(beta) + (Fraction(alpha) if steps else 0)
    return {"forward": float(max(reading, computing) + sum(each for _ in range(2 * shape.num_hidden_layers)))}


def _foretold(case: Case) -> dict[str, Any]:
    """In fractions: seconds are a straight line in 1 / tp."""
    measured, weights, layers, others, other_layers, tp = case.args
    (x1, y1), (x2, y2) = ((Fraction(1, size), 1 / Fraction(rate)) for size, rate in measured.items())
    slope = (y2 - y1) / (x2 - x1)
    rest = y1 - slope * x1
    seconds = slope * Fraction(others, weights) / tp + rest * Fraction(other_layers, layers)
    return {"forward": float(1 / seconds)}


def _cut_by_hand(case: Case) -> dict[str, Any]:
    """Every tp tried: heads dealt to ranks, KV heads after them, and both times compared for one token."""
    shape, gpus, peak, link, copies = case.args
    works = [1]
    for tp in range(2, gpus + 1):
        even = all(size % tp == 0 for size in (shape.num_attention_heads, shape.intermediate_size))
        holders = [[rank for rank in range(tp) if _meets(rank, tp, head, shape)] for head in range(_kv(shape))]
        once = all(len(ranks) == 1 for ranks in holders)
        copied = all(len(ranks) == len(holders[0]) for ranks in holders) and tp == sum(map(len, holders))
        products = Fraction(4 * shape.hidden_size * shape.intermediate_size, tp) / Fraction(peak)
        collectives = 4 * shape.hidden_size / Fraction(link)
        if even and (once and _kv(shape) % tp == 0 or copies and copied) and products >= collectives:
            works.append(tp)
    return {"forward": works[-1]}


def _kv(shape: Shape) -> int:
    return shape.num_key_value_heads


def _meets(rank: int, tp: int, head: int, shape: Shape) -> bool:
    """Whether the rank's part of all KV heads, laid on a line, has something of this one."""
    begin, end = Fraction(rank * _kv(shape), tp), Fraction((rank + 1) * _kv(shape), tp)
    return begin < head + 1 and head < end


def _bytes_listed(case: Case) -> dict[str, Any]:
    """All messages of both, one by one, on a ring."""
    parameters, hidden, p, recompute, gradient_bytes = case.args
    passes = ["forward", *["forward again"] * recompute, "backward"]
    of_tp = [(kind, 2 * hidden) for _ in passes for _half in ("attention", "mlp") for kind in ("scatter", "gather")]
    of_fsdp = [("gather", 2 * parameters), ("gather", 2 * parameters), ("scatter", gradient_bytes * parameters)]
    tp, fsdp = (sum(Fraction(n, p) * (p - 1) for _, n in messages) for messages in (of_tp, of_fsdp))
    return {"forward": float(fsdp / tp)}


def _laid_out(case: Case) -> dict[str, Any]:
    """Every layout of one replica and more, GPU by GPU: nodes of its groups, layers of its stages."""
    weights, heads, layers, gpus, node, room = case.args
    found = []
    for pp, tp in product(range(1, min(gpus, layers) + 1), range(1, gpus + 1)):
        if pp * tp > gpus or heads % tp:
            continue
        dp = max(dp for dp in range(1, gpus + 1) if tp * pp * dp <= gpus)
        groups = [range(start, start + tp) for start in range(0, node * tp, tp)]  # until the pattern repeats
        inside = all(group[0] // node == group[-1] // node for group in groups)
        fullest = max(map(len, np.array_split(range(layers), pp)))
        if inside and Fraction(weights, layers) * fullest / tp <= room:
            found.append((pp, tp, dp))
    if not found:
        return {"error": "ValueError"}
    pp, tp, dp = min(found)
    return {"tp": tp, "pp": pp, "dp": dp}


ORACLES: dict[str, Any] = {
    "fit_alpha_beta": _exact_fit,
    "collective_seconds": _ring_clock,
    "block_flops": _counted_by_torch,
    "decode_seconds": _decode_clock,
    "predict_tokens_per_second": _foretold,
    "max_tp": _cut_by_hand,
    "crossover_tokens": _bytes_listed,
    "recommend_parallelism": _laid_out,
}
