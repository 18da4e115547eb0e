"""The pages for activation: requests, tokens, the form, the data of its map, and the manifest's file."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from werkzeug.test import TestResponse

from sifilma.activation.requests import views
from sifilma.kernel.db import db
from tests.activation.conftest import verified
from tests.audit.row_changes import past_the_triggers
from tests.support.counting import counted
from tests.support.visitor import Visitor, english, goes_to, words
from tests.support.world import BANGLI_PLACE, MAGETAN_PLACE, Ready, World, done, letter

OFFICE = "magetan.kepala"
PLACE = {"source": "map", "address": "Kantor Dinas", "province": "35", "regency": "35.20", "district": "35.20.06"}


def asked(visitor: Visitor, cards: list[str], **more: Any) -> TestResponse:
    """Send the form of a request; return the answer."""
    fields = {"kind": "new", "letter_number": "400.8.1.2/1/Dukcapil", "letter_date": "2026-11-02", "subject": "Aktivasi", "cards": cards}
    return visitor.send("/aktivasi/baru", letter=(io.BytesIO(letter()), "surat.pdf"), **fields | more)


def typed(ready: Ready, uid: str, **more: Any) -> dict[str, Any]:
    """Return the fields of the activation form, filled in."""
    fields = {"sam_uid": uid, "token": ready.tokens[uid], "hardware_number": ready.hardware[uid]}
    return fields | {name: str(value) for name, value in MAGETAN_PLACE.items()} | PLACE | more


def test_the_pages_lead_a_request_from_draft_to_tokens(world: World) -> None:
    uids, office = world.received(count=2), Visitor(world, OFFICE)
    assert all(uid in office.get("/aktivasi/baru").get_data(as_text=True) for uid in uids)
    address = goes_to(asked(office, uids))
    goes_to(office.send(f"{address}/ajukan"))
    operator = Visitor(world, "operator1")
    goes_to(operator.send(f"{address}/verifikasi", note="Sesuai"))
    for name in ("penyetuju1", "penyetuju2"):
        approver = Visitor(world, name)
        page = approver.get(address).get_data(as_text=True)
        digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', page)[0]
        goes_to(approver.send(f"{address}/setujui", digest=digest, note=""))
    assert "Arif Contoh" in office.text(address)
    shown = office.send(f"{address}/token")
    assert shown.headers["Cache-Control"] == "no-store"
    tokens = re.findall(r'class="token-text" id="token-(\w+)">(\w{10})<', shown.get_data(as_text=True))
    assert sorted(uid for uid, _ in tokens) == sorted(uids)
    anew = office.send(f"{address}/token/{uids[0]}").get_data(as_text=True)
    assert dict(tokens)[uids[0]] not in anew
    assert len(re.findall(r'class="token-text"', anew)) == 1


def test_the_page_of_a_request_shows_its_cards_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST_SHOWN", 2)
    uids, office = world.received(count=5), english(world, OFFICE)
    page = f"/aktivasi/{world.requested(OFFICE, uids)['id']}"
    seen, told = list[str](), list[str]()
    for cursor in ("", "2", "4"):
        html = office.get(page, cursor=cursor).get_data(as_text=True).partition('id="cards"')[2]
        seen += [uid.replace(" ", "") for uid in re.findall(r'class="uid">([^<]+)<', html)]
        told += re.findall(r"Cards \d to \d of 5", html)
        assert (f'cursor={int(cursor or 0) + 2}#cards"' in html) == (cursor != "4"), cursor
    assert (seen, told) == (uids, ["Cards 1 to 2 of 5", "Cards 3 to 4 of 5", "Cards 5 to 5 of 5"])
    assert "Behind the last of 5 cards" in office.text(page, cursor="9" * 30)
    assert "Cards 1 to 2 of 5" in office.text(page, cursor="x")


def test_chosen_cards_stay_chosen_when_another_field_is_wrong(sqlite_world: World) -> None:
    uids, office = sqlite_world.received(count=2), Visitor(sqlite_world, OFFICE)
    page = asked(office, [uids[1]], letter_date="", subject="Pengaktifan")
    html = page.get_data(as_text=True)
    assert page.status_code == 422
    assert f'value="{uids[1]}" checked' in html
    assert f'value="{uids[0]}" checked' not in html
    assert "Pengaktifan" in html


def test_a_returned_request_is_edited_and_keeps_its_letter(sqlite_world: World) -> None:
    uids, office = sqlite_world.received(count=2), Visitor(sqlite_world, OFFICE)
    address = goes_to(asked(office, uids))
    goes_to(office.send(f"{address}/ajukan"))
    assert Visitor(sqlite_world, "operator1").send(f"{address}/kembalikan", note="").status_code == 422
    goes_to(Visitor(sqlite_world, "operator1").send(f"{address}/kembalikan", note="satu kartu saja"))
    form = office.get(f"{address}/ubah").get_data(as_text=True)
    assert form.count(" checked") == 2
    fields = {"kind": "new", "letter_number": "400.8.1.2/2/Dukcapil", "letter_date": "2026-11-02", "subject": "Aktivasi"}
    assert goes_to(office.send(f"{address}/ubah", cards=uids[:1], **fields)) == address
    shown = done(sqlite_world.client(OFFICE).get(f"/activation-requests/{address.rpartition('/')[2]}"))
    assert (shown["cards"], shown["letter_number"]) == (uids[:1], "400.8.1.2/2/Dukcapil")
    assert shown["files"]["letter"]
    goes_to(office.send(f"{address}/ajukan"))
    assert goes_to(office.send(f"{address}/batalkan")) == address


def test_an_approver_sees_the_content_and_another_digest_is_refused(sqlite_world: World) -> None:
    request = sqlite_world.requested(OFFICE, sqlite_world.received())["id"]
    approver, address = Visitor(sqlite_world, "penyetuju1"), f"/aktivasi/{request}"
    assert approver.get(f"{address}/surat").get_data().startswith(b"%PDF-")
    assert approver.send(f"{address}/setujui", digest="0" * 64).status_code == 409
    stale = Visitor(sqlite_world, "penyetuju1", fresh=False)
    assert 'name="otp_code"' in stale.get(address).get_data(as_text=True)
    assert stale.send(f"{address}/setujui", digest="0" * 64).status_code == 403
    assert Visitor(sqlite_world, OFFICE).send(f"{address}/setujui", digest="0" * 64).status_code == 403
    goes_to(approver.send(f"{address}/tolak", note="surat tidak sesuai"))
    assert Visitor(sqlite_world, "bangli.kepala").get(address).status_code == 404


def test_only_a_request_that_waits_is_called_not_yet_verified(sqlite_world: World) -> None:
    request = sqlite_world.requested(OFFICE, sqlite_world.received())["id"]
    reader = Visitor(sqlite_world, "penyetuju1", language="en")
    assert "Verified Not yet" in reader.text(f"/aktivasi/{request}")
    for approver in ("penyetuju1", "penyetuju2"):
        sqlite_world.approve("activation-requests", request, approver)
    assert "Verified Not yet" not in reader.text(f"/aktivasi/{request}")


def test_tokens_are_shown_to_their_organisation_with_a_fresh_code_and_not_in_urls(sqlite_world: World) -> None:
    ready = sqlite_world.ready()
    address = f"/aktivasi/{ready.request}/token"
    assert Visitor(sqlite_world, OFFICE).get(address).status_code == 405
    assert Visitor(sqlite_world, OFFICE, fresh=False).send(address).status_code == 403
    assert Visitor(sqlite_world, "operator1").send(address).status_code == 403
    assert Visitor(sqlite_world, "bangli.kepala").send(address).status_code == 404
    stale = Visitor(sqlite_world, "magetan.staf", fresh=False)
    shown = stale.send(address, otp_code=sqlite_world.code("magetan.staf")).get_data(as_text=True)
    token = ready.tokens[ready.uids[0]]
    assert token in shown
    assert not [found for found in re.findall(r'(?:href|action)="([^"]*)"', shown) if token in found]


def test_the_form_activates_a_card_and_offers_a_valid_file(world: World) -> None:
    ready, office = world.ready(), Visitor(world, OFFICE)
    form = typed(ready, ready.uids[0], latitude="-7,6536", longitude="111,3280")
    address = goes_to(office.send("/aktivasi/kartu", **form))
    page = office.text(address)
    assert "Kabupaten Magetan" in page
    file = office.send(f"{address}/unduh")
    assert (file.status_code, file.content_type) == (200, "application/jose")
    assert file.headers["Content-Disposition"].startswith("attachment;")
    manifest = verified(world, file.get_data())
    assert (manifest.sub, manifest.loc.lat_e7, manifest.loc.src) == (ready.uids[0], -76536000, "map")
    assert Visitor(world, "operator1").send(f"{address}/unduh").status_code == 403
    assert "/unduh" not in Visitor(world, "operator1").get(address).get_data(as_text=True)


def test_a_wrong_token_shows_the_remaining_tries_and_keeps_the_input(sqlite_world: World) -> None:
    ready, office = sqlite_world.ready(), Visitor(sqlite_world, OFFICE)
    page = office.send("/aktivasi/kartu", **typed(ready, ready.uids[0], token="salahsalah", address="Jalan Merdeka 1"))
    html = page.get_data(as_text=True)
    assert page.status_code == 422
    assert "4" in words(page, 422).partition("Token")[2][:200]
    assert "Jalan Merdeka 1" in html
    assert f'value="{ready.hardware[ready.uids[0]]}" selected' in html
    assert 'value="35.20.06.1014" selected' in html


def test_an_unknown_card_is_reported_at_its_field(sqlite_world: World) -> None:
    ready, office = sqlite_world.ready(), Visitor(sqlite_world, OFFICE)
    page = office.send("/aktivasi/kartu", **typed(ready, ready.uids[0], sam_uid="30154B0199999999"))
    assert page.status_code == 422
    assert 'href="#f-sam_uid"' in page.get_data(as_text=True)


@pytest.mark.parametrize(("latitude", "longitude"), [("0", "0"), ("1.3521", "103.8198"), ("-33.9", "151.2")])
def test_missing_places_and_places_abroad_are_refused_with_a_reason(sqlite_world: World, latitude: str, longitude: str) -> None:
    office = Visitor(sqlite_world, OFFICE)
    seen = office.get("/aktivasi/kartu/tempat", latitude=latitude, longitude=longitude, ikuti="1").get_data(as_text=True)
    assert 'class="note bad"' in seen
    assert 'data-outcome=""' in seen


def test_the_selects_follow_the_position_and_remain_changeable(sqlite_world: World) -> None:
    office = Visitor(sqlite_world, OFFICE)
    at = {name: str(MAGETAN_PLACE[name]) for name in ("latitude", "longitude")}
    followed = office.get("/aktivasi/kartu/tempat", ikuti="1", province="51", **at).get_data(as_text=True)
    assert 'data-outcome="PASS"' in followed
    assert 'data-regency="35.20"' in followed
    chosen = office.get("/aktivasi/kartu/tempat", province="51", regency="35.20", region_code="35.20.06.1014", **at).get_data(as_text=True)
    assert 'value="51" selected' in chosen
    assert "35.20" not in chosen  # the regency was chosen for another province
    far = dict(
        zip(("province", "regency", "district", "region_code"), ("51", "51.06", "51.06.02", str(BANGLI_PLACE["region_code"])), strict=True)
    )
    assert 'data-outcome="FAIL"' in office.get("/aktivasi/kartu/tempat", **far, **at).get_data(as_text=True)


def test_the_form_works_step_by_step_without_javascript(sqlite_world: World) -> None:
    ready, office = sqlite_world.ready(), Visitor(sqlite_world, OFFICE)
    uid = ready.uids[0]
    first = office.send("/aktivasi/kartu/isi", sam_uid=uid, token=ready.tokens[uid], province="51").get_data(as_text=True)
    assert ready.tokens[uid] in first
    assert 'value="51.06"' in first
    assert 'value="51.06.02"' not in first
    second = office.send("/aktivasi/kartu/isi", sam_uid=uid, province="51", regency="51.06").get_data(as_text=True)
    assert 'value="51.06.02"' in second
    proposed = office.send("/aktivasi/kartu/isi", sam_uid=uid, latitude="-7.6536", longitude="111.3280").get_data(as_text=True)
    assert 'data-outcome="PASS"' in proposed


def test_a_doubtful_place_needs_a_reason_and_waits_for_a_review(sqlite_world: World) -> None:
    ready, office = sqlite_world.ready(), Visitor(sqlite_world, OFFICE)
    form = typed(ready, ready.uids[0], latitude="-6.2265", longitude="106.8090")
    page = office.send("/aktivasi/kartu", **form)
    assert page.status_code == 422
    assert '<div id="alasan">' in page.get_data(as_text=True)
    address = goes_to(office.send("/aktivasi/kartu", **form, reason="Pameran di Jakarta"))
    assert "Pameran di Jakarta" in Visitor(sqlite_world, "operator1").text(address)
    listed = Visitor(sqlite_world, "operator1").get("/aktivasi/riwayat", review="waiting").get_data(as_text=True)
    assert address in listed
    assert address not in office.get("/aktivasi/riwayat", review="accepted").get_data(as_text=True)


def test_the_form_offers_only_the_machine_of_a_tied_card(sqlite_world: World) -> None:
    ready, _ = sqlite_world.active()
    sqlite_world.units(OFFICE, 2)
    shown = Visitor(sqlite_world, OFFICE).get("/aktivasi/kartu/mesin", sam_uid=ready.uids[0]).get_data(as_text=True)
    assert re.findall(r'<option value="([^"]+)"', shown) == [ready.hardware[ready.uids[0]]]
    free = Visitor(sqlite_world, OFFICE).get("/aktivasi/kartu/mesin").get_data(as_text=True)
    assert ready.hardware[ready.uids[0]] not in free
    assert len(re.findall(r'<option value="HW-', free)) == 2


def test_the_statements_of_a_page_do_not_grow_with_the_cards(sqlite_world: World) -> None:
    world, office = sqlite_world, Visitor(sqlite_world, OFFICE)
    ready, answers = world.active(count=3)
    with world.app.app_context():
        engine = db.engine
    pages = {
        "/aktivasi": 8,
        f"/aktivasi/{ready.request}": 14,
        "/aktivasi/baru": 8,
        "/aktivasi/kartu": 9,
        "/aktivasi/riwayat": 11,
        f"/aktivasi/riwayat/{answers[0]['id']}": 11,
    }
    for path, most in pages.items():
        with counted(engine) as cost:
            office.text(path)
        assert len(cost.statements) <= most, (path, len(cost.statements), cost.statements)


def test_lists_are_filtered_and_exported(sqlite_world: World) -> None:
    ready, _ = sqlite_world.active()
    office = Visitor(sqlite_world, OFFICE)
    number = done(sqlite_world.client(OFFICE).get(f"/activation-requests/{ready.request}"))["letter_number"]
    assert number in office.text("/aktivasi", letter=number[4:9], state="completed")
    assert number not in office.text("/aktivasi", state="draft")
    assert number in office.get("/aktivasi", unduh="csv").get_data(as_text=True)
    assert ready.uids[0] in office.get("/aktivasi/riwayat", unduh="csv", uid=ready.uids[0].lower()).get_data(as_text=True)
    assert ready.uids[0] not in Visitor(sqlite_world, "bangli.kepala").get("/aktivasi/riwayat", unduh="csv").get_data(as_text=True)


def test_a_pasted_link_is_the_position_with_and_without_a_script(world: World) -> None:
    ready, office = world.ready(), Visitor(world, OFFICE)
    link = "https://www.google.com/maps/place/Kantor/@-7.1,111.9,17z/data=!8m2!3d-7.6536!4d111.328"
    asked_ = office.get("/aktivasi/kartu/tempat", pasted=link, ikuti="1").get_data(as_text=True)
    assert 'data-latitude="-7.6536000" data-longitude="111.3280000" data-at="[-7.6536, 111.328]"' in asked_
    assert 'data-outcome="PASS"' in asked_
    filled = office.send("/aktivasi/kartu/isi", address="Kantor", regency="51.06", pasted=link).get_data(as_text=True)
    assert 'value="-7.6536000"' in filled
    assert 'data-outcome="PASS"' in filled
    address = goes_to(office.send("/aktivasi/kartu", **typed(ready, ready.uids[0], latitude="", longitude="", source="", pasted=link)))
    shown = done(world.client(OFFICE).get(f"/activations/{address.partition('?')[0].rpartition('/')[2]}"))
    assert (shown["latitude"], shown["longitude"], shown["source"]) == (-7.6536, 111.328, "typed")


def test_a_short_link_is_refused_in_words_beside_the_other_errors(sqlite_world: World) -> None:
    ready, office = sqlite_world.ready(), Visitor(sqlite_world, OFFICE)
    form = typed(ready, ready.uids[0], latitude="", longitude="", address="", pasted="https://maps.app.goo.gl/Ab1")
    page = office.send("/aktivasi/kartu", **form)
    html = page.get_data(as_text=True)
    assert page.status_code == 422
    assert re.findall(r'<small class="wrong" id="e-(\w+)"', html) == ["pasted", "address"]
    assert "Tautan pendek" in html
    assert 'value="https://maps.app.goo.gl/Ab1"' in html


def test_degrees_and_minutes_are_typed_and_what_is_no_number_is_told_in_words(sqlite_world: World) -> None:
    ready, office = sqlite_world.ready(), Visitor(sqlite_world, OFFICE)
    form = typed(ready, ready.uids[0], latitude="tujuh", longitude="111°19'40,8\" BT")
    assert "Lintang harus berupa angka" in office.send("/aktivasi/kartu", **form).get_data(as_text=True)
    goes_to(office.send("/aktivasi/kartu", **form | {"latitude": "7°39'12,96\" LS"}))


def test_a_place_outside_the_region_of_the_office_is_told_before_saving_and_needs_a_reason(world: World) -> None:
    ready, office = world.ready(), Visitor(world, OFFICE)
    code = str(BANGLI_PLACE["region_code"])
    at = {name: str(BANGLI_PLACE[name]) for name in ("latitude", "longitude")}
    away = {"province": code[:2], "regency": code[:5], "district": code[:8], "region_code": code} | at
    looked = office.get("/aktivasi/kartu/tempat", **away).get_data(as_text=True)
    assert 'data-outcome="PASS"' in looked
    assert "di luar wilayah dinas Anda" in looked
    assert "check-circle" not in looked
    page = office.send("/aktivasi/kartu", **typed(ready, ready.uids[0], **away))
    html = page.get_data(as_text=True)
    assert page.status_code == 422
    assert '<div id="alasan">' in html
    assert re.search(r'name="reason"[^>]* required', html)
    goes_to(office.send("/aktivasi/kartu", **typed(ready, ready.uids[0], **away, reason="Layanan keliling")))
    other = world.ready(who="bangli.kepala", function="R")
    told = done(world.client("bangli.kepala").post("/activations", world.activation(other, other.uids[0])), 201)
    assert told["warnings"] == ["The place lies outside the region of your office."]


def test_a_new_form_begins_with_address_and_region_of_the_office(sqlite_world: World) -> None:
    past_the_triggers(sqlite_world, "UPDATE organisation SET address = 'Jalan Contoh 1' WHERE region_code = '35.20'")
    office = Visitor(sqlite_world, OFFICE)
    for page in (office.get("/aktivasi/kartu"), office.send("/aktivasi/kartu/isi", sam_uid="04")):
        html = page.get_data(as_text=True)
        assert "Jalan Contoh 1</textarea>" in html
        assert '<option value="35.20" selected>' in html
        assert 'value="35.20.06"' in html
        assert html.index('id="lokasi"') < html.index('name="latitude"')  # the button stands above what it fills
