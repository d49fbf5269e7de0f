"""Simulated ranks: a list holds one tensor per rank; collectives are short functions with a visible byte counter."""

from tplearn.ranks.ledger import Ledger
from tplearn.simulated.ring import Ring, ring_all_gather, ring_all_reduce, ring_reduce_scatter
from tplearn.simulated.shards import all_gather, all_reduce, all_to_all, broadcast, reduce_scatter, split
from tplearn.simulated.states import Partial, Replicate, Shard, collective_between, convert, unshard

__all__ = [
    "Ledger",
    "Partial",
    "Replicate",
    "Ring",
    "Shard",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "broadcast",
    "collective_between",
    "convert",
    "reduce_scatter",
    "ring_all_gather",
    "ring_all_reduce",
    "ring_reduce_scatter",
    "split",
    "unshard",
]
