"""Coordinates as people write them, and links of maps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifilma.kernel.errors import Invalid
from sifilma.regions.coordinates import Axis, read_degrees, read_pair
from sifilma.regions.map_links import EMPTY, SHORT, UNREADABLE, read_position

HERE = (-7.6536, 111.3280)
WRITTEN = [
    "-7.6536, 111.3280",
    "−7.6536,111.3280",
    "-7,6536, 111,3280",
    "-7,6536; 111,3280",
    "-7,6536 111,3280",
    "-7,6536,111,3280",
    "-7.6536\n111.3280",
    "111.3280, -7.6536",
    "(-7.6536, 111.3280)",
    "\u200e-7.6536,\u00a0111.3280",
    "-7.6536°, 111.3280°",
    "7.6536 S, 111.3280 E",
    "S 7.6536 E 111.3280",
    "111.328 BT 7.6536 LS",
    "7,6536 LS 111,3280 BT",
    "Lintang Selatan 7,6536 Bujur Timur 111,3280",
    "Lintang: -7,6536 Bujur: 111,3280",
    "Titik koordinat: Lat -7.6536, Long 111.3280",
    "Long: 111.3280 Lat: -7.6536",
    "7°39'12.96\"S 111°19'40.8\"E",
    "7º39’12,96”LS 111º19’40,8”BT",
    "7° 39′ 12.96″ LS, 111° 19′ 40.8″ BT",
    "7°39'12.96''S111°19'40.8''E",
    "LS 7°39.216' BT 111°19.68'",
    "7 39 12.96 LS 111 19 40.8 BT",
    "7 derajat 39 menit 12,96 detik LS, 111 derajat 19 menit 40,8 detik BT",
]
LINKS = [
    "https://www.google.com/maps/@-7.6536,111.328,17z",
    "https://www.google.com/maps/place/Kantor/@-7.1,111.9,17z/data=!3m1!4b1!4m6!3m5!1s0x2e:0x1!8m2!3d-7.6536!4d111.328!16s%2Fg%2F1",
    "https://maps.google.com/?q=-7.6536,111.3280",
    "maps.google.com/?q=-7.6536,111.3280",
    "Kantor kami: https://maps.google.com/maps?q=-7.6536%2C111.328&z=17&hl=id",
    "https://www.google.com/maps/search/?api=1&query=-7.6536%2C111.328",
    "https://www.google.com/maps/search/-7.6536,+111.328?entry=tts",
    "https://www.google.com/maps/place/7%C2%B039'12.96%22S+111%C2%B019'40.8%22E/@-7.1,111.9,17z",
    "https://www.google.com/maps/dir//-7.6536,111.328/@-7.1,111.9,10z",
    "https://www.google.com/maps/embed?pb=!1m18!1m12!1m3!1d3954!2d111.328!3d-7.6536!2m3!1f0",
    "https://consent.google.com/ml?continue=https%3A%2F%2Fwww.google.com%2Fmaps%2F%40-7.6536%2C111.328%2C17z&gl=ID",
    "https://www.openstreetmap.org/#map=15/-7.6536/111.3280",
    "https://www.openstreetmap.org/?mlat=-7.6536&mlon=111.3280#map=12/-7.1/111.9",
    "geo:-7.6536,111.3280;u=35",
    "geo:0,0?q=-7.6536,111.3280(Kantor+Dinas)",
    "https://maps.apple.com/?ll=-7.6536,111.3280&q=Kantor",
    "https://www.bing.com/maps?cp=-7.6536~111.3280&lvl=15",
    "https://wego.here.com/?map=-7.6536,111.3280,15,normal",
    "https://waze.com/ul?ll=-7.6536%2C111.3280&navigate=yes",
]
NONE = {
    "-7,111": UNREADABLE,  # one number with a comma, or two
    "-7,111,5": UNREADABLE,
    "-7.6536": UNREADABLE,
    "95, 200": UNREADABLE,
    "7°65'S 111°1'E": UNREADABLE,
    "7.5°30'S 111°E": UNREADABLE,
    "-7 N 111 E": UNREADABLE,
    "7 S 8 S": UNREADABLE,
    "Kantor Dinas": UNREADABLE,
    "https://www.google.com/maps/place/Magetan": EMPTY,
    "https://example.org/?q=1,2,3": EMPTY,
    "9" * 5000: UNREADABLE,
    "https://maps.app.goo.gl/Ab1Cd2": SHORT,
    "Dinas Dukcapil\nhttps://maps.app.goo.gl/Ab1Cd2?g_st=iw": SHORT,
    "https://goo.gl/maps/xyz": SHORT,
    "https://osm.org/go/s0m3": SHORT,
}


@pytest.mark.parametrize("text", [*WRITTEN, *LINKS])
def test_a_position_is_read_as_people_write_or_paste_it(text: str) -> None:
    assert read_position(text) == pytest.approx(HERE, abs=1e-9)


@pytest.mark.parametrize("text", NONE)
def test_what_tells_no_position_is_refused_with_what_to_do_instead(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_position(text)
    assert (refused.value.detail, refused.value.errors[0]["field"]) == (NONE[text], "pasted")


@pytest.mark.parametrize("text", ["-7,6536", "−7.6536", "7°39'12.96\" LS", "S 7,6536", "lat: -7.6536", "-7.6536°"])
def test_one_coordinate_is_read_in_its_field(text: str) -> None:
    assert read_degrees(text, "latitude") == pytest.approx(HERE[0], abs=1e-9)


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("", "latitude"),
        ("x", "latitude"),
        ("7.6 BT", "latitude"),
        ("95", "latitude"),
        ("181", "longitude"),
        ("1e2", "longitude"),
        ("nan", "longitude"),
    ],
)
def test_what_is_no_coordinate_of_the_axis_is_refused_at_its_field(text: str, axis: Axis) -> None:
    with pytest.raises(Invalid) as refused:
        read_degrees(text, axis)
    assert refused.value.errors[0]["field"] == axis


LATITUDES, LONGITUDES = st.integers(-90_0000000, 90_0000000), st.integers(-180_0000000, 180_0000000)


def _decimal(e7: int) -> str:
    return f"{'-' if e7 < 0 else ''}{abs(e7) // 10**7}.{abs(e7) % 10**7:07}"


def _sexagesimal(e7: int, halves: str) -> str:
    degrees, rest = divmod(abs(e7), 10**7)
    minutes, rest = divmod(rest * 60, 10**7)
    return f"{degrees}°{minutes}'{rest * 60 / 10**7:.4f}\"{halves[e7 < 0]}"


@given(
    LATITUDES,
    LONGITUDES,
    st.sampled_from([", ", ",", " ", "; ", " / "]),
    st.sampled_from(
        [
            "https://www.google.com/maps/@{},{},17z",
            "https://maps.google.com/?q={},{}",
            "https://x.org/a/data=!8m2!3d{}!4d{}",
            "https://www.openstreetmap.org/#map=9/{}/{}",
            "geo:{},{}",
        ]
    ),
)
def test_every_position_is_read_in_every_writing(latitude: int, longitude: int, between: str, link: str) -> None:
    at = (latitude / 1e7, longitude / 1e7)
    written = (_decimal(latitude), _decimal(longitude))
    assert read_pair(between.join(written)) == at
    assert read_position(link.format(*written)) == at
    if between != ",":
        assert read_pair(between.join(written).replace(".", ",")) == at
    for halves in (("US", "TB"), ("NS", "EW"), (("LU", "LS"), ("BT", "BB"))):
        north, east = (_sexagesimal(e7, half) for e7, half in zip((latitude, longitude), halves, strict=True))  # type: ignore[arg-type]  # a pair of letters or of words
        assert read_pair(f"{north} {east}") == pytest.approx(at, abs=1e-7)
        assert read_pair(f"{east}, {north}".replace(".", ",")) == pytest.approx(at, abs=1e-7)


@given(st.text(max_size=80) | st.text("0123456789.,-+ °'\"NSEWULBT:/?#=&@!dgeohtps%", max_size=80))
def test_any_text_is_a_position_within_its_range_or_refused(text: str) -> None:
    try:
        latitude, longitude = read_position(text)
    except Invalid:
        return
    assert abs(latitude) <= 90
    assert abs(longitude) <= 180
