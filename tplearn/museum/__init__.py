"""The bug museum: models that are broken as public ones were, some that only look so, and their fingerprints."""

from tplearn.museum.exhibits import EXHIBITS, Exhibit
from tplearn.museum.fingerprint import NAMES, Fingerprint, Reading, fingerprints
from tplearn.museum.marks import TOLERANCE, Mark
from tplearn.museum.sizes import Sizes
from tplearn.museum.words import ASPECTS, words

__all__ = [
    "ASPECTS",
    "EXHIBITS",
    "NAMES",
    "TOLERANCE",
    "Exhibit",
    "Fingerprint",
    "Mark",
    "Reading",
    "Sizes",
    "fingerprints",
    "words",
]
