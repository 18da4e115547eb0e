"""The child process that reads uploads: what the worst files cost it and the server, and what becomes of it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from sifilma.documents import reading, uploads
from sifilma.documents.reader_refusals import BROKEN, TOO_MUCH, NotAccepted
from sifilma.documents.reading import AT_ONCE, ROOM, read_in_child
from sifilma.documents.tables import sheets
from sifilma.kernel import deadline
from sifilma.kernel.errors import Unavailable
from tests.documents.files import letter, paged, plain_form, rezipped, stream, xlsx

WANTED = plain_form(["hardware_number"], ["pcid", "address", "lat", "lon"]).wanted.packed()
ARGUMENTS = {
    "csv": (10_001, sheets.MAX_ANSWER, WANTED),
    "xlsx": (10_001, sheets.MAX_ANSWER, WANTED),
    "pdf": (),
    "photo": (uploads.MAX_PIXELS, uploads.MAX_IMAGE),
}
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={})
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, len(done.stdout)]))
"""


def cost(kind: str, data: bytes) -> tuple[int, float, float, int]:
    """Return a child's exit status, its largest memory (MiB), its CPU time (s) and the size of its answer (bytes).

    A small process starts it: the system counts the memory of a child from before its program, when it is still a copy of its parent.
    """
    command = [sys.executable, "-I", "-c", MEASURE, *reading.command_of(kind, *map(str, ARGUMENTS[kind]))]
    status, memory, seconds, size = json.loads(subprocess.run(command, input=data, capture_output=True, check=True).stdout)
    return status, memory, seconds, size


# --- what the worst files cost ---------------------------------------------------------------------------------------


def one_text_in_many_cells(length: int, cells: int) -> bytes:
    """Return a workbook that holds one text once and names it in many cells."""
    book = xlsx(["hardware_number"], ["x"])
    texts = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>%s</t></si></sst>' % (b"x" * length)
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, cells + 1))
    sheet = f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>'
    return rezipped(book, {"xl/sharedStrings.xml": texts, "xl/worksheets/sheet1.xml": sheet.encode()})


def inflating(megabytes: int, dictionary: bytes) -> bytes:
    packer, packed = zlib.compressobj(9), b""
    for _ in range(megabytes):
        packed += packer.compress(b"/A " * 349_526)
    return stream(dictionary + b" /Filter /FlateDecode", packed + packer.flush())


def tabled(table: bytes) -> bytes:
    """Return a PDF with this stream as its table of cross-references."""
    data = paged(table)
    return data.replace(b"startxref\n0", b"startxref\n%d" % data.index(b"4 0 obj"))


def filled(token: bytes) -> bytes:
    return paged(token * ((uploads.MAX_PDF - 1000) // len(token)))


def noisy(kind: str, **options: Any) -> bytes:
    """Return a photo of 25 megapixels of noise, to be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    colours = bytes(20 * (value % 64 == 0) if kind == "PNG" else value % 4 * 20 for value in range(256))
    grain = Image.frombytes("L", (5000, 5000), os.urandom(25_000_000).translate(colours))
    out = io.BytesIO()
    grain.convert("RGBA" if kind == "PNG" else "RGB").save(out, kind, exif=exif, **options)
    assert len(out.getvalue()) < uploads.MAX_IMAGE
    return out.getvalue()


def with_much_text() -> bytes:
    told = PngImagePlugin.PngInfo()
    for number in range(60):
        told.add_text(f"a{number}", "x" * 1_000_000, zip=True)
    out = io.BytesIO()
    Image.new("RGB", (9, 9)).save(out, "PNG", pnginfo=told)
    return out.getvalue()


WORST: dict[str, tuple[str, Callable[[], bytes]]] = {
    "one long text in 350 cells": ("xlsx", lambda: one_text_in_many_cells(4_000_000, 350)),
    "one allowed text in 10,000 cells": ("xlsx", lambda: one_text_in_many_cells(32_000, 10_000)),
    "two cells far apart": ("xlsx", lambda: xlsx(["a"], far=(1_048_575, 16_383))),
    "20 million columns": ("csv", lambda: b"a" + b"," * 20_000_000),
    "20 million quoted columns": ("csv", lambda: b'"",' * 6_000_000),
    "an object stream of 100 MB": ("pdf", lambda: paged(inflating(100, b"/Type /ObjStm /N 1 /First 4"))),
    "a table of 100 MB": ("pdf", lambda: tabled(inflating(100, b"/Type /XRef /W [1 4 2] /Size 50 /Root 1 0 R"))),
    "nested arrays": ("pdf", lambda: filled(b"[")),
    "empty dictionaries": ("pdf", lambda: paged(b"[" + b"<<>>" * 2_500_000 + b"]")),
    "a million objects": ("pdf", lambda: filled(b"\nendobj 9 0 obj")),
    "scripts that are null": ("pdf", lambda: paged(b"[" + b"<</XFA null>>" * 700_000 + b"]")),
    "a photo in many passes": ("photo", lambda: noisy("JPEG", quality=20, progressive=True)),
    "a picture of 25 megapixels": ("photo", lambda: noisy("PNG", compress_level=1)),
    "a picture with 60 MB of words": ("photo", with_much_text),
}


@pytest.mark.parametrize(("kind", "make"), WORST.values(), ids=WORST.keys())
def test_the_worst_file_costs_its_child_no_more_than_300_mb_and_2_seconds(kind: str, make: Callable[[], bytes]) -> None:
    _, memory, seconds, size = cost(kind, make())
    assert memory < 300
    assert seconds < 2.3  # the system looks at the clock four times a second
    assert size <= max(sheets.MAX_ANSWER + 100_000, uploads.MAX_IMAGE)


def test_what_people_send_is_far_from_the_limits() -> None:
    rows = [[f"HW-{n:06}", f"{n:032X}", "Jalan Contoh 12, Magetan", -7.65, 111.33] for n in range(10_000)]
    status, memory, seconds, _ = cost("xlsx", xlsx(["hardware_number", "pcid", "address", "lat", "lon"], *rows))
    assert (status, memory < 100, seconds < 1) == (0, True, True)
    status, memory, seconds, _ = cost("pdf", letter())
    assert (status, memory < 60, seconds < 0.5) == (0, True, True)


SERVER = """
import re, sys
from pathlib import Path
from sifilma.documents import uploads
from sifilma.documents.tables import sheets
from sifilma.kernel.errors import Invalid
from tests.documents.files import plain_form
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    try:
        if path.suffix == ".pdf": uploads.inspect_pdf(data)
        elif path.suffix == ".photo": uploads.clean_photo(data)
        else: sheets.read(data, plain_form(["hardware_number"], ["a"]), max_rows=10_000)
    except Invalid:
        pass
print(peak() - before)
"""


def test_no_file_costs_the_server_more_than_50_mb(tmp_path: Path) -> None:
    """The files are the worst for the parent: long answers, and many of the largest files that are taken."""
    wide = xlsx(["hardware_number", "a"], *([f"HW-{n}", "é" * 380] for n in range(10_000)))
    files = {
        "0.xlsx": one_text_in_many_cells(4_000_000, 350),
        "1.xlsx": one_text_in_many_cells(32_000, 10_000),
        "2.xlsx": wide,
        "3.csv": b"hardware_number" + b"," * 20_000_000,
        "4.pdf": filled(b"["),
        "5.photo": noisy("JPEG", quality=20),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run([sys.executable, "-c", SERVER, tmp_path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 50


# --- what becomes of the child ---------------------------------------------------------------------------------------


def test_an_answer_beyond_the_limit_ends_the_child() -> None:
    with pytest.raises(NotAccepted) as refused:
        read_in_child("csv", b"hardware_number,b\n" * 20_000, 20_000, 10_000_000, WANTED, most=5000)
    assert refused.value.reason == TOO_MUCH


def test_a_child_that_dies_refuses_its_file() -> None:
    with pytest.raises(NotAccepted) as refused:
        read_in_child("csv", b"a,b\n", "no number", 100, most=100)
    assert refused.value.reason == BROKEN


def test_a_sound_file_is_not_blamed_for_a_machine_that_has_no_time_for_it() -> None:
    """A child that takes long by itself is ended by its limit of CPU time."""
    data = filled(b"\nendobj 9 0 obj")  # of a second of CPU time
    begun = time.monotonic()
    with pytest.raises((NotAccepted, Unavailable)):  # the second where the machine is too busy for ten seconds
        read_in_child("pdf", data, most=0)
    whole, begun = time.monotonic() - begun, time.monotonic()
    with deadline.limit(reading.ANSWER_SECONDS + 0.02), pytest.raises(Unavailable) as busy:
        read_in_child("pdf", data, most=0)
    assert busy.value.type == "readers-busy"
    assert time.monotonic() - begun < 0.7 * whole


def test_no_child_is_left_behind() -> None:
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = children.read_text()
    with pytest.raises(NotAccepted):
        read_in_child("csv", b"hardware_number,b\n" * 20_000, 20_000, 10_000_000, WANTED, most=5000)
    assert children.read_text() == before


def test_no_more_children_than_allowed_work_at_a_time() -> None:
    for _ in range(AT_ONCE):
        ROOM.acquire()
    try:
        with deadline.limit(reading.ANSWER_SECONDS + 0.05), pytest.raises(Unavailable) as busy:
            read_in_child("pdf", letter(), most=0)
        assert busy.value.type == "readers-busy"
    finally:
        ROOM.release(AT_ONCE)
    assert read_in_child("pdf", letter(), most=0) == b""
