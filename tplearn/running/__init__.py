"""A script of the user's own, made for torchrun, on ranks that are watched: what `tplearn run` does."""
