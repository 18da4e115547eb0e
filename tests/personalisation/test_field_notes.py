"""Notes on fields: they belong to the step that returns a request and are shown beside the field in the form."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from tests.support.visitor import Visitor
from tests.support.world import World, done

KINDS = {"/personalisasi": "personalisation-requests", "/aktivasi": "activation-requests"}
REMARKS = {"letter_number": "Nomor pada surat 471, bukan 470.", "letter": "Halaman dua tidak terbaca."}


def submitted(world: World, path: str) -> Any:
    return world.submitted() if path == "/personalisasi" else world.requested("magetan.kepala", world.received())


@pytest.mark.parametrize("path", KINDS)
def test_notes_are_shown_beside_the_fields_and_in_the_time_line(world: World, path: str) -> None:
    asked = submitted(world, path)
    address, operator = f"{path}/{asked['id']}", Visitor(world, "operator1")
    assert 'name="fields.letter_number"' in operator.get(address).get_data(as_text=True)
    sent = {f"fields.{name}": note for name, note in REMARKS.items()}
    assert operator.send(f"{address}/kembalikan", **sent).status_code == 303
    head = Visitor(world, "magetan.kepala")
    assert 'name="fields.' not in head.get(address).get_data(as_text=True)
    assert all(note in head.seen for note in REMARKS.values())
    form = head.get(f"{address}/ubah").get_data(as_text=True)
    assert 'aria-describedby="' in form.split('name="letter_number"')[1].split(">")[0]
    assert REMARKS["letter_number"] in form.split('id="n-letter_number"')[1].split("</div>")[0]
    step = done(world.client("magetan.kepala").get(f"/{KINDS[path]}/{asked['id']}"))["history"][-1]
    assert (step["to_state"], step["note"], step["fields"]) == ("returned", "", REMARKS)
    [(data,)] = world.sql("SELECT data FROM audit_entry WHERE action LIKE '%.return'")
    assert all(note in str(data) for note in REMARKS.values())
    done(world.client("magetan.kepala").post(f"/{KINDS[path]}/{asked['id']}/submit"))
    second = {"note": "Masih salah.", "fields": {"subject": "Perihal kosong."}}
    done(world.client("operator1").post(f"/{KINDS[path]}/{asked['id']}/return", second))
    head.get(address)
    assert "Perihal kosong." in head.seen
    assert REMARKS["letter"] in head.seen  # the notes of the first return are still shown
    assert 'id="n-letter_number"' not in head.get(f"{address}/ubah").get_data(as_text=True)


@pytest.mark.parametrize("path", KINDS)
def test_a_note_on_an_unknown_field_and_a_return_without_a_note_are_refused(sqlite_world: World, path: str) -> None:
    asked = submitted(sqlite_world, path)
    operator = sqlite_world.client("operator1")
    for body in (
        {"note": "ada", "fields": {"nomor": "salah"}},
        {"note": "ada", "fields": {"subject": "x" * 501}},
        {"fields": {"subject": " "}},
        {},
    ):
        assert operator.post(f"/{KINDS[path]}/{asked['id']}/return", body).status_code == 422, body
    assert operator.get(f"/{KINDS[path]}/{asked['id']}").json["state"] == "submitted"


def test_an_approval_with_unsent_notes_is_refused(sqlite_world: World) -> None:
    asked = sqlite_world.submitted(function="R")
    approver = Visitor(sqlite_world, "penyetuju1")
    answer = approver.send(f"/personalisasi/{asked['id']}/setujui", digest=asked["digest"], **{"fields.subject": "Perihal kosong."})
    assert answer.status_code == 409
    assert "Perihal kosong." in approver.seen
    assert sqlite_world.sql("SELECT COUNT(*) FROM personalisation_approval") == [(0,)]


def test_the_database_accepts_a_note_only_with_a_return_and_keeps_it(world: World) -> None:
    asked = world.submitted()
    row = "INSERT INTO field_note (id, act_id, field, note) SELECT :id, act_id, 'subject', 'x' FROM personalisation_request"
    with pytest.raises(DBAPIError, match="goes with a step that returned"):
        world.sql(row, id="0" * 31 + "1")
    done(world.client("operator1").post(f"/personalisation-requests/{asked['id']}/return", {"fields": {"subject": "Perihal kosong."}}))
    for change in ("UPDATE field_note SET note = 'x'", "DELETE FROM field_note"):
        with pytest.raises(DBAPIError):
            world.sql(change)
