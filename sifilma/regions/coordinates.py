"""Read coordinates as people write them: decimal degrees with point or comma, or degrees, minutes and seconds, in Indonesian or English.

Degrees are WGS 84. Hemispheres are U, S, T, B, LU, LS, BT, BB, N, E, W, or the words. Latitude comes first, unless a hemisphere, a label or
the size of the numbers says otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationInfo

from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import Text, say

Axis = Literal["latitude", "longitude"]
MOST: dict[Axis, int] = {"latitude": 90, "longitude": 180}
LONGEST = 2000  # characters: links to maps have some hundred
UNREADABLE: dict[Axis, Text] = {
    "latitude": say("Latitude is a number such as −7.6536, or 7°39'13\" S."),
    "longitude": say("Longitude is a number such as 111.3280, or 111°19'41\" E."),
}
_SAME = str.maketrans({char: mark for mark, chars in {"-": "−–—‒‑﹣-", "°": "º˚", "'": "′’‘ʹ´`ʼ", '"': "″”“ʺ"}.items() for char in chars})
_UNITS = tuple(
    (re.compile(rf"(?<=[\d\s])(?:{words})\b\.?", re.IGNORECASE), mark)
    for words, mark in (("derajat|degrees?|deg", "°"), ("menit|minutes?|min", "'"), ("detik|seconds?|sec|dtk", '"'))
)
_NORTH_SOUTH = r"lintang\s+(?:utara|selatan)|utara|selatan|north|south|lu|ls|n|u|s"
_EAST_WEST = r"bujur\s+(?:timur|barat)|timur|barat|east|west|bt|bb|e|t|w|b"
_HALF = rf"(?:{_NORTH_SOUTH}|{_EAST_WEST})(?![a-z])"
_SOUTH_OR_WEST = re.compile(r"lintang\s+selatan|selatan|south|ls|s|bujur\s+barat|barat|west|bb|w|b")
_LABEL = (
    r"(?:(?:koordinat|coordinates?|gps|titik|lokasi|location|posisi|position)\s*[:=]?\s*){0,3}"
    r"(?:(?:latitude|lat|lintang|longitude|long|lng|lon|bujur)\.?\s*[:=]?\s*)?"
)


def _angle(number: str) -> str:
    """Return the pattern of one angle. Its groups are named by the number of the angle."""
    seconds = rf"(?:(?P<seconds{number}>\d{{1,2}}(?:[.,]\d+)?)\s*\"?\s*)?"
    minutes = rf"(?:(?P<minutes{number}>\d{{1,2}}(?:[.,]\d+)?)\s*'\s*{seconds})?"
    return (
        rf"(?P<label{number}>{_LABEL})(?P<before{number}>{_HALF})?\s*(?P<sign{number}>[+-]?)\s*"
        rf"(?P<degrees{number}>\d{{1,3}}(?:[.,]\d+)?)\s*(?:°\s*{minutes})?(?(before{number})|(?P<after{number}>{_HALF})?)"
    )


_ONE = re.compile(_angle("1"))
_PAIR = re.compile(_angle("1") + r"(?:\s*[,;/|~]\s*|\s+|(?<=[a-z\"'°]))" + _angle("2"))
_SPACED = re.compile(rf"(?<![\d.,])(\d{{1,3}})[ :](\d{{1,2}})[ :](\d{{1,2}}(?:[.,]\d+)?)\"?\s*(?={_HALF})")
# `-7,111` may be one number with a decimal comma or two whole ones; `-7,111,5` has two readings as well.
_AMBIGUOUS = re.compile(r"[+-]?\d+(?:,[+-]?\d+){1,2}")


@dataclass(frozen=True)
class _Angle:
    """An angle that was read. `axis` is None if the text does not tell which of the two it is."""

    degrees: float
    axis: Axis | None


def read_pair(text: str) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees, or None if the text is not exactly two coordinates in their ranges."""
    plain = _plain(text)
    match = None if _AMBIGUOUS.fullmatch(plain) else _PAIR.fullmatch(plain)
    if match is None:
        return None
    first, second = _read(match, "1"), _read(match, "2")
    if first is None or second is None or (first.axis and first.axis == second.axis):
        return None
    told = first.axis or second.axis
    turned = first.axis == "longitude" or second.axis == "latitude" or (not told and abs(first.degrees) > MOST["latitude"])
    latitude, longitude = (second.degrees, first.degrees) if turned else (first.degrees, second.degrees)
    return (latitude, longitude) if abs(latitude) <= MOST["latitude"] and abs(longitude) <= MOST["longitude"] else None


def read_degrees(text: str, axis: Axis) -> float:
    """Return one coordinate in degrees. Raise Invalid (field `axis`) for a text that is none, or that is one of the other axis."""
    match = _ONE.fullmatch(_plain(text))
    found = _read(match, "1") if match else None
    if found is None or found.axis not in (None, axis) or abs(found.degrees) > MOST[axis]:
        raise Invalid.field(axis, UNREADABLE[axis])
    return found.degrees


def as_written(value: object, info: ValidationInfo) -> object:
    """Return the degrees of a coordinate that is a text: the validator of fields that are called as their axis."""
    if not isinstance(value, str):
        return value
    try:
        return read_degrees(value, "latitude" if info.field_name == "latitude" else "longitude")
    except Invalid as unreadable:
        raise ValueError(unreadable.detail) from unreadable


def _plain(text: str) -> str:
    """Return the text in small letters, with one sign for each meaning, and without marks that nobody sees or brackets around it."""
    seen = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text[:LONGEST] if unicodedata.category(char) != "Cf")
    plain = " ".join(seen.translate(_SAME).replace("''", '"').lower().split())
    for words, mark in _UNITS:
        plain = words.sub(mark, plain)
    return _SPACED.sub(r"\1°\2'\3" + '"', plain.strip(" ()[]{}.;"))


def _read(match: re.Match[str], number: str) -> _Angle | None:
    """Return the angle of a match; None for minutes or seconds from 60, a fraction before the last part, or signs that contradict."""
    parts = [match[f"{part}{number}"] for part in ("degrees", "minutes", "seconds")]
    given = [float(part.replace(",", ".")) for part in parts if part is not None]
    if any(not whole.is_integer() for whole in given[:-1]) or any(part >= 60 for part in given[1:]):
        return None
    size = sum(part / 60**power for power, part in enumerate(given))
    half, negative = match[f"before{number}"] or match[f"after{number}"], match[f"sign{number}"] == "-"
    if half is None:
        return _Angle(-size if negative else size, _labelled(match[f"label{number}"]))
    mirrored = _SOUTH_OR_WEST.fullmatch(half) is not None
    if negative and not mirrored:
        return None
    return _Angle(-size if mirrored else size, "latitude" if re.fullmatch(_NORTH_SOUTH, half) else "longitude")


def _labelled(label: str) -> Axis | None:
    if re.search(r"lat|lintang", label):
        return "latitude"
    return "longitude" if re.search(r"lon|lng|bujur", label) else None
