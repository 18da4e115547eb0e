"""The PDF documents that this system writes: BAST and Berita Acara."""

from __future__ import annotations

import hashlib
import io
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import segno
from pikepdf import Pdf
from structlog.testing import capture_logs

from sifilma.documents import indonesian, rendering
from sifilma.documents.papers import long_papers
from sifilma.documents.papers.layout import Unprintable
from sifilma.documents.uploads import inspect_pdf
from sifilma.kernel import deadline
from sifilma.kernel.errors import Unavailable
from tests.documents.files import DIGEST, picture, text_of

URL = "http://127.0.0.1:8000/verifikasi"
DAY = date(2018, 12, 5)
WAYAN = {"name": "Wayan Contoh", "kind": "NIP", "number": "0042", "identity": "NIP 0042", "position": "Direktur"}
ISSUED = {
    1: "ed3e70da2509b63d7fd319f764c578d2434b2cdd23ddc190eb1fbcffba498fd0",
    2: "1cecc57ff0a9efb45fa481e195306d02bcf84f24b42007ba42b5fe9796838735",
    3: "dfd6528b7e8e848814c3094556adf7076b86567c11a440ec91052b0da826ea40",
    4: "0ba6a8bc32aab08225e75285a536eed390350a4977f5066337cf260731320c49",
}
"""The SHA-256 of the templates of each version, all files together: papers were issued with them, so they stay as they are."""


def bast(cards: int = 5, **changes: Any) -> dict[str, Any]:
    """Return a handover of the five cards of the sample letter."""
    return {
        "title": "BAST 7/2018",
        "number": "7/2018",
        "date": {"year": DAY.year, "month": DAY.month, "day": DAY.day},
        "spoken_date": indonesian.spoken_date(DAY),
        "short_date": indonesian.short_date(DAY),
        "time": "14.05 WIB",
        "place": "Jakarta",
        "letterhead": {"names": ["KEMENTERIAN DALAM NEGERI", "DIREKTORAT JENDERAL"], "address": "Jalan Contoh 1"},
        "issuer": {"name": "Direktorat Jenderal Kependudukan dan Pencatatan Sipil", "person": WAYAN},
        "receiver": {"name": "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan", "person": None},
        "letters": [{"no": 1, "number": "470/304/1403.111/2018", "date": "19 November 2018", "sender": "Dinas Kabupaten Magetan"}],
        "count": cards,
        "count_words": indonesian.words(cards),
        "notes": "",
        "digest": DIGEST,
        "url": URL,
        "qr": rendering.qr_svg(f"{URL}?sha256={DIGEST}"),
        "cards": [
            {
                "no": n,
                "uid": indonesian.uid_pairs(f"30154B010000{n:04X}"),
                "machine": f"ENC-{n:05}",
                "hardware": f"ENC-{n:05}",
                "function": "RW",
                "seal": f"{n:016X}",
                "kcv": "A1B2C3",
            }
            for n in range(1, cards + 1)
        ],
    } | changes


def destruction(witnesses: int = 2, photos: list[str] | None = None) -> dict[str, Any]:
    """Return a destruction of two locked cards."""
    person = {"name": "Ratna Contoh", "identity": "NIP 197501012000032001", "position": "Kepala Dinas"}
    names = ["Siti Contoh", "Bambang Contoh", *(f"Saksi Contoh {n}" for n in range(3, 40))]
    return bast(
        2,
        title="Berita Acara Pemusnahan 3/2018",
        organisation={"name": "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan"},
        cause="terkunci",
        method="dipotong menembus keping",
        place="Magetan",
        legal_basis="Permendagri 76/2020 Pasal 17-27",
        official=person,
        witnesses=[
            {"no": n, "name": names[n - 1], "identity": f"NRP {n:08}", "office": "Inspektorat", "position": "Auditor"}
            for n in range(1, witnesses + 1)
        ],
        photos=[{"no": n, "file": name, "sha256": DIGEST} for n, name in enumerate(photos or [], start=1)],
    )


def pages(document: bytes, folder: Path) -> int:
    (folder / "pages.pdf").write_bytes(document)
    told = subprocess.run(["pdfinfo", folder / "pages.pdf"], check=True, capture_output=True, text=True).stdout
    return int(next(line.split()[-1] for line in told.splitlines() if line.startswith("Pages")))


@pytest.mark.parametrize("name", ["bast", "berita_acara_pemusnahan"])
def test_every_page_of_a_paper_of_practice_says_so_and_a_real_one_does_not(name: str, tmp_path: Path) -> None:
    line = "LATIHAN — bukan sistem resmi"
    content, count = (bast(200), 6) if name == "bast" else (destruction(), 1)
    text = text_of(rendering.render(name, content, banner=line), tmp_path)
    assert f"Halaman {count} dari {count}" in text
    assert text.count(line) == count  # the line that lies across the page is turned: poppler reads it letter by letter
    assert "bukan sistem resmi" not in text_of(rendering.render(name, content), tmp_path)


def test_a_bast_names_place_day_letter_signatories_and_cards(tmp_path: Path) -> None:
    text = text_of(rendering.render("bast", bast()), tmp_path)
    for said in (
        "KEMENTERIAN DALAM NEGERI DIREKTORAT JENDERAL Jalan Contoh 1",
        "BERITA ACARA SERAH TERIMA KARTU SAM Nomor: 7/2018",
        "Rabu tanggal lima bulan Desember tahun dua ribu delapan belas (05-12-2018)",
        "bertempat di Jakarta",
        "Nama : Wayan Contoh NIP : 0042 Jabatan : Direktur Instansi : Direktorat Jenderal",
        "surat permohonan Dinas Kabupaten Magetan nomor 470/304/1403.111/2018 tanggal 19 November 2018",
        "5 (lima) keping",
        "5 30 15 4B 01 00 00 00 05 ENC-00005 RW 0000000000000005 A1B2C3",
        "Templat bast/4",
        "Halaman 1 dari 1",
        DIGEST,
    ):
        assert said in text, said
    assert text.count("Wayan Contoh") == 2  # named as a party, and where the person signs
    assert "Nama dan NIP/nomor pegawai" in text  # of the receiver's signatory, to be filled in by hand


def test_the_templates_that_papers_were_issued_with_never_change() -> None:
    for version, sha256 in ISSUED.items():
        files = sorted((rendering.TEMPLATES / str(version)).glob("*.typ"))
        assert hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest() == sha256, f"make a version {version + 1}"


def test_the_scripts_of_the_regions_are_printed_and_other_signs_refused_by_name(tmp_path: Path) -> None:
    regional = "Balai \u1b05\u1b13\u1b38\u1b2d, \ua997\ua9ae, \u0639\u0631\u0628\u064a"
    fonts = tmp_path / "regional.pdf"
    fonts.write_bytes(rendering.render("bast", bast(place=regional)))
    listed = subprocess.run(["pdffonts", fonts], check=True, capture_output=True, text=True).stdout
    for font in ("NotoSansBalinese", "NotoSansJavanese", "NotoNaskhArabic"):
        assert font in listed, font
    with pytest.raises(Unprintable) as refused:
        rendering.render("bast", bast(notes="Kantor \u65e5\u672c \U0001f600"))
    assert refused.value.signs == "\u65e5\u672c\U0001f600"
    assert "\u65e5 (U+65E5)" in str(refused.value)


def test_characters_that_show_nothing_never_reach_a_paper(tmp_path: Path) -> None:
    hidden = "".join(map(chr, (0x202E, 0x2066, 0x200B, 0x00AD, 0xFEFF, 0x0007, 0x3164)))
    plain = rendering.render("bast", bast(place="Kantor Dinas", notes="\u00e9"))
    assert rendering.render("bast", bast(place=f"Kantor {hidden}Dinas", notes="e\u0301")) == plain
    assert "Kantor Dinas" in text_of(plain, tmp_path)


def test_a_long_bast_repeats_header_and_page_number_on_every_page(tmp_path: Path) -> None:
    document = rendering.render("bast", bast(1000))
    count, text = pages(document, tmp_path), text_of(document, tmp_path)
    assert count > 15
    assert text.count("UID kartu SAM") >= count - 1
    assert f"Halaman {count} dari {count}" in text
    assert "30 15 4B 01 00 00 03 E8" in text


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay out each 60 cards of a paper by a process of its own."""
    monkeypatch.setattr(rendering, "WHOLE", 60)
    monkeypatch.setattr(long_papers, "ROWS", 60)


@pytest.mark.usefixtures("in_parts")
def test_a_paper_in_parts_says_everything_once_and_numbers_its_pages(tmp_path: Path) -> None:
    document = rendering.render("bast", bast(150), banner="LATIHAN")
    assert rendering.render("bast", bast(150), banner="LATIHAN") == document
    count, text = pages(document, tmp_path), text_of(document, tmp_path)
    assert [text.count(f"Halaman {page} dari {count}") for page in range(1, count + 2)] == [1] * count + [0]
    assert [text.count(f"ENC-{number:05} RW") for number in range(1, 152)] == [1] * 150 + [0]
    assert [text.count(said) for said in ("bertempat di Jakarta", "Dengan ditandatanganinya", "Nama dan NIP/nomor pegawai")] == [1, 1, 1]
    with Pdf.open(io.BytesIO(document)) as pdf, pdf.open_metadata() as told:
        assert (told["pdfaid:part"], told["pdfaid:conformance"], told[long_papers.PAGES]) == ("2", "U", str(count))
        assert "/OutputIntents" in pdf.Root


@pytest.mark.usefixtures("in_parts")
def test_other_papers_have_parts_too(tmp_path: Path) -> None:
    cards = bast(150)["cards"]
    text = text_of(rendering.render("berita_acara_pemusnahan", destruction() | {"cards": cards}), tmp_path)
    assert [text.count(said) for said in ("karena terkunci", "Dasar hukum", "Saksi 2,", "30 15 4B 01 00 00 00 96")] == [1, 1, 1, 1]
    counts = {name: {"number": 150, "words": "seratus lima puluh"} for name in ("listed", "intact", "damaged", "missing")}
    stated = bast(150, counts=counts, bast={"number": "6/2018", "date": "4 Desember 2018"})
    stated["cards"] = [card | {"kind": "tidak diterima", "note": "-"} for card in cards]
    text = text_of(rendering.render("berita_acara_selisih", stated), tmp_path)
    assert [text.count(said) for said in ("PIHAK KEDUA menyatakan", "tetap menjadi tanggung jawab", "30 15 4B 01 00 00 00 96")] == [1, 1, 1]


@pytest.mark.usefixtures("in_parts")
def test_signs_that_no_font_has_are_named_from_any_part_and_a_part_that_fails_is_no_paper() -> None:
    with pytest.raises(Unprintable) as refused:
        rendering.render("bast", bast(150, notes="Kantor \u65e5\u672c"))  # in the last part
    assert refused.value.signs == "\u65e5\u672c"
    with capture_logs() as logged, pytest.raises(Unavailable):
        rendering.render("bast", {name: value for name, value in bast(150).items() if name != "letters"})
    assert [(line["event"], "letters" in line["reason"]) for line in logged] == [("paper_not_laid_out", True)]
    with capture_logs() as logged, pytest.raises(Unavailable), deadline.limit(long_papers.KEPT + 0.05):
        rendering.render("bast", bast(150))
    assert "timed out" in logged[0]["reason"]


def test_a_paper_of_one_part_is_the_same_as_one_that_is_laid_out_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = rendering.render("bast", bast(70))
    monkeypatch.setattr(rendering, "WHOLE", 60)
    assert rendering.render("bast", bast(70)) == here


def test_a_berita_acara_names_cause_place_official_and_witnesses(tmp_path: Path) -> None:
    text = text_of(rendering.render("berita_acara_pemusnahan", destruction()), tmp_path)
    for part in (
        "karena terkunci",
        "bertempat di Magetan",
        "Dasar hukum: Permendagri 76/2020 Pasal 17-27.",
        "Ratna Contoh",
        "NRP 00000002",
        "Saksi 2,",
    ):
        assert part in text


@pytest.mark.parametrize("witnesses", [2, 3, 7, 30])
def test_every_witness_has_a_place_to_sign(witnesses: int, tmp_path: Path) -> None:
    text = text_of(rendering.render("berita_acara_pemusnahan", destruction(witnesses)), tmp_path)
    for number in range(1, witnesses + 1):
        assert f"Saksi {number}," in text


def test_the_document_contains_the_photos_with_their_digests(tmp_path: Path) -> None:
    images = {"p1.jpg": picture(tmp_path, "jpeg"), "p2.png": picture(tmp_path, "png")}
    document = rendering.render("berita_acara_pemusnahan", destruction(photos=list(images)), images)
    (tmp_path / "photos.pdf").write_bytes(document)
    listed = subprocess.run(
        ["pdfimages", "-list", tmp_path / "photos.pdf"], check=True, capture_output=True, text=True
    ).stdout.splitlines()[2:]
    assert sum("jpeg" in line for line in listed) == 1
    assert len(listed) >= 2
    assert text_of(document, tmp_path).count(DIGEST) == 2 + 2  # two photos, and the footer of each of two pages


def test_data_are_not_interpreted_as_template_code(tmp_path: Path) -> None:
    evil = '#read("/etc/passwd") $x$ *b* \\ "] #panic() <label> @ref // no comment'
    text = text_of(rendering.render("bast", bast(notes=evil, receiver={"name": evil, "person": None})), tmp_path)
    assert text.count('#read("/etc/passwd") $x$ *b* \\ "] #panic() <label> @ref // no comment') >= 1
    assert "root:" not in text


def test_the_same_data_give_the_same_bytes_in_every_thread() -> None:
    digests: list[str] = []
    made = [threading.Thread(target=lambda: digests.append(hashlib.sha256(rendering.render("bast", bast())).hexdigest())) for _ in range(6)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    assert len(digests) == 6
    assert set(digests) == {hashlib.sha256(rendering.render("bast", bast())).hexdigest()}
    assert digests[0] != hashlib.sha256(rendering.render("bast", bast(notes="lain"))).hexdigest()


def test_only_bundled_fonts_are_used(tmp_path: Path) -> None:
    (tmp_path / "fonts.pdf").write_bytes(rendering.render("berita_acara_pemusnahan", destruction()))
    listed = subprocess.run(["pdffonts", tmp_path / "fonts.pdf"], check=True, capture_output=True, text=True).stdout.splitlines()[2:]
    assert {line.split()[0].partition("+")[2].partition("-")[0] for line in listed} == {"LibertinusSerif", "DejaVuSansMono"}


def test_our_own_documents_pass_our_own_inspection() -> None:
    assert inspect_pdf(rendering.render("bast", bast()))


@pytest.mark.parametrize("name", ["../p.png", "a/b.png", "bast.typ", "p.svg", "p.png\n"])
def test_only_plain_names_of_pictures_are_accepted(name: str) -> None:
    with pytest.raises(ValueError, match="image name"):
        rendering.render("bast", bast(), {name: b""})


def modules(svg: str) -> Iterator[tuple[int, int]]:
    """Return the dark modules of segno's SVG, whose one path is horizontal strokes: `M x y h length`, then relative moves."""
    [path] = [node for node in ET.fromstring(svg).iter() if node.tag.endswith("path")]
    x, y = 0.0, 0.5
    for command in path.attrib["d"].replace("M", "\nM").replace("m", "\nm").replace("h", "\nh").split("\n")[1:]:
        numbers = [float(part) for part in command[1:].replace("-", " -").split()]
        if command[0] == "h":
            yield from ((int(y - 0.5), int(x) + step) for step in range(int(numbers[0])))
            x += numbers[0]
        elif command[0] == "M":
            x, y = numbers
        else:
            x, y = x + numbers[0], y + numbers[1]


def test_the_qr_code_contains_the_given_text() -> None:
    text = f"{URL}?bast=0193&sha256={DIGEST}"
    matrix = segno.make(text, error="m", micro=False).matrix
    assert set(modules(rendering.qr_svg(text))) == {(y, x) for y, line in enumerate(matrix) for x, dark in enumerate(line) if dark}
    assert rendering.qr_svg(text) != rendering.qr_svg(text[:-1] + "0")
    assert io.StringIO(rendering.qr_svg(text)).read().startswith("<svg")
