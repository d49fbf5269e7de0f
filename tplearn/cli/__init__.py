"""The `tplearn` command: the course, the exercises, a Llama that is trained, verified and asked, and plans."""

from tplearn.cli import compilers, course, grade, llama, plan, run, train
from tplearn.cli.app import app

__all__ = ["app", "compilers", "course", "grade", "llama", "plan", "run", "train"]
