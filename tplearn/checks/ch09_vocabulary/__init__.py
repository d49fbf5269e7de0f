"""Chapter 09's exercises: words on ranks, lookup, logits, loss and sampling without ever gathering the logits."""

from tplearn.checks.ch09_vocabulary.embed import EMBED_WORDS
from tplearn.checks.ch09_vocabulary.logits import PARALLEL_LOGITS
from tplearn.checks.ch09_vocabulary.loss import PARALLEL_CROSS_ENTROPY
from tplearn.checks.ch09_vocabulary.sample import SAMPLE_WORD
from tplearn.checks.ch09_vocabulary.tied import TIED_WORDS
from tplearn.checks.ch09_vocabulary.words import WORDS_OF_RANK
from tplearn.checks.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    WORDS_OF_RANK,
    EMBED_WORDS,
    PARALLEL_LOGITS,
    PARALLEL_CROSS_ENTROPY,
    SAMPLE_WORD,
    TIED_WORDS,
)
