"""Write dates and numbers in Indonesian words, as official letters do."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from sifilma.kernel.days import WIT

DAYS = ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu")
MONTHS = ("Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober", "November", "Desember")
_SMALL = ("nol", "satu", "dua", "tiga", "empat", "lima", "enam", "tujuh", "delapan", "sembilan", "sepuluh", "sebelas")
WIB, WITA = ZoneInfo("Asia/Jakarta"), ZoneInfo("Asia/Makassar")
_ABBREVIATIONS = {WIB: "WIB", WITA: "WITA", WIT: "WIT"}
_CENTRAL = frozenset({"51", "52", "53", "63", "64", "65", "71", "72", "73", "74", "75", "76"})
_EASTERN = frozenset({"81", "82", "91", "92", "93", "94", "95", "96"})


def words(number: int) -> str:
    """Return the number in words: `lima`, `dua belas`, `seribu dua ratus`. Raise ValueError outside 0 … 999,999,999."""
    if not 0 <= number < 1_000_000_000:
        raise ValueError("only 0 … 999,999,999 are written in words")
    return _words(number) if number else _SMALL[0]


def _words(n: int) -> str:
    for size, name, single in ((1_000_000, "juta", None), (1000, "ribu", "seribu"), (100, "ratus", "seratus")):
        if n >= size:
            head = single if single and n // size == 1 else f"{_words(n // size)} {name}"
            return f"{head} {_words(n % size)}".strip()
    if n < 12:
        return _SMALL[n] if n else ""
    if n < 20:
        return f"{_SMALL[n - 10]} belas"
    return f"{_SMALL[n // 10]} puluh {_words(n % 10)}".strip()


def spoken_date(day: date) -> str:
    """Return `Rabu tanggal lima bulan Desember tahun dua ribu delapan belas`, the form in which a Berita Acara begins."""
    return f"{DAYS[day.weekday()]} tanggal {words(day.day)} bulan {MONTHS[day.month - 1]} tahun {words(day.year)}"


def long_date(day: date) -> str:
    """Return `5 Desember 2018`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def short_date(day: date) -> str:
    """Return `05-12-2018`, the form beside a date in words."""
    return f"{day:%d-%m-%Y}"


def zone_of(region_code: str | None) -> ZoneInfo:
    """Return the time zone of a region code by its province; WIB for None.

    Keppres 41/1987 sets the zones. The provinces founded since keep the zone of the province they came from.
    """
    province = (region_code or "")[:2]
    if province in _CENTRAL:
        return WITA
    return WIT if province in _EASTERN else WIB


def local_time(moment: datetime, zone: ZoneInfo = WIB) -> str:
    """Return `14.05 WIB`."""
    return f"{moment.astimezone(zone):%H.%M} {_ABBREVIATIONS[zone]}"


def uid_pairs(uid: str) -> str:
    """Return `30 15 4B 01 00 00 12 34`."""
    return " ".join(uid[i : i + 2] for i in range(0, len(uid), 2))
