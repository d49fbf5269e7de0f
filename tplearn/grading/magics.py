"""Takes out what IPython reads and Python does not: lines that begin with % or !, and cells that begin with %%.

It looks at quotes, brackets and line ends only. Python's own parser is not used: a student's source can crash it.
"""

import re

# The rest of such a cell is Python; the rest of any other (%%bash, %%writefile) is not.
PYTHON_INSIDE = ("capture", "debug", "prun", "time", "timeit")
QUOTES = ('"""', "'''", '"', "'")
OUTSIDE = re.compile("|".join([r"#.*", *QUOTES, r"[()\[\]{}]", r"\\$"]))
INSIDE = {quote: re.compile(rf"\\.|\\$|{quote}") for quote in QUOTES}


def without_magics(source: str) -> tuple[str, tuple[str, ...]]:
    """The source with `pass` for each such line, so that all other lines keep their numbers, and the lines taken out.

    A line inside brackets or a string that spans lines is Python's, whatever it begins with.
    """
    lines, kept, removed = source.split("\n"), [], []
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    magic = re.match(r"%%\s*(\w*)", lines[first])
    if magic and magic[1] not in PYTHON_INSIDE:
        return "pass" + "\n" * (len(lines) - 1), (f"{lines[first].strip()} and all of its cell",)
    open_string, depth, goes_on, in_magic = "", 0, False, False
    for line in lines:
        text = line.lstrip()
        if in_magic or not open_string and depth == 0 and not goes_on and text[:1] in ("%", "!"):
            removed.append(line.strip())
            kept.append(line[: len(line) - len(text)] + "pass" if not in_magic else "")
            in_magic = line.endswith("\\")
            continue
        kept.append(line)
        open_string, depth, goes_on = _after(line, open_string, depth)
    return "\n".join(kept), tuple(removed)


def _after(line: str, quote: str, depth: int) -> tuple[str, int, bool]:
    """After a line: the quote that is still open ("" if none), how deep in brackets, whether a backslash goes on."""
    place, goes_on = 0, False
    while found := (INSIDE[quote] if quote else OUTSIDE).search(line, place):
        token, place = found[0], found.end()
        goes_on = token == "\\"
        if quote:
            quote = "" if token == quote else quote
        elif token[0] in "\"'":
            quote = token
        elif token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(depth - 1, 0)
    # A string in single quotes ends with its line, unless a backslash carries it on.
    return (quote if len(quote) == 3 or goes_on else ""), depth, goes_on
