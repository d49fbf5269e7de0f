"""Text that strangers wrote (names, reasons, file names), made fit for a report: what cannot be seen is taken out."""

import hashlib
import re
import unicodedata

LONGEST = 2000  # characters of one text in a report
# They turn the direction of the text around them, so that a reader sees another name than the file has.
TURNING = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str, longest: int = LONGEST) -> str:
    """The text without control characters, lone surrogates and turns of direction, cut at `longest` characters.

    Each of those becomes "�". New lines and tabs stay. What comes out can be written as UTF-8, in XML and in JSON.
    """
    kept = "".join(character if _is_seen(character) else "\ufffd" for character in text[: longest + 1])
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


def one_line(text: str, longest: int = 200) -> str:
    """The same on one line, for a name or a cell of a table."""
    return plain(" ".join(text.split()), longest)


def file_stem(name: str) -> str:
    """A file name without its ending for anybody's name: letters a to z, digits and -, and a hash that keeps two apart.

    "Ada Lovelace" becomes "ada-lovelace-" and eight hexadecimal digits; "../x" leads nowhere.
    """
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^a-z0-9]+", "-", folded.lower()).strip("-")[:40] or "student"
    return f"{readable}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def number(points: float) -> str:
    """Points as a person writes them: "36", "29.7"."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def _is_seen(character: str) -> bool:
    if character in "\n\t":
        return True
    return character not in TURNING and unicodedata.category(character) not in ("Cc", "Cs", "Cn", "Zl", "Zp")
