"""Which characters of a text are seen."""

from __future__ import annotations

import pytest

from sifilma.kernel.text import is_hidden, visible

SEEN = {
    "a\u0301": "\u00e1",  # NFC
    "Kantor\u202e Dinas": "Kantor Dinas",  # a mark that turns the rest around
    "\u2066Kantor\u2069 \u200fDinas\u200e": "Kantor Dinas",
    "Di\u00adnas\u200b \ufeffPendu\u2060duk": "Dinas Penduduk",  # a possible hyphen, spaces without width
    "\u3164": "",
    "baris\r\nlain\rlagi\u2028dan\x0blagi": "baris\nlain\nlagi\ndan\nlagi",
    "kolom\tlain\x00\x07\x9f": "kolom\tlain",
    "\u1b05\u1b13\u1b38\u1b2d \u65e5 \U0001f600 \ue000": "\u1b05\u1b13\u1b38\u1b2d \u65e5 \U0001f600 \ue000",  # judged by who prints it
}


@pytest.mark.parametrize(("typed", "seen"), SEEN.items())
def test_a_text_is_kept_as_it_is_seen(typed: str, seen: str) -> None:
    assert visible(typed) == seen
    assert visible(seen) == seen


def test_what_shows_nothing_is_told_from_what_does() -> None:
    assert all(map(is_hidden, "\u202e\u200b\u00ad\u3164\u2800\ue000\u2028\x07"))
    assert not any(map(is_hidden, "a \u1b05\u65e5"))
