"""The operator's file of holidays is read, or refused in words that name its line."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from config import holidays
from config.settings import Settings
from config.soundness import findings

SAMPLE = Path(holidays.__file__).with_name("holidays.sample.csv")


def test_the_sample_is_read_and_an_empty_path_has_no_holidays() -> None:
    found = holidays.read(str(SAMPLE))
    assert found[date(2027, 8, 17)] == "Hari Kemerdekaan Republik Indonesia"
    assert list(found) == sorted(found)
    assert holidays.read("") == {}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "names no holiday"),
        (b"date,name\n", "names no holiday"),
        (b"2027-01-01,Tahun Baru\n01-05-2027,Hari Buruh\n", "line 2 no date such as"),
        (b"2027-02-30,Bukan hari\n", "line 1 no date such as"),
        (b"2027-01-01\n", "line 1 not a date and a name"),
        (b"2027-01-01,\n", "line 1 not a date and a name"),
        (b"2027-01-01,Satu\n2027-01-01,Dua\n", "2027-01-01 twice (line 2)"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"#" * (holidays.MOST_BYTES + 1), "larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "libur.csv"
    path.write_bytes(content)
    given: dict[str, Any] = {"env": "demo", "holidays_file": str(path)}
    [refused] = [found for found in findings(Settings(**given)) if found.refused]
    assert refused.text.startswith("SIFILMA_HOLIDAYS_FILE names a file that ")
    assert why in refused.text


def test_a_file_that_is_away_is_refused() -> None:
    assert "cannot be read" in holidays.fault("/none/libur.csv")
