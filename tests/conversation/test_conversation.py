"""Conversations: both sides read and write, nobody else does, and what was sent stays as it was sent."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.demo.sample_files import photo
from tests.reports.test_reminders import mailed, reachable
from tests.support.visitor import Visitor, goes_to
from tests.support.world import Client, World, done, letter

OFFICE, OPERATOR = "magetan.kepala", "operator1"


def sent(client: Client, path: str, body: str, *files: bytes) -> Any:
    """Send a message with attachments over the API."""
    return client.send(path, {"body": body}, part="message", attachments=list(files))


def test_both_sides_read_what_each_wrote_with_its_attachments(world: World) -> None:
    reachable(world)
    path = f"/personalisation-requests/{world.submitted()['id']}/messages"
    office, operator = world.client(OFFICE), world.client(OPERATOR)
    pdf, picture = letter(), photo(8, 8)[1]
    asked = done(sent(operator, path, "Mohon lampirkan\nSK.  e\u0301"), 201)
    assert asked["body"] == "Mohon lampirkan\nSK.  \u00e9"
    given = done(sent(office, path, "Terlampir.", pdf, picture), 201)
    assert [one["media_type"] for one in given["attachments"]] == ["application/pdf", "image/png"]
    assert [one["body"] for one in done(operator.get(path))["items"]] == ["Terlampir.", asked["body"]]
    assert operator.get(f"{path}/attachments/{given['attachments'][0]['id']}").data == pdf
    assert set(mailed(world)) == {"magetan.kepala", "operator1"}  # who submitted it; who had written


def test_nobody_else_sees_a_conversation_or_its_attachments(world: World) -> None:
    path = f"/personalisation-requests/{world.submitted()['id']}/messages"
    kept = done(sent(world.client(OFFICE), path, "Hanya untuk Direktorat.", letter()), 201)["attachments"][0]["id"]
    for who in ("bangli.kepala", "jatim.kepala", "mandiri.kepala"):  # another office, the province above it, an institution
        assert world.client(who).get(path).status_code == 404
        assert world.client(who).get(f"{path}/attachments/{kept}").status_code == 404
        assert sent(world.client(who), path, "?").status_code == 404
    # The attachment of one conversation is not to be had by way of another.
    foreign = f"/personalisation-requests/{world.submitted('bangli.kepala')['id']}/messages/attachments/{kept}"
    assert world.client("bangli.kepala").get(foreign).status_code == 404


@pytest.mark.parametrize(
    "unsafe", [b"MZ\x90\x00 program", letter().replace(b"/Catalog", b"/Catalog /OpenAction << /S /JavaScript /JS (x) >>")]
)
def test_an_unsafe_attachment_is_refused_and_nothing_is_sent(sqlite_world: World, unsafe: bytes) -> None:
    path = f"/personalisation-requests/{sqlite_world.submitted()['id']}/messages"
    office = sqlite_world.client(OFFICE)
    refused = sent(office, path, "Lihat lampiran.", letter(), unsafe)
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "attachments")
    assert sent(office, path, "Enam.", *[letter()] * 6).status_code == 422
    assert sent(office, path, "a" * 4001).status_code == sent(office, path, " \x00 ").status_code == 422
    assert done(office.get(path))["items"] == []


PLANTED = (
    "INSERT INTO conversation_message (id, object_kind, object_id, organisation_id, person_id, user_id, at, body, files) SELECT"
    f" '{UUID(int=1)}', object_kind, object_id, organisation_id, person_id, user_id, at, 'Tanam', '' FROM conversation_message"
)


def test_what_was_sent_does_not_change_by_sql(world: World) -> None:
    path = f"/personalisation-requests/{world.submitted()['id']}/messages"
    done(sent(world.client(OFFICE), path, "Asli.", letter()), 201)
    for statement in (
        "UPDATE conversation_message SET body = 'Lain.'",
        "DELETE FROM conversation_message",
        "UPDATE conversation_attachment SET position = 2",
        "DELETE FROM conversation_attachment",
        PLANTED,
    ):
        with pytest.raises(DBAPIError):
            world.sql(statement)
    assert [one["body"] for one in done(world.client(OFFICE).get(path))["items"]] == ["Asli."]


def test_the_page_of_a_request_shows_its_conversation_and_a_form_that_says_what_it_does_not_change(sqlite_world: World) -> None:
    request = sqlite_world.submitted()
    visitor, path = Visitor(sqlite_world, OFFICE), f"/personalisasi/{request['id']}"
    assert "Pesan beserta lampirannya tidak dapat diubah setelah dikirim" in visitor.text(path)
    answer = visitor.send(f"{path}/percakapan", body="Kapan selesai?", attachments=(io.BytesIO(letter()), "surat.pdf"))
    assert goes_to(answer).startswith(f"{path}/percakapan")
    assert "Kapan selesai? surat.pdf" in visitor.text(path)
    assert "Kapan selesai? surat.pdf" in Visitor(sqlite_world, OPERATOR).text(f"{path}/percakapan")
    refused = visitor.send(f"{path}/percakapan", body="", attachments=(io.BytesIO(letter()), "surat.pdf"))
    assert refused.status_code == 422
