"""Chapter 01: count the parameters, cut them, count the KV cache, see how many sequences fit."""

from tplearn.checks.ch01_why_split.memory import EXERCISES

__all__ = ["EXERCISES"]
