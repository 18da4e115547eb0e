"""The public pages in both languages, the help of every role, and the status page during outages."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

from babel.messages.pofile import read_po

from hsm import HSM
from hsm.keys import SIGNING_PLAN
from sifilma import public
from sifilma.audit import sequencing
from sifilma.kernel.unit_of_work import assert_no_transaction
from sifilma.public.guide import PICTURES
from sifilma.public.guides import GUIDES
from sifilma.public.questions import QUESTIONS
from sifilma.public.views import SCREENSHOTS
from sifilma.web.navigation import ENTRIES
from tests.support import transparency_log
from tests.support.databases import Cluster
from tests.support.softhsm import SoftHSM
from tests.support.visitor import Visitor, landed
from tests.support.world import World

PAGES = {
    "/beranda": ("Setiap card reader KTP-el memiliki kartu SAM.", "Every KTP-el reader has a SAM card."),
    "/tentang": ("Tentang SI-FILMA", "About SI-FILMA"),
    "/alur": ("Alur bisnis", "Business flow"),
    "/kontak": ("Saluran resmi", "Official channels"),
    "/status": ("Status layanan", "Service status"),
    "/bantuan": ("Pertanyaan yang sering diajukan", "Frequent questions"),
    "/bantuan/dinas": ("Daftarkan mesin Anda", "Register your machines"),
    "/bantuan/lembaga": ("Daftarkan card reader yang dibeli", "Register the readers you bought"),
    "/bantuan/produsen": ("Ajukan batch", "Submit the batch"),
    "/bantuan/operator": ("Personalisasi dan catat hasilnya", "Personalise and record the results"),
    "/bantuan/penyetuju": ("Putuskan permohonan personalisasi", "Decide on personalisation requests"),
    "/bantuan/auditor": ("Verifikasi seluruh log", "Verify the whole log"),
    "/bantuan/administrator": ("Putuskan usulan rekan Anda", "Decide on a colleague's proposal"),
}
OWN = {
    "magetan.staf": "Dinas kabupaten/kota dan provinsi",
    "jatim.kepala": "Dinas kabupaten/kota dan provinsi",
    "mandiri.kepala": "Lembaga",
    "len.kepala": "Produsen",
    "operator1": "Operator di Direktorat Jenderal",
    "penyetuju1": "Pemberi persetujuan di Direktorat Jenderal",
    "auditor1": "Auditor",
    "admin1": "Administrator pengguna",
    "kustodian1": "Bantuan",
}
ALL_WORK = ["Berfungsi"] * 7  # database, HSM, log, its witness, files, worker, clock
SOON = 2.0  # seconds within which the status page answers, also during outages


def english_sentences() -> set[str]:
    """Return the English sentences of the public pages whose Indonesian translation differs."""
    path = Path(public.__file__).with_name("translations") / "id.po"
    with path.open("rb") as file:
        return {str(m.id) for m in read_po(file, locale="id") if m.id and m.id != m.string and len(m.id) > 12 and "%(" not in m.id}


def test_every_page_exists_in_both_languages(sqlite_world: World) -> None:
    assert len(english_sentences()) > 200
    for number, language in enumerate(("id", "en")):
        visitor = Visitor(sqlite_world, language=language)
        for path, words in PAGES.items():
            response = visitor.get(path)
            assert response.status_code == 200, path
            assert f'<html lang="{language}">' in response.get_data(as_text=True)
            assert words[number] in visitor.seen, path
            assert words[1 - number] not in visitor.seen, path
            assert len(response.get_data()) < 30_000
            if language == "id":
                assert [text for text in english_sentences() if text in visitor.seen] == [], path


def test_every_guide_is_tested_and_names_existing_pages(sqlite_world: World) -> None:
    assert {f"/bantuan/{guide.key}" for guide in GUIDES} < set(PAGES)
    known = set(sqlite_world.app.view_functions) | {entry.endpoint for entry in ENTRIES}
    named = {step.endpoint for guide in GUIDES for step in guide.steps} | {question.endpoint for question in QUESTIONS if question.endpoint}
    assert named - known == set()
    assert {step.picture for guide in GUIDES for step in guide.steps if step.picture} == set(PICTURES)
    assert Visitor(sqlite_world).get("/bantuan/siapa").status_code == 404


def test_the_side_bar_links_to_the_help_of_the_users_role(sqlite_world: World) -> None:
    for user, title in OWN.items():
        visitor = Visitor(sqlite_world, user)
        page = visitor.get("/bantuan/saya").get_data(as_text=True)
        assert re.findall(r"<h1>(.*?)</h1>", page) == [title], user
        assert re.search(r'<a href="/bantuan/saya" aria-current="page">', page)
        assert "Pertanyaan yang sering diajukan" in page
    assert Visitor(sqlite_world).get("/bantuan/saya").location == "/masuk"


def test_a_guide_leads_its_reader_only_to_pages_they_may_open(sqlite_world: World) -> None:
    for user, links in (("magetan.staf", False), ("magetan.kepala", True)):
        page = Visitor(sqlite_world, user).get("/bantuan/saya").get_data(as_text=True)
        assert ('class="btn btn-outline-primary" href="/pengguna"' in page) is links, user
    for user in ("penyetuju1", "auditor1", "admin1", "magetan.kepala", "softorb.kepala"):  # the frequent questions too
        visitor = Visitor(sqlite_world, user)
        main = visitor.get("/bantuan/saya").get_data(as_text=True).partition("<main")[2]
        named = set(re.findall(r'href="(/[^"#]*)"', main))
        assert (len(named) > 8, [path for path in named if visitor.get(path).status_code == 403]) == (True, []), user


def test_visitors_begin_at_the_public_home_with_links_to_the_other_pages_and_the_sign_in(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world)
    response = visitor.get("/")
    assert (response.status_code, PAGES["/beranda"][0] in visitor.seen) == (200, True)
    page = response.get_data(as_text=True)
    assert '<a href="/beranda" aria-current="page">' in page
    for path in ("/tentang", "/alur", "/bantuan", "/kontak", "/status"):
        assert f'<a href="{path}"' in page
    assert '<a class="btn btn-primary" href="/masuk">' in page
    refused = visitor.client.get("/", headers={"Accept": "application/json"})  # a program is told that it has no session
    assert (refused.status_code, refused.mimetype) == (401, "application/problem+json")


def test_whoever_is_signed_in_keeps_their_frame_on_public_pages(world: World) -> None:
    signed_in, ended = Visitor(world, "magetan.kepala"), Visitor(world, "magetan.staf")
    ended.send("/keluar")
    for path in (*PAGES, "/verifikasi", "/api/v1/docs", "/api/v1/docs?part=schemas"):
        page = signed_in.get(path).get_data(as_text=True)
        assert 'id="sisi"' in page, path
        assert len(page.encode()) < 100 * 1024, path
        assert page.count(f'name="csrf_token" value="{signed_in.csrf}"') >= 2, path
        assert 'href="/masuk"' not in page, path
        assert 'id="sisi"' not in ended.get(path).get_data(as_text=True), path
    assert signed_in.send("/verifikasi").status_code == 422
    assert "Profil dan sesi" in signed_in.seen
    assert landed(signed_in.send("/keluar")) == "/masuk"  # by the button of such a page


def test_the_diagrams_have_descriptions_in_words(sqlite_world: World) -> None:
    page = Visitor(sqlite_world).get("/alur").get_data(as_text=True)
    assert page.count('role="img"') == page.count("<desc ") == 2
    assert page.count("atau dikembalikan ke langkah") == 4
    assert "style=" not in page


def test_the_contact_page_shows_the_settings_and_says_in_plain_words_what_is_not_announced(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world)
    page = visitor.get("/kontak").get_data(as_text=True)
    assert visitor.seen.count("Belum diumumkan.") == 3
    assert "tanyakan kepada kepala instansi Anda" in visitor.seen
    assert "SIFILMA_" not in page
    assert "mailto:" not in page
    assert "tel:" not in page
    sqlite_world.configure(contact_email="layanan@example.go.id", contact_phone="021 000", contact_hours="Senin-Jumat")
    page = visitor.get("/kontak").get_data(as_text=True)
    assert 'href="mailto:layanan@example.go.id"' in page
    assert 'href="tel:021000"' in page
    assert "Senin-Jumat" in page
    assert "Belum diumumkan" not in page
    assert "tanyakan kepada kepala instansi" not in page


def test_only_listed_pictures_are_served_and_they_are_small(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world)
    for name in PICTURES:
        response = visitor.get(f"/static/bantuan/{name}.png")
        assert response.get_data() == (SCREENSHOTS / f"{name}-id.png").read_bytes()
        assert response.mimetype == "image/png"
        assert len(response.get_data()) <= 120 * 1024
    assert visitor.get("/static/bantuan/lain.png").status_code == 404


def test_the_status_reports_working_parts_and_a_late_log(world: World) -> None:
    transparency_log.sequence(world)
    visitor = Visitor(world)
    assert states(visitor) == ALL_WORK
    assert "Semua layanan berfungsi." in visitor.seen
    transparency_log.act(world)
    world.clock.advance(minutes=6)
    world.beat()
    assert states(visitor) == [*ALL_WORK[:2], "Terlambat", *ALL_WORK[3:]]  # the entry waits to be sequenced
    assert "Layanan berfungsi; satu bagian terlambat." in visitor.seen
    transparency_log.sequence(world)
    assert states(visitor) == ALL_WORK
    assert "Terakhir ditandatangani: 23 Nov 2026 10.06 WIB" in visitor.seen
    transparency_log.act(world)
    with world.context() as ctx:
        sequencing.append(ctx)
    world.clock.advance(minutes=6)
    assert states(visitor)[2] == "Terlambat"  # the entry is sequenced, but no checkpoint is signed


def test_the_status_soon_reports_that_the_hsm_is_away(sqlite_url: str, tmp_path: Path, softhsm: SoftHSM, root_token: HSM) -> None:
    token = softhsm.token("sifilma-status", SIGNING_PLAN, assert_no_transaction)
    with closing(World(sqlite_url, tmp_path / "home", token, root_token)) as world:
        transparency_log.sequence(world)
        visitor = Visitor(world)
        with softhsm.away():
            assert states(visitor) == ["Berfungsi", "Tidak tersedia", *ALL_WORK[2:]]
            assert "Sebagian layanan sedang tidak tersedia." in visitor.seen
            assert "tidak ada token yang terpakai" in visitor.seen
        # away until the library has restarted and the breaker lets a call through
        until = time.monotonic() + 20
        while states(visitor)[1] != "Berfungsi" and time.monotonic() < until:
            time.sleep(0.3)
        assert states(visitor)[1] == "Berfungsi"


def test_a_frozen_database_delays_the_status_only_briefly(postgresql_world: World, pg_cluster: Cluster) -> None:
    transparency_log.sequence(postgresql_world)
    visitor = Visitor(postgresql_world)
    signed_in = Visitor(postgresql_world, "magetan.kepala")
    assert states(visitor) == ALL_WORK
    with pg_cluster.frozen():
        for reader in (visitor, visitor, visitor, signed_in):
            # The clock comes last: where its look at the database ends in time, what the process knows itself is told.
            assert states(reader)[:6] == ["Tidak tersedia", "Berfungsi", "Tidak tersedia", *["Berfungsi"] * 2, "Tidak tersedia"]
        assert "Masuk dan semua pekerjaan menunggu" in visitor.seen
    # away until the broken connections of the pool are replaced
    until = time.monotonic() + 15
    while states(visitor)[0] != "Berfungsi" and time.monotonic() < until:
        time.sleep(0.2)
    while states(visitor) != ALL_WORK and time.monotonic() < until:
        time.sleep(0.2)
    assert states(visitor) == ALL_WORK


def states(visitor: Visitor) -> list[str]:
    """Return the states of the parts in the page's order; the page must answer within SOON seconds."""
    started = time.monotonic()
    response = visitor.get("/status")
    assert time.monotonic() - started < SOON
    assert response.status_code == 200
    found = re.findall(r'badge-state \w+">.*?</svg>(.*?)</span>', response.get_data(as_text=True), re.DOTALL)
    return [word.strip() for word in found]
