"""What of a page axe could judge: which elements stand in which, with which kinds of attributes, and the order of its headings."""

from __future__ import annotations

from html.parser import HTMLParser

ALONE = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
"""Elements that hold nothing."""
TELLING = frozenset({"class", "role", "type", "scope", "lang", "autocomplete", "tabindex"})
"""Attributes whose values count; of the others it counts that they are there, and whether they are empty."""


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
    """The outline of a page: the same for pages that differ only in their words and in how many rows of a kind they have."""
    reader = _Reader()
    reader.feed(html)
    return {*reader.found, (reader.headings,)}


def doubled_ids(html: str) -> list[str]:
    """Ids that stand twice in a page; the outline does not tell."""
    reader = _Reader()
    reader.feed(html)
    return sorted({one for one in reader.ids if reader.ids.count(one) > 1})
