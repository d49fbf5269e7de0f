"""What runs beside an answer that nobody trusts: torch, numpy and the standard library, and nothing else of tplearn."""
