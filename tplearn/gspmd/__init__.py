"""Compilers: the Llama with annotations instead of collectives, for JAX. Its files import jax; no lower floor does."""
