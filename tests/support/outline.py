"""The outline of a page: what axe could judge.

It holds which elements stand in which, with which kinds of attributes, and the order of the headings.
"""

from __future__ import annotations

from html.parser import HTMLParser

ALONE = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
"""Void elements: they have no content and no end tag."""
TELLING = frozenset({"class", "role", "type", "scope", "lang", "autocomplete", "tabindex"})
"""Attributes whose values count. Of any other attribute only its presence counts, and whether it is empty."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.path: list[str] = []
        self.found: set[tuple[str, ...]] = set()
        self.ids: list[str] = []
        self.headings = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = f"{tag} {sorted((name, value if name in TELLING else bool(value)) for name, value in attrs)}"
        self.ids += [str(value) for name, value in attrs if name == "id"]
        self.headings += tag if tag in ("h1", "h2", "h3", "h4", "h5", "h6") and not self.headings.endswith(tag) else ""
        self.found.add((*self.path, element))
        if tag not in ALONE:
            self.path.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self.path and (last := self.path.pop().partition(" ")[0]) != tag:
            assert last in ("p", "li", "td", "th", "tr", "option", "path", "circle", "line", "rect", "use"), f"<{last}> before </{tag}>"

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.add((*self.path, "text"))


def outline(html: str) -> set[tuple[str, ...]]:
    """Return the outline of a page. Pages that differ only in words and in the number of similar rows have the same outline."""
    reader = _Reader()
    reader.feed(html)
    return {*reader.found, (reader.headings,)}


def doubled_ids(html: str) -> list[str]:
    """Return the ids that a page uses more than once; its outline does not show them."""
    reader = _Reader()
    reader.feed(html)
    return sorted({one for one in reader.ids if reader.ids.count(one) > 1})
