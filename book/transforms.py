"""What Sphinx does with each page as it reads it: references become links, boxes get names, a self-test its folds."""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from book.glossary import entries
from book.references import Finder, Reference

CLOSING = "What you learnt"
NO_PLACE_FOR_LINKS = (
    nodes.literal,
    nodes.reference,
    addnodes.pending_xref,
    nodes.title,
    nodes.raw,
    nodes.FixedTextElement,
)
TAUGHT = re.compile(r"(?:chapters/(\d\d)_|exercises/|on_your_own_code$)")  # the pages that explain their terms
ANSWER = '<details class="answer"><summary>Answer</summary>'


class Boxes(SphinxTransform):
    """A quotation that begins with bold words is a box; one that asks for a prediction says so."""

    default_priority = 400

    def apply(self) -> None:
        for quote in self.document.findall(nodes.block_quote):
            first = next((text for text in quote.findall(nodes.Text) if text.strip()), None)
            if first is not None and isinstance(first.parent, nodes.strong):
                quote["classes"].append("predict" if first.astext().startswith("Predict") else "box")


class SelfTest(SphinxTransform):
    """In the table that closes a chapter, each answer waits until it is asked for."""

    default_priority = 410

    def apply(self) -> None:
        for title in self.document.findall(nodes.title):
            table = next(iter(title.parent.findall(nodes.table)), None)
            if title.astext() == CLOSING and table is not None:
                table["classes"].append("self-test")
                for row in next(iter(table.findall(nodes.tbody))).children:
                    for answer in row.children[1:]:
                        answer.insert(0, nodes.raw("", ANSWER, format="html"))
                        answer.append(nodes.raw("", "</details>", format="html"))


class Links(SphinxTransform):
    """Issues, chapters and terms become links where the text names them."""

    default_priority = 420

    def apply(self) -> None:
        page = TAUGHT.match(self.env.docname)
        finder = Finder(self.config.glossary_terms, page[1] or "") if page else Finder()
        for text in list(self.document.findall(nodes.Text)):
            if not any(isinstance(above, NO_PLACE_FOR_LINKS) or _is_subtitle(above) for above in _above(text)):
                pieces = finder.split(text.astext())
                if any(isinstance(piece, Reference) for piece in pieces):
                    text.parent.replace(text, [self._node(piece) for piece in pieces])

    def _node(self, piece: str | Reference) -> nodes.Node:
        if isinstance(piece, str):
            return nodes.Text(piece)
        if piece.kind == "issue":
            repository, _, number = piece.target.partition("#")
            address = f"https://github.com/{repository}/issues/{number}"
            return nodes.reference("", piece.text, refuri=address, internal=False)
        if piece.kind == "chapter":
            known = sorted(name for name in self.env.found_docs if name.startswith(f"chapters/{piece.target}_"))
            return self._pending(piece, "doc", "/" + known[0]) if known else nodes.Text(piece.text)
        return self._pending(piece, "term", piece.target)

    def _pending(self, piece: Reference, kind: str, target: str) -> addnodes.pending_xref:
        attributes = {"reftype": kind, "refdomain": "std", "reftarget": target, "refexplicit": True, "refwarn": True}
        classes = ["term"] if kind == "term" else []
        return addnodes.pending_xref(
            "", nodes.inline("", piece.text, classes=classes), refdoc=self.env.docname, **attributes
        )


def _is_subtitle(node: nodes.Node) -> bool:
    """The line under a page's title, which says how long it takes: nobody needs a term explained there."""
    return isinstance(node, nodes.emphasis) and len(node.parent) == 1 and node.astext()[:1].isdigit()


def _above(node: nodes.Node) -> Iterator[nodes.Node]:
    while node := node.parent:
        yield node


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx. glossary_terms, a list of each entry's spellings, comes from the page glossary.md."""
    app.add_config_value("glossary_terms", [], "env")
    app.connect("config-inited", _read_glossary)
    for transform in (Boxes, SelfTest, Links):
        app.add_transform(transform)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read_glossary(app: Sphinx, config: object) -> None:
    page = app.srcdir / "glossary.md"
    config.glossary_terms = [entry.spellings for entry in entries(page.read_text())] if page.exists() else []
