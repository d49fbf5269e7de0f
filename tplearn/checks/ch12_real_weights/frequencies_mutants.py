"""Wrong answers to exercise 12.3: what counts as a turn, which frequencies are divided, and what lies on the ramp."""

import math

import torch
from torch import Tensor

from tplearn.checks.exercise import mutants_of


def _frequencies(plain: Tensor, factor: float, low: float, high: float, trained: int, wrong: str) -> Tensor:
    """Frequencies for long texts, with one thing `wrong`."""
    if wrong == "Llama 3.1's own numbers":
        factor, low, high, trained = 8.0, 1.0, 4.0, 8192
    turns = trained * plain / (2 * math.pi)
    turns = {
        "2π forgotten": turns * 2 * math.pi,
        "multiplied by 2π": trained * plain * 2 * math.pi,
        "wavelength for turns": 2 * math.pi / plain,
        "turns of the longer text": turns * factor,
        "half a turn": turns * 2,
        "whole turns": turns.floor(),
    }.get(wrong, turns)
    share = (turns - low) / (high - low)
    low_end, high_end = 0.0, 1.0
    if wrong in ("not clamped", "not clamped below"):
        low_end = -math.inf
    if wrong in ("not clamped", "not clamped above"):
        high_end = math.inf
    share = share.clamp(low_end, high_end)
    share = {
        "no ramp, divided between": (share == 1).to(plain),
        "no ramp, kept between": (share > 0).to(plain),
        "cut in the middle": (share > 0.5).to(plain),
        "fast and slow exchanged": 1 - share,
        "ramp upside down": torch.where((share > 0) & (share < 1), 1 - share, share),
        "ramp over wavelengths": ((1 / turns - 1 / low) / (1 / high - 1 / low)).clamp(0, 1),
        "ramp from 0": (turns / high).clamp(0, 1),
        "share of high": torch.where(share < 1, ((turns - low) / high).clamp(0, 1), share),
    }.get(wrong, share)
    divided = {"multiplied by factor": plain * factor, "divided twice": plain / factor**2}.get(wrong, plain / factor)
    if wrong in ("all divided", "all kept"):
        return divided if wrong == "all divided" else plain
    if wrong == "wavelengths mixed":
        return 1 / (share / plain + (1 - share) * factor / plain)
    if wrong == "geometric ramp":
        return plain**share * divided ** (1 - share)
    if wrong == "slow ones dropped":
        return share * plain
    return share * plain + (1 - share) * divided


BETWEEN = "the frequencies with more than low and fewer than high turns."
TURNS = "turns = trained · frequency / (2π), which is trained / wavelength."

MUTANTS = mutants_of(
    _frequencies,
    (
        "no ramp, divided between",
        "Between low and high turns you divided the whole frequency. There a share s of it is kept, s = (turns − low) "
        "/ (high − low), and the rest is divided: s · f + (1 − s) · f / factor. Without the ramp two neighbouring "
        "pairs of a head can turn at speeds that are a factor apart.",
        BETWEEN,
    ),
    (
        "no ramp, kept between",
        "Between low and high turns you kept the whole frequency. There a share s of it is kept, s = (turns − low) / "
        "(high − low), and the rest is divided: s · f + (1 − s) · f / factor.",
        BETWEEN,
    ),
    (
        "cut in the middle",
        "You kept the upper half of what lies between low and high, and divided the lower half. There is a ramp "
        "between them: s · f + (1 − s) · f / factor.",
        BETWEEN,
    ),
    (
        "ramp upside down",
        "Your ramp falls where it should rise. Right is: near low turns nearly all is divided, near high turns nearly "
        "nothing.",
        "s and 1 − s.",
    ),
    (
        "ramp from 0",
        "Your share is turns / high. It is 0 up to low turns: (turns − low) / (high − low).",
        "the share s.",
    ),
    ("share of high", "You divided turns − low by high. The ramp is high − low turns long.", "the share s."),
    (
        "not clamped",
        "Your share runs past 1 and below 0: fast frequencies grow, slow ones are divided by more than factor. It "
        "stays between 0 and 1.",
        ".clamp(0, 1).",
    ),
    (
        "not clamped below",
        "Your share runs below 0: frequencies with fewer than low turns are divided by more than factor, or change "
        "their sign. It stays between 0 and 1.",
        ".clamp(0, 1).",
    ),
    (
        "not clamped above",
        "Your share runs past 1: fast frequencies grow. It stays between 0 and 1.",
        ".clamp(0, 1).",
    ),
    (
        "ramp over wavelengths",
        "Your share changes evenly with the wavelength. It has to rise evenly with the number of turns: (turns − low) "
        "/ (high − low).",
        "the share s.",
    ),
    (
        "Llama 3.1's own numbers",
        "Your answer does not depend on all of its arguments: it is right for factor 8, 1 and 4 turns, and texts of "
        "8192 tokens.",
        "factor, low, high and trained.",
    ),
    (
        "fast and slow exchanged",
        "You divided the fast frequencies and kept the slow ones. The fast ones tell neighbours apart and stay. The "
        "slow ones have not made a full turn in training, and are stretched so that a longer text fits in.",
        "turns above high: share 1 is kept. Turns below low: share 0.",
    ),
    (
        "multiplied by factor",
        "You multiplied the slow frequencies by factor. They are radians a token, and the text gets longer: each "
        "token must turn by less. A wavelength would be multiplied.",
        "frequency / factor.",
    ),
    ("divided twice", "You divided the slow frequencies by factor twice.", "f / factor, once."),
    (
        "slow ones dropped",
        "What is not kept is missing from your sum: of it f / factor is due.",
        "s · f + (1 − s) · f / factor.",
    ),
    (
        "all divided",
        "You divided all frequencies by factor. That is linear position interpolation, an older way: it also slows "
        "the fast pairs, by which the model tells a token from its neighbour.",
        "which frequencies must stay as they are.",
    ),
    (
        "all kept",
        "All frequencies come out as they went in: nothing was divided. A slow pair makes few turns, trained · f / 2π. "
        "(trained / f would give it many: f is radians a token, no wavelength.)",
        TURNS,
    ),
    (
        "wavelengths mixed",
        "On the ramp you mixed wavelengths, or divided by a mixed factor, which is the same. It is the frequencies "
        "that are mixed: s · f + (1 − s) · f / factor.",
        BETWEEN,
    ),
    (
        "geometric ramp",
        "On the ramp you multiplied powers. It is a sum of shares: s · f + (1 − s) · f / factor.",
        BETWEEN,
    ),
    (
        "2π forgotten",
        "You took trained · frequency for the number of turns. That is radians. A turn has 2π of them, and low and "
        "high count turns.",
        TURNS,
    ),
    ("multiplied by 2π", "You multiplied by 2π to come from radians to turns. A turn has 2π radians: divide.", TURNS),
    (
        "wavelength for turns",
        "You compared wavelengths, tokens a turn, with low and high. These count turns in a text of `trained` tokens.",
        TURNS,
    ),
    (
        "turns of the longer text",
        "You counted the turns in the longer text. What matters is what the model has seen: texts of `trained` tokens.",
        TURNS,
    ),
    ("half a turn", "You counted twice the turns: a turn has 2π radians, not π.", TURNS),
    ("whole turns", "You rounded the turns down. The ramp then has steps; parts of a turn count.", TURNS),
)
