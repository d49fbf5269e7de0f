"""The glossary as data: each entry's spellings and what it means, read from book/pages/glossary.md."""

import json
import re
from dataclasses import dataclass

DIRECTIVE = re.compile(r"^(`{3,})\{glossary\}\n(.*?)^\1$", re.S | re.M)


@dataclass(frozen=True)
class Entry:
    """spellings: the term and its other names, as chapters write them. meaning: plain text."""

    spellings: tuple[str, ...]
    meaning: str


def entries(page: str) -> list[Entry]:
    """The entries of the page's `{glossary}`: lines with terms, and below them, indented, what they mean."""
    found: list[Entry] = []
    for block in DIRECTIVE.finditer(page):
        for paragraph in re.split(r"\n\s*\n(?=\S)", block[2].strip("\n")):
            lines = paragraph.splitlines()
            terms = tuple(line.strip() for line in lines if not line.startswith(" "))
            meaning = " ".join(line.strip() for line in lines if line.startswith(" "))
            found.append(Entry(terms, plain(meaning)))
    return found


def plain(markdown: str) -> str:
    """Markdown without its marks: code, emphasis and links keep their words."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\{\w+\}`([^`<]*?)\s*(?:<[^>]*>)?`", r"\1", text)
    return re.sub(r"[`*]", "", text)


def script(found: list[Entry]) -> str:
    """A script that hands the meanings to the pages: a page opened from a folder may load scripts, but no data."""
    meanings = {entry.spellings[0]: entry.meaning for entry in found}
    return f"window.glossary = {json.dumps(meanings, ensure_ascii=False, indent=0)};\n"
