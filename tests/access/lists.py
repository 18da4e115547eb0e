"""What every page with a list must be: counted, sorted by its headings, truly empty, and not less than the search shows of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.access.checker import Walk
from tests.access.roles import OPEN, Visitor

MOST_COUNTED = 50
"""Rows of a kind that the search counts; of more it says "Lebih dari 50"."""
ORDER, LEVEL, SUMS = "urut", "wilayah", "/peta"
"""Fields beside the filters: the order, and the region that the map shows. The page that shows sums in place of rows."""
WANTED = {"date": "2020-01-01", "text": "TIADA-7", "checkbox": "1"}
SEARCHED = {
    "/kartu": ("text", "30154B01"),
    "/unit": ("q", "30154B01"),
    "/personalisasi": ("q", "470/"),
    "/aktivasi": ("q", "470/"),
    "/bast": ("number", "/BAST"),
    "/pemusnahan": ("text", "30154B01"),
    "/organisasi": ("nama", "kab"),
    "/pengguna": ("nama", "kepala"),
}
"""Each list that the search looks into: the field that filters it, and a part of what is in it."""


@dataclass(frozen=True)
class ListPage:
    """A page with a list, as HTML."""

    html: str

    @property
    def form(self) -> str:
        """The form of the filters, empty on a page without."""
        return self.html.partition('<details class="fold"')[2].partition("</form>")[0]

    @property
    def total(self) -> str:
        """The number of rows in words, empty if it is not said."""
        return (re.search(r'<p class="listed"><strong>([^<]+)</strong>', self.html) or ["", ""])[1]

    @property
    def rows(self) -> int:
        """The number of rows of the list's table on this page."""
        return self.html.partition('<table class="table cards">')[2].partition("<tbody>")[2].partition("</tbody>")[0].count("<tr>")

    @property
    def cleared(self) -> list[str]:
        """The addresses that take the filters away."""
        return [unescape(found) for found in re.findall(r'unfiltered" href="([^"]*)"', self.html)]

    @property
    def empty(self) -> str:
        """What the page says of an empty list."""
        return self.html.partition('<div class="empty">')[2].partition("</div>")[0]

    def filters(self) -> Iterator[tuple[str, str]]:
        """Yield each field of the filters with a value that filters."""
        for name, options in re.findall(r'<select[^>]* name="(\w+)".*?>(.*?)</select>', self.form, re.S):
            values = re.findall(r'<option value="([^"]+)"(?! selected)', options)
            if name != ORDER and values:
                yield name, values[-1]
        for field in re.findall(r"<input[^>]*>", self.form):
            kind, name = re.search(r'type="(\w+)"', field), re.search(r' name="(\w+)"', field)
            if kind and name and name[1] != LEVEL:
                yield name[1], WANTED[kind[1]]


def opened(visitor: Visitor, path: str, **query: Any) -> ListPage:
    """Return the page at a path; AssertionError unless it answers 200."""
    client = visitor.client()
    answer = client.open("GET", path, headers=client.headers | {"Accept": "text/html"}, query_string=query or None)
    assert answer.status_code == 200, f"{path} {query}: {answer.status_code}"
    return ListPage(answer.get_data(as_text=True))


def lists(walk: Walk) -> Iterator[tuple[str, ListPage]]:
    """Yield the path and the first page of every list that the visitor may open."""
    client = walk.visitor.client()
    for route, path in walk.pages():
        if "<" not in route.rule.rule and route.operation != OPEN:
            answer = client.open("GET", path, headers=client.headers | {"Accept": "text/html"})
            page = ListPage(answer.get_data(as_text=True) if answer.mimetype == "text/html" else "")
            if page.form:
                yield path, page


def list_faults(walk: Walk, seen: set[str]) -> Iterator[str]:
    """Yield what is untrue of the lists, except of those whose paths `seen` has; it has all of them afterwards."""
    for path, page in lists(walk):
        yield from (f"{path}: {fault}" for fault in _faults(walk.visitor, path, page) if path not in seen)
        seen.add(path)


def number_in(total: str) -> int:
    """Return the number that a total states, also one that is only known to be exceeded ("Lebih dari 10.000 kartu")."""
    return int(re.findall(r"[\d.]+", total)[0].replace(".", ""))


def _faults(visitor: Visitor, path: str, page: ListPage) -> Iterator[str]:
    if page.total and number_in(page.total) < page.rows:
        yield f"counts {page.total} of {page.rows}"
    if not page.total and path != SUMS:
        yield "says no total"
    if page.cleared or "saringan" in page.empty:
        yield "blames a filter where none is set"
    other = re.search(rf'name="{ORDER}".*?<option value="([^"]+)"', page.form, re.S)
    for name, value in page.filters():
        yield from _filtered(opened(visitor, path, **{name: value}, **({ORDER: other[1]} if other else {})), name, other)
    for address in re.findall(r'<th scope="col"[^>]*><a href="([^"]+)"', page.html):
        ordered = opened(visitor, path, **parse_qs(urlsplit(unescape(address)).query))
        if ordered.html.count("aria-sort=") != 1 or ordered.total != page.total:
            yield f"is not sorted by {address}"


def _filtered(page: ListPage, name: str, order: re.Match[str] | None) -> Iterator[str]:
    left = {ORDER: [order[1]]} if order else {}
    if '<span class="badge">1<' not in page.html:
        yield f"{name} does not count as a filter"
    if not page.cleared or any(parse_qs(urlsplit(address).query) != left for address in page.cleared):
        yield f"{name} is not cleared by {page.cleared}"
    if page.total.startswith("0 ") and "saringan" not in page.empty:
        yield f"{name}: an empty page does not blame the filter"


def search_faults(visitor: Visitor) -> Iterator[str]:
    """Yield where the search shows of a kind something else than the list of that kind does with the same filter."""
    for path, (field, text) in SEARCHED.items():
        found = opened(visitor, "/cari", q=text, bagian="1").html
        groups = re.findall(r'<span class="quiet">\(([^)]+)\)</span></h2><a href="([^?"]+)', found)
        shown = {where: number for number, where in groups}
        hits = set(re.findall(rf'<li><a href="({path}/[^"/]+)"', found))
        client = visitor.client()
        answer = client.open("GET", path, headers=client.headers | {"Accept": "text/html"}, query_string={field: text})
        listed = ListPage(answer.get_data(as_text=True) if answer.status_code == 200 else "")
        rows = set(re.findall(rf'href="({path}/[^"/]+)"', listed.html.partition("<tbody>")[2]))
        number = number_in(listed.total) if listed.total else 0
        words = f"Lebih dari {MOST_COUNTED}" if number > MOST_COUNTED else str(number)  # the search counts no further
        if hits - rows or (path in shown) != (number != 0) or (path in shown and shown[path] != words):
            yield f"{path}: the search shows {len(hits)} of {shown.get(path)}, the list {number}"
