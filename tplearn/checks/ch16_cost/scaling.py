"""Exercise 16.5: a model's tokens a second at a tp that nobody has measured, from two that somebody has."""

from torch import Generator

from tplearn.checks.ch16_cost.scaling_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick
from tplearn.planning.memory import parameter_count
from tplearn.planning.models import ModelShape

# https://github.com/pytorch-labs/gpt-fast, README: A100-80GB, bf16, one sequence, tokens a second by tp.
GPT_FAST = {"7B": {1: 104.9, 2: 168.84, 4: 254.02, 8: 328.43}, "70B": {2: 21.32, 4: 38.01, 8: 62.50}}
LLAMA_2 = {
    "7B": ModelShape(4096, 11008, 32, 32, 32, 128, 32000),
    "70B": ModelShape(8192, 28672, 80, 64, 8, 128, 32000),
}


def predict_tokens_per_second(
    measured: dict[int, float], weight_bytes: int, layers: int, other_weight_bytes: int, other_layers: int, tp: int
) -> float:
    """Solve two measurements for a and c of seconds = bytes / tp · a + layers · c; then those of the other model."""
    (one, rate), (two, other_rate) = measured.items()
    a = (1 / rate - 1 / other_rate) / (1 / one - 1 / two) / weight_bytes
    c = (1 / rate - weight_bytes / one * a) / layers
    return 1 / (other_weight_bytes / tp * a + other_layers * c)


def _published(source: str, sizes: tuple[int, int], target: str, tp: int) -> Case:
    """Two of gpt-fast's numbers, and what is to be foretold."""
    given = [(2 * parameter_count(LLAMA_2[name]), LLAMA_2[name].num_hidden_layers) for name in (source, target)]
    measured = {size: GPT_FAST[source][size] for size in sizes}
    label = f"gpt-fast, Llama-2-{source}" + (f" for {target}" if source != target else "")
    return Case(tp, (measured, *given[0], *given[1], tp), label=label)


def _cases(generator: Generator) -> list[Case]:
    """Published numbers, and others; the larger tp may stand first."""
    cases = [_published("7B", (1, 2), "7B", 4), _published("7B", (1, 2), "7B", 8), _published("70B", (2, 4), "70B", 8)]
    cases += [_published("7B", (1, 2), "70B", tp) for tp in (2, 4, 8)]
    for sizes, tp in (((2, 8), 1), ((1, 8), 4), ((4, 2), 8), ((6, 3), 2)):
        weights, layers = [pick(generator, 1000, 4000) * 10**7 for _ in "ab"], [pick(generator, 20, 90) for _ in "ab"]
        read, rest = pick(generator, 20, 60) * 1e-11, pick(generator, 30, 90) * 1e-6  # seconds: by byte, by layer
        seconds = {size: weights[0] * read / 20 / size + layers[0] * rest for size in sizes}
        measured = {size: round(1 / t, 3) for size, t in seconds.items()}
        cases.append(Case(tp, (measured, weights[0], layers[0], weights[1], layers[1], tp), label="made up"))
    return cases


PREDICT_TOKENS_PER_SECOND = Exercise(
    number="16.5",
    name="predict_tokens_per_second",
    points=10,
    difficulty=2,
    minutes=12,
    reference=predict_tokens_per_second,
    cases=_cases,
    mutants=MUTANTS,
)
