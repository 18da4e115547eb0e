"""Nothing typed is lost: forms and files through errors, codes, ended sessions, other tabs and the button Back."""

from __future__ import annotations

import io
from functools import partial
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from sifilma.kernel.sealing import open_sealed
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import Visitor, goes_to, landed, value_of
from tests.support.world import PASSWORD, World, letter

HEAD, PATH = "magetan.kepala", "/personalisasi/baru"
TYPED = {
    "letter_number": "470/77/Dukcapil",
    "letter_date": "2026-11-01",
    "subject": "Kartu untuk loket kecamatan",
    "function": "RW",
    "quantity": "7",
    "notes": "Ruang “Pelayanan”\nlantai <2>",
}
KEPT = ("kept_form", "kept_file", "sent_form")


def pdf() -> tuple[io.BytesIO, str]:
    return io.BytesIO(letter()), "surat permohonan.pdf"


def counts(world: World) -> list[int]:
    """Return how many forms, files and notes of sent forms there are."""
    return [int(world.sql(f"SELECT COUNT(*) FROM {table}")[0][0]) for table in KEPT]


class _Form(HTMLParser):
    """What a browser would send of the form with this action that has an id of its own."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action, self.open, self.area, self.select = action, False, "", ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.open = of.get("action", "") == self.action
        if not self.open:
            return
        name, kind = of.get("name", ""), of.get("type", "text")
        if tag == "input" and name and kind != "file" and (kind not in ("checkbox", "radio") or "checked" in of):
            self.fields[name] = of.get("value", "")
        elif tag == "textarea":
            self.area, self.fields[name] = name, ""
        elif tag == "select":
            self.select = name
        elif tag == "option" and "selected" in of:
            self.fields[self.select] = of["value"]

    def handle_endtag(self, tag: str) -> None:
        self.area = "" if tag == "textarea" else self.area
        self.open = self.open and tag != "form"

    def handle_data(self, data: str) -> None:
        if self.area:
            self.fields[self.area] += data


def fields(page: TestResponse, action: str = "") -> dict[str, Any]:
    """Return what a browser sends of a form of the page."""
    read = _Form(action)
    read.feed(page.get_data(as_text=True).partition("<main")[2])
    return read.fields


def end_sessions(world: World) -> None:
    world.sql("UPDATE login_session SET ended_at = last_seen_at, seal = NULL WHERE ended_at IS NULL")


def signed_in_again(world: World, visitor: Visitor, username: str = HEAD) -> str:
    """Sign in on the pages with password and code. Return the address to which that leads."""
    assert visitor.client.post("/masuk", data={"username": username, "password": PASSWORD}).status_code == 303
    answer = visitor.client.post("/masuk/kode", data={"code": world.code(username)})
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return str(answer.location)


def test_a_form_sent_after_its_session_ended_stands_as_it_was_left_and_can_be_sent(world: World) -> None:
    visitor = Visitor(world, HEAD)
    end_sessions(world)
    answer = visitor.send(PATH, **TYPED, letter=pdf(), otp_code="123456")
    assert (answer.status_code, answer.location) == (303, "/masuk")
    sealed = bytes(world.sql("SELECT sealed FROM kept_form")[0][0])
    assert b"Dukcapil" not in sealed
    assert [letter()[:40] in bytes(data) for (data,) in world.sql("SELECT data FROM stored_part")] == [False]

    way = signed_in_again(world, visitor)
    assert way.startswith(f"{PATH}?lanjut=")
    stranger = Visitor(world, "magetan.staf").get(way)
    assert stranger.status_code == 200
    assert "470/77" not in stranger.get_data(as_text=True)
    assert world.sql("SELECT COUNT(*) FROM personalisation_request") == [(0,)]

    page = visitor.get(way)
    assert "seperti saat ditinggalkan" in visitor.seen
    assert "surat permohonan.pdf" in visitor.seen
    again = fields(page)
    assert {name: again[name] for name in TYPED} == TYPED
    visitor.csrf = again.pop("csrf_token")
    goes_to(visitor.send(PATH, **again))
    stored = "SELECT r.letter_number, r.quantity, r.notes, d.filename, d.size FROM personalisation_request r"
    [row] = world.sql(f"{stored} JOIN document d ON d.id = r.letter_document_id")
    assert tuple(row) == (TYPED["letter_number"], 7, TYPED["notes"], "surat permohonan.pdf", len(letter()))
    assert counts(world) == [0, 0, 1]


def test_a_token_of_a_former_session_loses_nothing_and_does_nothing(world: World) -> None:
    former, now = Visitor(world, HEAD), Visitor(world, HEAD)
    token, now.csrf = now.csrf, former.csrf
    way = landed(now.send(PATH, **TYPED, letter=pdf()))
    assert way.startswith(f"{PATH}?lanjut=")
    assert world.sql("SELECT COUNT(*) FROM personalisation_request") == [(0,)]
    assert value_of(now.get(way), "letter_number") == TYPED["letter_number"]
    for foreign in (Visitor(world, "magetan.staf").csrf, "planted", ""):
        now.csrf = foreign
        assert now.send(PATH, **TYPED, letter=pdf()).status_code == 403
    unknown = Visitor(world)
    unknown.csrf = "planted"
    assert unknown.send(PATH, **TYPED, letter=pdf()).location == "/masuk"
    world.clock.advance(days=8)
    assert Visitor(world).client.post(PATH, data=TYPED | {"csrf_token": former.csrf}, headers={"Accept": "text/html"}).status_code == 303
    assert counts(world) == [1, 1, 0]
    now.csrf = token


def test_no_form_keeps_a_secret(sqlite_world: World) -> None:
    """Send every form of every page after its session has ended, with a field of each name that may hold a secret."""
    world, marker = sqlite_world, "rahasia-sekali"
    secrets = ("password", "current", "repeat", "token", "otp_code", "code", "recovery_code", "puk", "pin", "client_secret", "credential")
    visitor = Visitor(world, HEAD)
    end_sessions(world)
    sent = dict.fromkeys(secrets, marker) | {"note": "catatan", "public_jwk": f'{{"kty": "EC", "d": "{marker}"}}'}
    rules = [rule for rule in world.app.url_map.iter_rules() if "POST" in (rule.methods or ()) and not rule.rule.startswith("/api/")]
    found = {}
    for rule in rules:
        values = {name: UUID(int=0) if f"uuid:{name}" in rule.rule else 1 for name in rule.arguments}
        path = world.app.url_map.bind("").build(rule.endpoint, values, method="POST")
        visitor.send(path, **sent)
        for key, sealed in world.sql("SELECT id, sealed FROM kept_form"):
            found[path] = open_sealed(world.settings, "kept form", UUID(str(key)), bytes(sealed))
        world.sql("DELETE FROM kept_form")
    assert len(found) > 40
    assert all(marker.encode() not in plain and b"catatan" in plain for plain in found.values())


def test_a_form_with_errors_keeps_the_files_that_were_not_refused(world: World) -> None:
    visitor = Visitor(world, HEAD)
    page = visitor.send(PATH, **TYPED | {"quantity": ""}, letter=pdf())
    assert page.status_code == 422
    assert "surat permohonan.pdf" in visitor.seen
    again = fields(page) | {"quantity": "7"}
    stranger = Visitor(world, "bangli.kepala")
    assert stranger.send(PATH, **again | {"csrf_token": stranger.csrf}).status_code == 422
    assert "surat permohonan.pdf" not in stranger.seen
    unticked = {name: value for name, value in again.items() if name != "kept.letter"}
    page = visitor.send(PATH, **unticked)
    assert page.status_code == 422
    wrong = visitor.send(PATH, **unticked, letter=(io.BytesIO(b"<html>"), "surat.html"))
    assert wrong.status_code == 422
    assert "kept.letter" not in fields(wrong)
    goes_to(visitor.send(PATH, **again))
    assert counts(world) == [0, 0, 1]


def test_a_form_saves_itself_and_is_offered_again_until_it_is_sent(world: World) -> None:
    visitor = Visitor(world, HEAD)
    draft = {"kept_page": PATH, "kept_action": PATH} | TYPED
    first = visitor.send("/isian", **draft, otp_code="123456").json
    assert first
    assert first["at"] == "10.00"
    assert (visitor.get(PATH).status_code, "Lanjutkan isian" in visitor.seen) == (200, True)
    way = f"{PATH}?lanjut={first['saved'].partition('.')[0]}"
    one, other = fields(visitor.get(way)), fields(visitor.get(way))
    assert one["letter_number"] == TYPED["letter_number"]

    newer = visitor.send("/isian", **draft | {"notes": "tab kedua", "kept_form": other["kept_form"]})
    assert newer.status_code == 200
    assert visitor.send("/isian", **draft | {"notes": "tab pertama", "kept_form": one["kept_form"]}).status_code == 409
    assert fields(visitor.get(way))["notes"] == "tab kedua"

    goes_to(visitor.send(PATH, **one, letter=pdf()))  # the older tab: what the newer one saved stays
    assert counts(world) == [1, 0, 1]
    goes_to(visitor.send(PATH, **fields(visitor.get(way)) | {"letter_number": "470/78/Dukcapil"}, letter=pdf()))
    assert counts(world) == [0, 0, 2]
    assert "Lanjutkan isian" not in visitor.text(PATH)


def test_a_form_that_saved_itself_can_be_thrown_away_by_its_owner_alone(sqlite_world: World) -> None:
    visitor, stranger = Visitor(sqlite_world, HEAD), Visitor(sqlite_world, "magetan.staf")
    saved = visitor.send("/isian", kept_page=f"{PATH}?pembeli=x", kept_action=PATH, subject="S").json
    assert saved
    form_id = saved["saved"].partition(".")[0]
    assert stranger.send(f"/isian/{form_id}/buang").status_code == 404
    assert stranger.send("/isian", kept_page=PATH, kept_action=PATH, subject="T", kept_form=saved["saved"]).status_code == 200
    assert counts(sqlite_world) == [2, 0, 0]
    assert visitor.send(f"/isian/{form_id}/buang").location == PATH
    assert counts(sqlite_world) == [1, 0, 0]
    for page in ("//contoh.example", "https://contoh.example/", "/tidak/ada", "/"):
        assert visitor.send("/isian", kept_page=page, kept_action=PATH).status_code == 422


def test_the_same_form_sent_twice_is_one_act_and_another_content_is_another(world: World) -> None:
    visitor = Visitor(world, HEAD)
    form = fields(visitor.get("/unit/daftar")) | {"hardware_number": "HW-1", "model": "LEN-ENC-1", "function": "RW"}
    first = goes_to(visitor.send("/unit/daftar", **form))
    assert landed(visitor.send("/unit/daftar", **form)) == f"{first}?selesai=sent_before"
    assert "untuk kedua kalinya" in visitor.text(f"{first}?selesai=sent_before")
    second = goes_to(visitor.send("/unit/daftar", **form | {"hardware_number": "HW-2"}))
    assert second != first
    assert world.sql("SELECT COUNT(*) FROM unit") == [(2,)]
    stranger = Visitor(world, "bangli.kepala")
    assert goes_to(stranger.send("/unit/daftar", **form | {"csrf_token": stranger.csrf, "hardware_number": "HW-3"})) != first


def test_the_same_form_sent_twice_at_once_is_one_act(world: World) -> None:
    visitors = [Visitor(world, HEAD) for _ in range(3)]
    form = {"form_id": str(UUID(int=7)), "hardware_number": "HW-1", "model": "LEN-ENC-1", "function": "RW"}
    answers = run_simultaneously([partial(one.send, "/unit/daftar", **form) for one in visitors])
    assert {answer.status_code for answer in answers} <= {303, 422}  # who comes last is led to the unit, or told that it is there
    assert world.sql("SELECT COUNT(*) FROM unit") == [(1,)]
    assert world.sql("SELECT COUNT(*) FROM sent_form") == [(1,)]


def test_of_two_tabs_that_change_one_request_the_second_is_shown_what_differs(world: World) -> None:
    visitor = Visitor(world, HEAD)
    made = goes_to(visitor.send(PATH, **TYPED, letter=pdf()))
    one, other = (fields(visitor.get(f"{made}/ubah")) for _ in range(2))
    goes_to(visitor.send(f"{made}/ubah", **one | {"subject": "Dari tab pertama"}))
    page = visitor.send(f"{made}/ubah", **other | {"subject": "Dari tab kedua", "notes": "baru"}, letter=pdf())
    assert page.status_code == 409
    assert "Dari tab pertama" in visitor.seen
    again = fields(page)
    assert (again["subject"], again["notes"], "kept.letter" in again) == ("Dari tab kedua", "baru", True)
    assert world.sql("SELECT subject FROM personalisation_request") == [("Dari tab pertama",)]
    goes_to(visitor.send(f"{made}/ubah", **again))
    assert world.sql("SELECT subject FROM personalisation_request") == [("Dari tab kedua",)]
