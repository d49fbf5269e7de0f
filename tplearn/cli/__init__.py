"""The `tplearn` command: the course, the exercises, and a Llama that is trained, verified and asked."""

from tplearn.cli import compilers, course, llama, train
from tplearn.cli.app import app

__all__ = ["app", "compilers", "course", "llama", "train"]
