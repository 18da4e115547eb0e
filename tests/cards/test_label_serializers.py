"""Labels: what they say, where they lie on a sheet, which page their QR code leads to, and who gets which."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pikepdf
import pytest
from werkzeug.test import TestResponse

from sifilma.documents import label_sheets
from sifilma.documents.indonesian import uid_pairs
from sifilma.documents.label_sheets import FORMATS, Label, make
from sifilma.web.assets import NODE_MODULES
from tests.documents.files import text_of
from tests.support.programs import node
from tests.support.visitor import Visitor, english
from tests.support.world import World, done

OFFICE = "magetan.kepala"
DPI = 300
READER = """
const [, library, path, width, height, boxes] = process.argv.map((one, number) => (number > 2 ? JSON.parse(one) : one));
const zxing = require(library);
const pixels = new Uint8ClampedArray(require("fs").readFileSync(path)).slice(-width * height);
const hints = new Map([[zxing.DecodeHintType.TRY_HARDER, true]]);
function seen([left, top, wide, high], degrees, near) { // as a camera sees it that is held not quite straight, nearer or farther away
  const part = new Uint8ClampedArray(wide * high).fill(255);
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  for (let y = 0; y < high; y += 1) for (let x = 0; x < wide; x += 1) {
    const [u, v] = [(x - wide / 2) / near, (y - high / 2) / near];
    const [across, down] = [Math.round(u * cos - v * sin + wide / 2), Math.round(u * sin + v * cos + high / 2)];
    if (across >= 0 && across < wide && down >= 0 && down < high) part[y * wide + x] = pixels[(top + down) * width + left + across];
  }
  return new zxing.BinaryBitmap(new zxing.HybridBinarizer(new zxing.RGBLuminanceSource(part, wide, high)));
}
function empty([left, top, wide, high]) {
  for (let y = top; y < top + high; y += 1) {
    if (pixels.subarray(y * width + left, y * width + left + wide).some((one) => one < 128)) return false;
  }
  return true;
}
function read(box) {
  if (empty(box)) return "-";
  for (const near of [1, 0.93, 1.06]) for (const degrees of [0, 4, -7, 11, -3, 8]) {
    try { return new zxing.QRCodeReader().decode(seen(box, degrees, near), hints).getText(); } catch { /* the next frame */ }
  }
  return "-";
}
for (const box of boxes) console.log(read(box));
"""
"""The scanner of the activation page. It misses one straight symbol in 25, whose data look like its marks.

A camera has many frames: few symbols are missed in all of these.
"""


def places(name: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield the labels of a sheet as left, top, width and height in pixels."""
    of = FORMATS[name].measures
    for number in range(FORMATS[name].count):
        across = of["left"] + number % of["columns"] * (of["width"] + of["gap"])
        down = of["top"] + number // of["columns"] * of["height"]
        yield tuple(max(0, int(value / 25.4 * DPI)) for value in (across, down, of["width"] - 0.2, of["height"] - 0.2))  # type: ignore[misc]  # four numbers


def scanned(pdf: bytes, name: str, folder: Path) -> list[str]:
    """Return what a scanner reads on each label of the first page, `-` where it reads nothing."""
    (folder / "labels.pdf").write_bytes(pdf)
    subprocess.run(["pdftoppm", "-gray", "-r", str(DPI), "-singlefile", folder / "labels.pdf", folder / "labels"], check=True)
    image = (folder / "labels.pgm").read_bytes()
    width, height = map(int, image.split(b"\n", 2)[1].split())
    more = [NODE_MODULES / "@zxing/library/umd/index.min.js", folder / "labels.pgm", width, height, json.dumps(list(places(name)))]
    return subprocess.run([*node(), "-e", READER, *map(str, more)], check=True, capture_output=True, text=True).stdout.split()


def pdf(response: TestResponse) -> bytes:
    assert (response.status_code, response.mimetype) == (200, "application/pdf")
    return response.get_data()


def test_labels_of_a_bast_lie_where_the_sheet_is_free_and_lead_to_their_cards(world: World, tmp_path: Path) -> None:
    world.configure(public_url="https://sifilma.example.go.id")
    uids = world.personalised(count=3)
    told = done(world.client("operator1").post("/handovers", {"to": str(world.organisation_of(OFFICE)), "cards": uids}), 201)
    office = Visitor(world, OFFICE)
    assert f'action="/bast/{told["id"]}/label"' in office.get(f"/bast/{told['id']}").get_data(as_text=True)
    made = pdf(office.get(f"/bast/{told['id']}/label", format="5x13", start="64"))
    text = text_of(made, tmp_path)
    assert len(pikepdf.open(tmp_path / "document.pdf").pages) == 2
    assert text.count("SI-FILMA · Kartu SAM") == text.count("RW (Baca Tulis)") == text.count("Dinas Kependudukan") == 3
    assert "Contoh" not in text  # no person
    addresses = [f"https://sifilma.example.go.id/kartu/{uid}" for uid in uids]
    assert scanned(made, "5x13", tmp_path) == ["-"] * 63 + addresses[:2]
    stranger = Visitor(world)
    assert stranger.get(f"/kartu/{uids[0]}").location == stranger.get("/kartu/30154B010000FFFF").location == "/masuk"
    assert Visitor(world, "bangli.kepala").get(f"/bast/{told['id']}/label").status_code == 404


def test_the_label_of_a_unit_leads_to_its_page_and_brings_its_number_to_the_scanner(sqlite_world: World, tmp_path: Path) -> None:
    ready = sqlite_world.ready()
    [(number, unit_id)] = sqlite_world.sql("SELECT hardware_number, id FROM unit")
    office = Visitor(sqlite_world, OFFICE, language="en")
    page = office.get(f"/unit?q={number}").get_data(as_text=True)
    key = page.partition('name="pilih" value="')[2].partition('"')[0]
    made = pdf(office.get("/unit/label", pilih=key, format="62x29"))
    assert number in text_of(made, tmp_path)
    assert "SI-FILMA · Machine" in text_of(made, tmp_path)
    assert scanned(made, "62x29", tmp_path) == [f"{sqlite_world.settings.public_url}/unit/{key}#{number}"]
    assert (len(ready.uids), bool(unit_id)) == (1, True)


def test_lists_make_labels_of_what_is_chosen_else_of_what_the_filter_finds_in_its_order(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = sorted(world.personalised(count=3))
    operator, office = english(world, "operator1"), english(world, OFFICE)
    text = text_of(pdf(operator.get("/kartu/label", state="personalised", urut="uid")), tmp_path)
    places_of = [text.index(uid_pairs(uid)[:17]) for uid in uids]
    assert places_of == sorted(places_of)
    chosen = text_of(pdf(operator.get("/kartu/label", pilih=uids[1])), tmp_path)
    assert [uid_pairs(uid) in chosen for uid in uids] == [False, True, False]
    office.get("/kartu/label", pilih="30154B010000FFFF")
    assert "Nothing is there to make labels of." in office.seen
    for wrong, said in (
        ({"format": "9x9"}, "no such format"),
        ({"start": "25", "format": "3x8"}, "from 1 to 24"),
        ({"start": "0"}, "from 1 to 21"),
    ):
        assert operator.get("/kartu/label", **wrong).status_code == 422
        assert said in operator.seen
    assert operator.get("/unit/label", pilih="x").status_code == 422
    monkeypatch.setattr(label_sheets, "MOST", 2)
    assert operator.get("/kartu/label", state="personalised").status_code == 422
    assert "At most 2 labels are made at once" in operator.seen


def test_a_program_gets_the_labels_that_the_pages_give(world: World, tmp_path: Path) -> None:
    """Of chosen things, of a filter, of a BAST; and what is refused on a page is refused in the same words."""
    uids = world.personalised(count=2)
    told = done(world.client("operator1").post("/handovers", {"to": str(world.organisation_of(OFFICE)), "cards": uids}), 201)
    operator, office = world.client("operator1"), world.client(OFFICE)
    [unit] = done(office.post("/units", [{"hardware_number": "LABEL1", "model": "LEN-ENC-1", "function": "RW"}]), 201)["items"]
    bast, of_unit = f"/handovers/{told['id']}/labels", {"id": unit["id"]}
    asked: list[tuple[str, dict[str, str], list[str]]] = [
        (bast, {"format": "2x7", "start": "13"}, uids),
        ("/card-labels", {"uid": uids[1].lower(), "format": "62x29"}, [uids[1]]),
        ("/card-labels", {"state": "handed_over", "function": "RW"}, uids),
        ("/unit-labels", of_unit, ["LABEL1"]),
        ("/unit-labels", {"hardware_number": "LABEL1"}, ["LABEL1"]),
    ]
    for path, query, expected in asked:
        text = text_of(pdf(office.get(path, **query)), tmp_path)
        assert [one for one in (*uids, "LABEL1") if (uid_pairs(one)[12:17] if one in uids else one) in text] == expected, (path, query)
    nothing = office.get("/card-labels", state="active")
    assert (nothing.status_code, nothing.json["detail"]) == (422, "Nothing is there to make labels of.")
    for wrong in ({"format": "9x9"}, {"start": "25", "format": "3x8"}, {"start": "0"}, {"uid": "x"}, {"size": "1"}):
        assert operator.get("/card-labels", **wrong).status_code == 422, wrong
    stranger = world.client("bangli.kepala")
    answers = (stranger.get(bast), stranger.get("/card-labels", uid=uids[0]), stranger.get("/unit-labels", **of_unit))
    assert [answer.status_code for answer in answers] == [404, 422, 422]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_fits_its_page(name: str) -> None:
    of = FORMATS[name].measures
    assert 0 <= of["left"] <= 8
    assert 0 <= of["top"] <= 16
    assert of["left"] * 2 + of["columns"] * of["width"] + (of["columns"] - 1) * of["gap"] == pytest.approx(of["page_width"])


def test_a_sign_without_a_font_is_no_obstacle_and_a_label_for_practice_says_so(sqlite_world: World, tmp_path: Path) -> None:
    label = Label(
        "https://sifilma.example.go.id/kartu/30154B0100000001", "Kartu SAM", "30 15 4B 01 00 00 00 01", ("R (Baca)", "Bank \u65e5")
    )
    with sqlite_world.context() as ctx:
        one = make(ctx, sqlite_world.settings, [label], FORMATS["3x7"])
        assert "Bank ?" in text_of(one, tmp_path)
        assert sqlite_world.settings.banner in text_of(one, tmp_path)
