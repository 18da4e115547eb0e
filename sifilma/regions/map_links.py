"""Read a position from what people paste: a link of a map, or the coordinates themselves. No link is followed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import parse_qsl, unquote

from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say
from sifilma.regions.coordinates import LONGEST, read_pair

SHORT = say(
    "This short link leads to a map only by way of the internet. Open it, then copy the coordinates, or the long link, of the place."
)
EMPTY = say("This link holds no coordinates. Open it, choose the place, and copy its coordinates or the link that the browser shows then.")
UNREADABLE = say("This is no position. Paste a link of a map, or latitude and longitude such as −7.6536, 111.3280.")
_LINK = re.compile(r"(?:https?://|geo:)\S+|(?<![\w.@-])(?:[a-z0-9-]+\.)+[a-z]{2,}/\S*", re.IGNORECASE)
_SHORT = re.compile(
    r"^(?:https?://)?(?:www\.)?(?:maps\.app\.goo\.gl|goo\.gl|g\.co|g\.page|share\.google|osm\.org/go|(?:www\.)?openstreetmap\.org/go|bit\.ly|s\.id|"
    r"tinyurl\.com|t\.co|waze\.com/ul/h)(?:/|$)",
    re.IGNORECASE,
)
_N = r"([+-]?\d{1,3}(?:\.\d+)?)"
_PIN = re.compile(rf"!3d{_N}!4d{_N}")
_EMBEDDED = re.compile(rf"!2d{_N}!3d{_N}")
_NAMED = re.compile(r"/(?:place|search|dir/[^/]*)/([^/@?]+)")
_CENTRE = re.compile(rf"@{_N},{_N}")
_HASH = re.compile(rf"#(?:.*&)?(?:map=)?\d+(?:\.\d+)?/{_N}/{_N}")
_LIST = re.compile(rf"[?&]map={_N},{_N}(?:,|&|$)")
_GEO = re.compile(rf"geo:{_N},{_N}", re.IGNORECASE)
LATITUDES, LONGITUDES = ("mlat", "lat", "latitude"), ("mlon", "lon", "lng", "long", "longitude")
PAIRS = ("q", "query", "ll", "destination", "daddr", "center", "coordinate", "cp", "sll", "to")


def read_position(text: str) -> tuple[float, float]:
    """Return latitude and longitude in degrees. Raise Invalid (field `pasted`) with what to do instead if the text tells no position."""
    typed = text.strip()
    if len(typed) > LONGEST:
        raise Invalid.field("pasted", UNREADABLE)
    found = read_pair(typed)
    if found is not None:
        return found
    links = _LINK.findall(typed)
    for link in links:
        found = _of_link(link)
        if found is not None:
            return found
    if any(_SHORT.match(link) for link in links):
        raise Invalid.field("pasted", SHORT)
    raise Invalid.field("pasted", EMPTY if links else UNREADABLE)


def _of_link(link: str) -> tuple[float, float] | None:
    """Return the first position that the link tells, the place before the middle of the map."""
    # A page of consent carries the link of the map inside its own, written in percent signs twice.
    plain = unquote(unquote(link))
    for ways in (_pinned, _parameters, _path):
        for found in ways(plain):
            if found is not None:
                return found
    return None


def _pinned(link: str) -> Iterator[tuple[float, float] | None]:
    pins = _PIN.findall(link)
    if pins:
        yield _in_range(*pins[-1])  # the place; others before it are what was found too


def _parameters(link: str) -> Iterator[tuple[float, float] | None]:
    given = dict[str, str]()
    for part in re.split(r"[?#]", link)[1:]:
        given |= {name.lower(): value for name, value in parse_qsl(part)}
    for latitude, longitude in product(LATITUDES, LONGITUDES):
        if latitude in given and longitude in given:
            yield _in_range(given[latitude], given[longitude])
    for name in PAIRS:
        if name in given:
            yield read_pair(re.sub(r"\([^()]*\)$|^loc:", "", given[name]))


def _path(link: str) -> Iterator[tuple[float, float] | None]:
    yield from (read_pair(name.replace("+", " ")) for name in _NAMED.findall(link))
    for pattern in (_CENTRE, _HASH, _LIST, _GEO):
        yield from (_in_range(*found) for found in pattern.findall(link))
    yield from (_in_range(latitude, longitude) for longitude, latitude in _EMBEDDED.findall(link))


def _in_range(latitude: str, longitude: str) -> tuple[float, float] | None:
    try:
        position = float(latitude), float(longitude)
    except ValueError:
        return None
    return position if abs(position[0]) <= 90 and abs(position[1]) <= 180 else None
