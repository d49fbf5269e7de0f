"""What chapter 16's pictures compare: one GPU on three links, and the FLOPs a byte of a matrix product."""

from dataclasses import replace

from tplearn.planning import ACCELERATORS, Accelerator

H100 = ACCELERATORS["H100"]
LINKS: dict[str, Accelerator] = {
    "one node of 16": replace(H100, node_size=16),
    "nodes of 8": H100,
    "network alone": replace(H100, node_size=1),
}
"""By name: an H100 whose fast link joins 16, 8 as it is sold, or none."""


def matmul_intensity(m: int, k: int, n: int) -> float:
    """FLOPs a byte of [m, k] times [k, n] in bf16: both are read once, and [m, n] is written."""
    return 2 * m * k * n / (2 * (m * k + k * n + m * n))
