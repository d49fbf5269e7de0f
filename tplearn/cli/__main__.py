"""`python -m tplearn.cli`, which torchrun can start."""

from tplearn.cli import app

app()
