"""Numbers and dates in words, as official Indonesian letters write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from sifilma.documents import indonesian


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "nol"),
        (5, "lima"),
        (10, "sepuluh"),
        (11, "sebelas"),
        (12, "dua belas"),
        (20, "dua puluh"),
        (21, "dua puluh satu"),
        (100, "seratus"),
        (111, "seratus sebelas"),
        (514, "lima ratus empat belas"),
        (1000, "seribu"),
        (1573, "seribu lima ratus tujuh puluh tiga"),
        (2018, "dua ribu delapan belas"),
        (11_000, "sebelas ribu"),
        (101_001, "seratus satu ribu satu"),
        (1_000_000, "satu juta"),
        (900_999_999, "sembilan ratus juta sembilan ratus sembilan puluh sembilan ribu sembilan ratus sembilan puluh sembilan"),
    ],
)
def test_numbers_are_written_in_words(number: int, words: str) -> None:
    assert indonesian.words(number) == words


@pytest.mark.parametrize("number", [-1, 1_000_000_000])
def test_numbers_out_of_range_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="in words"):
        indonesian.words(number)


def test_dates_are_spoken() -> None:
    assert indonesian.spoken_date(date(2026, 11, 23)) == "Senin tanggal dua puluh tiga bulan November tahun dua ribu dua puluh enam"


@pytest.mark.parametrize(
    ("region", "time"),
    [("35.20", "14.05 WIB"), ("51.06", "15.05 WITA"), ("91.71.02.1001", "16.05 WIT"), ("61", "14.05 WIB"), (None, "14.05 WIB")],
)
def test_times_are_in_the_zone_of_the_place(region: str | None, time: str) -> None:
    assert indonesian.local_time(datetime(2018, 12, 5, 7, 5, tzinfo=UTC), indonesian.zone_of(region)) == time


def test_a_uid_is_shown_in_pairs() -> None:
    assert indonesian.uid_pairs("30154B0100001234") == "30 15 4B 01 00 00 12 34"
