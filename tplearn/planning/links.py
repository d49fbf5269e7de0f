"""What a collective costs on a link: α seconds to begin, and the bytes that a rank sends over the link's bandwidth.

n is the whole tensor in bytes: what an all-gather leaves on each rank and a reduce-scatter starts from.

| op | bytes that a rank sends | steps between k nodes |
|---|---|---|
| all_reduce | 2 · (p − 1) / p · n | 2 · log2 k, a tree |
| all_gather, reduce_scatter, all_to_all | (p − 1) / p · n | k − 1, a ring |
| broadcast, send | n | k − 1; 1 |

Each step between nodes adds the network's latency. For a TP group that is nothing. For weights sharded over 1,000 nodes
it is more than the bytes. Source of the steps: NVIDIA/nccl, src/graph/tuning.cc.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tplearn.planning.hardware import Accelerator
from tplearn.planning.memory import check_positive
from tplearn.sizes import require_size

RINGS = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1, "all_to_all": 1}
OPS = (*RINGS, "broadcast", "send")


@dataclass(frozen=True)
class Link:
    """What joins the ranks of a group: seconds to begin, bytes/s that one rank sends, seconds that a step adds."""

    alpha: float
    bandwidth: float
    hop: float = 0.0


@dataclass(frozen=True)
class NodeLink:
    """What joins a group of several nodes: `ranks_per_node` of its ranks share a node, each with a network card."""

    inside: Link
    across: Link
    ranks_per_node: int


def bytes_sent(op: str, nbytes: float, p: float) -> float:
    """Bytes that one of p ranks sends in a collective over a tensor of `nbytes` (see the table above); 0 for p = 1.

    Source: Thakur, Rabenseifner and Gropp 2005; NCCL's PERFORMANCE.md, where bus bandwidth is this over the time.
    Raises ValueError for an op that is not in `OPS`.
    """
    if op not in OPS:
        raise ValueError(f"op = {op!r} is not known; ops that work: {', '.join(OPS)}")
    if p == 1:
        return 0.0
    return RINGS[op] * (p - 1) / p * nbytes if op in RINGS else float(nbytes)


def steps(op: str, k: float) -> float:
    """Steps of a collective between k nodes, one after the other (see the table above)."""
    return 2 * math.ceil(math.log2(k)) if op == "all_reduce" else 1 if op == "send" else k - 1


def collective_seconds(op: str, nbytes: float, p: int, link: Link | NodeLink) -> float:
    """Seconds of one collective of p ranks over a tensor of `nbytes`; 0 for p = 1.

    Over several nodes it runs in two parts at once, and the slower one counts: among the g ranks of a node, and across
    the p / g nodes, where each of the g network cards carries its share, 1 / g of the tensor. Numbers that go from
    every rank to every other (all_to_all) or to one other (send) find no such share: each rank's own card takes them.

    Raises ValueError for an op that is not in `OPS`.
    """
    sent = bytes_sent(op, nbytes, p)
    if p == 1:
        return 0.0
    if isinstance(link, Link):
        return link.alpha + (steps(op, p) * link.hop if link.hop else 0.0) + sent / link.bandwidth
    g = link.ranks_per_node
    if op in ("all_to_all", "send"):
        across = nbytes * (p - g) / p if op == "all_to_all" else nbytes
        inside = sent - across
    else:
        inside, across = bytes_sent(op, nbytes, g), bytes_sent(op, nbytes / g, p / g)
    begin = link.across.alpha + steps(op, p / g) * link.across.hop
    return begin + max(inside / link.inside.bandwidth, across / link.across.bandwidth)


def link_of(accelerator: Accelerator, group_size: int, stride: int = 1) -> Link | NodeLink:
    """The link of a group whose neighbours are `stride` ranks apart, where ranks fill node after node.

    Inside a node it is the fast link. A group with one rank in each node has the network alone. Others have both.
    Raises ValueError for a size below 1.
    """
    require_size("group_size", group_size)
    require_size("stride", stride)
    return node_link(accelerator, group_size, max(1, accelerator.node_size // stride))


def node_link(accelerator: Accelerator, group_size: int, per_node: int) -> Link | NodeLink:
    """The link of a group that has up to `per_node` ranks in each node."""
    inside = Link(accelerator.node_alpha, accelerator.node_bandwidth * accelerator.link_fraction)
    network = accelerator.network_bandwidth * accelerator.link_fraction
    across = Link(accelerator.network_alpha, network, accelerator.network_hop)
    if group_size <= per_node:
        return inside
    return across if per_node == 1 else NodeLink(inside, across, per_node)


def compute_bound_tp(columns: int, accelerator: Accelerator, *, across: bool = False) -> float:
    """F · W / C: up to this tp, an MLP of F `columns` computes for longer than its all-gather and reduce-scatter take.

    Per token and hidden unit the two matmuls are 4F / tp FLOPs at C = peak_flops, and the two collectives 4 bytes at
    W, the node's bandwidth; `across` nodes that is what all cards of a node send together. Both are the data sheet's.
    Source: jax-ml/scaling-book, gpus.md. Raises ValueError for columns that are not above 0.
    """
    check_positive(columns=columns)
    nodes = accelerator.node_size * accelerator.network_bandwidth
    return columns * (nodes if across else accelerator.node_bandwidth) / accelerator.peak_flops


def fit_alpha_beta(nbytes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """α in seconds and β in seconds a byte of the line t = α + β · n that fits measured times best.

    It minimises the *relative* error: a plain least-squares fit sees hardly more than the largest size, which takes
    a thousand times as long as the small ones.

    Raises ValueError for fewer than two different sizes, or numbers that are not above 0.
    """
    import numpy as np

    n, t = np.asarray(nbytes, dtype=float), np.asarray(seconds, dtype=float)
    if n.shape != t.shape or n.ndim != 1 or len(set(n.tolist())) < 2:
        raise ValueError(
            f"{n.size} sizes and {t.size} times; as many times as sizes, of at least 2 different sizes, work"
        )
    check_positive(nbytes=n.min(), seconds=t.min())
    alpha, beta = np.linalg.lstsq(np.c_[1 / t, n / t], np.ones(len(t)), rcond=None)[0]
    return float(alpha), float(beta)
