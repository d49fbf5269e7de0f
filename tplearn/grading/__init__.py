"""Notebooks as sources and as tests: making the exercises, executing, cleaning, comparing, checking."""
