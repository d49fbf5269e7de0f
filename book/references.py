"""What a page's plain text refers to without a link: an issue elsewhere, another chapter, a term of the glossary."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ISSUE = r"(?P<issue>\b[\w.-]+/[\w.-]+#\d+\b)"
CHAPTER = r"\b[Cc]hapter (?P<chapter>\d\d)\b"


@dataclass(frozen=True)
class Reference:
    """kind: "issue", "chapter" or "term". text: as the page has it. target: owner/repo#1, "04", or the term's name."""

    kind: str
    text: str
    target: str


class Finder:
    """Finds references in the texts of one page, in reading order.

    terms: each entry of the glossary as its spellings, the first of which is its name. An entry is found once a page.
    own_chapter: "04" on the page of chapter 04, which does not refer to itself.
    """

    def __init__(self, terms: Iterable[tuple[str, ...]] = (), own_chapter: str = "") -> None:
        self._names = {spelling: entry[0] for entry in terms for spelling in entry}
        self._found: set[str] = set()
        self._own = own_chapter
        alternatives = [ISSUE, CHAPTER]
        if self._names:
            longest_first = sorted(self._names, key=lambda spelling: (-len(spelling), spelling))
            alternatives.append(
                rf"(?<![\w/.-])(?P<term>{'|'.join(map(_spelt, longest_first))})(?:s|es)?(?![\w/-]|\.\w)"
            )
        self._pattern = re.compile("|".join(alternatives))

    def split(self, text: str) -> list[str | Reference]:
        """The text in pieces, some of which are references; the pieces' texts make the text."""
        pieces: list[str | Reference] = []
        end = 0
        for match in self._pattern.finditer(text):
            if reference := self._reference(match):
                pieces += [text[end : match.start()], reference]
                end = match.end()
        return [piece for piece in [*pieces, text[end:]] if piece]

    def _reference(self, match: re.Match[str]) -> Reference | None:
        kind = match.lastgroup
        found = match[kind]
        if kind == "chapter":
            return None if found == self._own else Reference(kind, match[0], found)
        if kind == "term":
            name = self._name(found)
            if name in self._found:
                return None
            self._found.add(name)
            return Reference(kind, match[0], name)
        return Reference(kind, match[0], found)

    def _name(self, found: str) -> str:
        """The entry of a spelling; a sentence may have begun with it, or a line ended inside it."""
        found = " ".join(found.split())
        return self._names.get(found) or self._names[found[0].lower() + found[1:]]


def _spelt(spelling: str) -> str:
    """A pattern of the spelling: spaces may be line ends, and a small first letter may be a capital."""
    first, rest = spelling[0], spelling[1:]
    first = f"[{first}{first.upper()}]" if first.islower() else re.escape(first)
    return first + re.escape(rest).replace(r"\ ", r"\s+")
