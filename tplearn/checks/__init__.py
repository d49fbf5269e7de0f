"""The exercises' checks: fresh inputs, references, mutants that name misconceptions, and the verdict a reader sees."""

from tplearn.checks.check import check, judge
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.registry import exercises, find_exercise
from tplearn.checks.verdict import Verdict

__all__ = ["Case", "Exercise", "Mutant", "Verdict", "check", "exercises", "find_exercise", "judge"]
